"""Random programs over predictions and labels: Python text that trains.

A program is grown line by line from :data:`STATEMENTS`, while it runs on both labels: only what works on both stays.
"""

from __future__ import annotations

import copy
import math
import random
import re
import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from targets.corpus_statements import STATEMENTS
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from lightning_mixup import interpolate_loss

B, C = 5, 3
LETTERS = {torch.float64: "F", torch.float32: "F", torch.int64: "I", torch.bool: "M"}
SHAPES = {(): "0", (B,): "1", (B, C): "2", (B, 1): "k", (C,): "c", (B, B): "q", (C, C): "d"}
SLOT = re.compile(r"\{(\w+)\}")
GLOBALS = {"torch": torch, "F": F, "math": math, "np": np, "copy": copy, "nn": nn, "checkpoint": checkpoint}
GLOBALS |= {"Tensor": Tensor, "interpolate_loss": interpolate_loss, "B": B, "C": C}


class Square(torch.autograd.Function):
    """What torch's dispatch does not see into."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        return x * x

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> Tensor:
        return 2 * g * ctx.saved_tensors[0]


class Criterion(nn.Module):
    """A loss module with a branch on labels."""

    def forward(self, z: Tensor, y: Tensor) -> Tensor:
        loss = F.cross_entropy(z, y)
        return loss.square() if y.flatten()[0].item() > 0 else loss


GLOBALS["Square"] = Square


class Net(nn.Module):
    """What a program may train, remember and call."""

    def __init__(self, numbers: np.random.Generator) -> None:
        super().__init__()
        self.w = nn.Parameter(torch.from_numpy(numbers.normal(size=(4, C))))
        self.p = nn.Parameter(torch.from_numpy(numbers.normal(size=(C, C))))
        self.register_buffer("seen", torch.from_numpy(numbers.random(C)))
        self.register_buffer("bank", torch.from_numpy(numbers.normal(size=(C, C))))
        self.criterion = Criterion()


@dataclass
class Data:
    """Inputs, both labels and their weight."""

    x: Tensor
    one: tuple[Tensor, Tensor]
    other: tuple[Tensor, Tensor]
    lam: float


def data(seed: int, kind: str) -> Data:
    """The data of a program."""
    numbers = np.random.default_rng([seed, 1])

    def labels() -> tuple[Tensor, Tensor]:
        classes = torch.from_numpy(numbers.integers(0, C, B))
        y = {
            "classes": classes,
            "column": classes[:, None],
            "hot": F.one_hot(classes, C).double(),
            "binary": (classes > 0).double(),
        }[kind]
        return y.clone(), torch.from_numpy(numbers.integers(1, 4, B) / 2.0)

    x, one, other = torch.from_numpy(numbers.normal(size=(B, 4))), labels(), labels()
    return Data(x, one, other, float(numbers.uniform(0.05, 0.95)))


def kind_of(value: Any) -> str:
    """``F2`` for floats of shape (B, C), ``N`` for a number, and so on."""
    if isinstance(value, (bool, str)):
        return "-"
    if isinstance(value, (int, float)):
        return "N"
    if isinstance(value, Tensor):
        return LETTERS.get(value.dtype, "-") + SHAPES.get(tuple(value.shape), "x")
    return "-"


def differ(one: Any, other: Any) -> bool:
    """Whether a variable depends on labels."""
    if isinstance(one, Tensor) and isinstance(other, Tensor):
        return one.shape != other.shape or not torch.equal(one, other)
    return type(one) is type(other) and isinstance(one, (int, float)) and one != other


class Writer:
    """Writes a program, and runs it on both labels meanwhile.

    Args:
        seed: Decides everything.
        kind: Of the labels.
    """

    def __init__(self, seed: int, kind: str) -> None:
        self.random = random.Random(seed)
        self.lines: list[str] = []
        given = data(seed, kind)
        self.envs = [self.start(seed, given.x, labels) for labels in (given.one, given.other)]
        self.count = 0

    def start(self, seed: int, x: Tensor, labels: tuple[Tensor, Tensor]) -> dict[str, Any]:
        net = Net(np.random.default_rng([seed, 2]))
        y, s = (label.clone() for label in labels)
        return {**GLOBALS, "net": net, "x": x, "z": x @ net.w, "y": y, "s": s}

    def variables(self) -> list[str]:
        return ["z", "y", "s", *(f"v{n}" for n in range(self.count) if all(f"v{n}" in env for env in self.envs))]

    def choose(self, slot: str) -> str | None:
        """Something that fits: a variable, those that depend on labels and new ones first; or a constant."""
        if slot == "n":
            return str(self.random.choice([0, 1, 2]))
        if slot == "f":
            return repr(self.random.choice([-0.5, 0.1, 0.3, 0.7, 1.0, 2.0, 0.9]))
        found = []
        for name in self.variables():
            one, other = (env.get(name) for env in self.envs)
            kind = kind_of(one)
            if kind == "-" or kind != kind_of(other):
                continue
            fits = kind == slot or (len(slot) == 1 and slot != "N" and (slot == "T" or kind[0] == slot) and kind != "N")
            if fits:
                weight = (5 if differ(one, other) else 1) + (2 if name[1:].isdigit() else 0)
                found += [name] * weight
        return self.random.choice(found) if found else None

    def add(self) -> None:
        """Write one line, if it works on both labels."""
        template = self.random.choice(STATEMENTS)
        chosen: dict[str, str] = {}
        for slot in SLOT.findall(template):
            base = slot.rstrip("_")
            if base == "v":
                chosen[slot] = f"v{self.count}"
            elif (name := self.choose(base)) is not None:
                chosen[slot] = name
            else:
                return
        line = SLOT.sub(lambda match: chosen[match[1]], template)
        if self.random.random() < 0.08 and not line.startswith(("if", "for", "with")):
            line = f"with torch.no_grad(): {line}"
        try:
            code = compile(line, "<line>", "exec")
            for env in self.envs:
                torch.manual_seed(1)
                exec(code, env)
        except Exception:  # a line that torch does not take
            for env in self.envs:
                env.pop(f"v{self.count}", None)
            self.count += 1
            return
        self.lines.append(line)
        self.count += 1

    def program(self, length: int) -> list[str]:
        """As many lines as asked for, and a loss of what came out of them."""
        tries = 0
        while len(self.lines) < length and tries < 8 * length:
            tries += 1
            self.add()
        first = self.envs[0]
        tensors = [name for name in self.variables() if isinstance(first[name], Tensor)]
        floats = [name for name in tensors if first[name].is_floating_point()]
        hot = [name for name in floats if differ(*(env[name] for env in self.envs))]
        trained = [name for name in floats if first[name].requires_grad]
        both = [name for name in trained if name in hot and name != "z"]
        terms = [*both[-2:], *hot[-1:], *trained[-1:]]
        numbers = [n for n in self.variables() if kind_of(first[n]) == "N"][-1:]
        ends = [
            "{}.double().mean()",
            "torch.tanh({}.double()).sum()",
            "{}.double().square().mean()",
            "{}.double().sigmoid().mean() ** 2",
        ]
        parts = [self.random.choice(ends).format(name) for name in terms]
        parts += [f"{number} * 0.01" for number in numbers]
        if not both:
            parts.append("(z[:, 0] * y.reshape(B, -1)[:, 0]).mean()")
        self.lines.append("loss = " + " + ".join(parts) + " + z.square().mean()")
        return self.lines


KINDS = ("classes",) * 5 + ("column", "hot", "binary")


def by_sample(seed: int) -> bool:
    """Whether the program of a seed gets a weight for each sample."""
    return seed % 4 == 3


def write(seed: int) -> list[str]:
    """The program of a seed."""
    length = 1 + seed % 5 if by_sample(seed) else 3 + seed % 11
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return Writer(seed, KINDS[seed % len(KINDS)]).program(length)
