"""Random programs over predictions and labels, held against the formula ``lam * L(a) + (1 - lam) * L(b)``.

What a program computes of a pair has to be exact in value, gradient and buffers, or has to raise. This tries many,
and prints those that are silently wrong, cut down to the lines that matter:
``PYTHONPATH=tests python tests/targets/corpus_fuzz.py 20000``.
"""

from __future__ import annotations

import argparse
import collections
import re
import sys
import time
import warnings
from dataclasses import dataclass

import numpy as np
import torch
from targets.corpus_programs import GLOBALS, KINDS, B, Data, Net, by_sample, data, write
from torch import Tensor

from lightning_mixup import MixedTarget
from lightning_mixup.targets import Lockstep
from lightning_mixup.targets.pair import Origin, pair


@dataclass
class Outcome:
    """What a run gave."""

    loss: Tensor
    gradients: list[Tensor]
    buffers: list[Tensor]

    def tensors(self) -> list[Tensor]:
        return [self.loss, *self.gradients]


def run(lines: list[str], seed: int, x: Tensor, labels: tuple[Tensor, Tensor], lockstep: bool = False) -> Outcome:
    """Run a program as a training step does, and differentiate."""
    net = Net(np.random.default_rng([seed, 2]))
    around = Lockstep(net) if lockstep else None
    env = {**GLOBALS, "net": net}
    code = compile("\n".join(lines), "<program>", "exec")
    torch.manual_seed(3)
    try:
        if around is None:
            exec(code, {**env, "x": x, "z": x @ net.w, "y": labels[0].clone(), "s": labels[1].clone()}, env)
            loss = env["loss"]
            loss.backward()
        else:
            around.attach()
            around.begin(dict(enumerate(labels)))
            exec(code, {**env, "x": x, "z": x @ net.w, "y": labels[0], "s": labels[1]}, env)
            loss = around.result(env["loss"])
            labels[1].origin.used = True
            around.require_use(trained=True)
            loss.backward()
    finally:
        env.clear()
        if around is not None:
            around.end()
            around.detach()
    gradients = [torch.zeros_like(p) if p.grad is None else p.grad for p in net.parameters()]
    return Outcome(loss.detach(), gradients, [buffer.detach().clone() for buffer in net.buffers()])


def judge(lines: list[str], seed: int) -> tuple[str, str]:
    """What becomes of a program: ``exact``, ``refused``, ``void`` if it is not one, or ``SILENT``; and why."""
    given = data(seed, KINDS[seed % len(KINDS)])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            a, b = (run(lines, seed, given.x, labels) for labels in (given.one, given.other))
        except Exception as error:
            return "void", repr(error)[:200]
        if not all(bool(tensor.isfinite().all()) for tensor in (*a.tensors(), *b.tensors())):
            return "void", "not finite"
        unused = all(torch.equal(x, y) for x, y in zip(a.tensors(), b.tensors(), strict=True))
        try:
            return _hold(lines, seed, given, a, b)
        except Exception as error:
            return "unused" if unused else "refused", f"{type(error).__name__}: {error}"[:300]


def _hold(lines: list[str], seed: int, given: Data, a: Outcome, b: Outcome) -> tuple[str, str]:
    def mixed(lam: float | Tensor) -> Outcome:
        pairs = []
        for one, other in zip(given.one, given.other, strict=True):
            if isinstance(lam, float):
                pairs.append(MixedTarget(one.clone(), other.clone(), lam))
            else:  # not by the constructor, which knows a constant vector for a number
                weights = lam.reshape(-1, *[1] * (one.ndim - 1))
                pairs.append(pair(one.clone(), other.clone(), weights, Origin()))
        return run(lines, seed, given.x, (pairs[0], pairs[1]), lockstep=True)

    lam = given.lam
    want = [lam * x + (1 - lam) * y for x, y in zip(a.tensors(), b.tensors(), strict=True)]
    got = mixed(torch.full((B,), lam, dtype=torch.float64) if by_sample(seed) else lam)
    if (bad := _wrong(got.tensors(), want)) is not None:
        return "SILENT", bad
    if by_sample(seed):  # weights that differ: the loss is affine in them
        u, v = (torch.from_numpy(np.random.default_rng([seed, n]).random(B)) for n in (5, 6))
        left, right, middle = mixed(u), mixed(v), mixed((u + v) / 2)
        want = [(x + y) / 2 for x, y in zip(left.tensors(), right.tensors(), strict=True)]
        if (bad := _wrong(middle.tensors(), want)) is not None:
            return "SILENT", f"not affine in the weights: {bad}"
    elif (bad := _wrong(got.buffers, (a if lam >= 0.5 else b).buffers)) is not None:
        return "SILENT", f"buffers: {bad}"
    return "exact", ""


def _wrong(got: list[Tensor], want: list[Tensor]) -> str | None:
    for index, (one, other) in enumerate(zip(got, want, strict=True)):
        if one.shape != other.shape or not torch.allclose(one.double(), other.double(), rtol=1e-8, atol=1e-9):
            return f"tensor {index}: {one.flatten()[:6].tolist()}, want {other.flatten()[:6].tolist()}"
    return None


def shrunk(lines: list[str], seed: int) -> list[str]:
    """The program without the lines that it is silently wrong without."""
    again = True
    while again:
        again = False
        for index in range(len(lines) - 2, -1, -1):
            fewer = lines[:index] + lines[index + 1 :]
            if judge(fewer, seed)[0] == "SILENT":
                lines, again = fewer, True
        for part in (parts := lines[-1].removeprefix("loss = ").split(" + ")):
            fewer = [*lines[:-1], "loss = " + " + ".join(p for p in parts if p != part)]
            if len(parts) > 1 and judge(fewer, seed)[0] == "SILENT":
                lines, again = fewer, True
                break
    return lines


def main() -> int:
    """Try many programs."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("programs", type=int, nargs="?", default=20_000)
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    parser.add_argument("--show", action="store_true", help="print reasons of refusals, the most frequent first")
    parser.add_argument("--stop", type=int, default=20, help="after so many that are silently wrong")
    args = parser.parse_args()
    torch.set_num_threads(1)
    start, counts, reasons = time.monotonic(), collections.Counter(), collections.Counter()
    for seed in range(args.first, args.first + args.programs):
        lines = write(seed)
        verdict, why = judge(lines, seed)
        counts[verdict] += 1
        if verdict == "SILENT":
            lines = shrunk(lines, seed)
            print(f"\nseed {seed}: {judge(lines, seed)[1]}", *lines, sep="\n    ", flush=True)
            if counts["SILENT"] >= args.stop:
                break
        elif args.show:
            reasons[verdict, re.sub(r"\d[\d.e+-]*", "#", why)[:150]] += 1
    for (verdict, why), count in reasons.most_common(60) if args.show else ():
        print(f"{count:6} {verdict} {why}")
    print(f"{dict(counts)} in {time.monotonic() - start:.0f} s")
    return int(counts["SILENT"] > 0)


if __name__ == "__main__":
    sys.exit(main())
