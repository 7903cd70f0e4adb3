"""Draw the pictures of the documentation: ``python -m docs.pictures``."""

import csv
from collections.abc import Callable
from pathlib import Path
from shutil import copyfile
from tempfile import TemporaryDirectory

import matplotlib.pyplot as plt
import numpy as np
import torch
from hydra import compose, initialize_config_module
from matplotlib.patches import Rectangle
from sklearn.datasets import load_digits, load_sample_images

from lightning_mixup.functional import Box, cutmix, fmix, mixup, partners, resizemix, sample_fmix, sample_resize
from lightning_mixup.lab.app import add_recipes
from lightning_mixup.lab.app.parts import tidy
from lightning_mixup.lab.app.preview import Shown, watch
from lightning_mixup.schedules import Cosine, Linear, MixupWithoutHesitation, Warmup, Window, plot

ASSETS = Path(__file__).parent / "assets"
RESULTS = Path(__file__).parent / "results"
COLUMNS = 8
BATCHES = 12  # of a run, of which the one mixed most is shown: many are hardly mixed at all
# Picture: a recipe, and which of its batches.
PREVIEWS: dict[str, tuple[str, Callable[[Shown], bool]]] = {
    "digits_mixup": ("digits_mixup", lambda shown: True),
    "digits_cutmix": ("digits_cutmix", lambda shown: True),
    "digits_manifold_mixup_input": ("digits_manifold_mixup", lambda shown: shown.layer == "input"),
    "digits_manifold_mixup_hidden": ("digits_manifold_mixup", lambda shown: shown.layer != "input"),
    "mnist1d": ("mnist1d_cnn", lambda shown: True),
}


def mixed_digits() -> None:
    """One batch, clean and mixed: what the functions of the library make of it, and the weights of its labels."""
    images, labels = load_digits(return_X_y=True)
    x = torch.tensor(images[:COLUMNS].reshape(-1, 1, 8, 8) / 16, dtype=torch.float32)
    y = torch.tensor(labels[:COLUMNS])
    shift = 3
    box = Box(np.array([2, 3]), np.array([8, 8]), 1 - 30 / 64)
    lams = torch.linspace(0.9, 0.1, COLUMNS)
    rows = [
        ("clean", x, None),
        ("Mixup, lam 0.6", mixup(x, 0.6, shift), 0.6),
        ("Mixup, lam per sample", mixup(x, lams, shift), lams),
        (f"CutMix, lam {box.lam:.2f}", cutmix(x, box, shift), box.lam),
    ]
    figure, axes = plt.subplots(len(rows), COLUMNS, figsize=(1.15 * COLUMNS, 1.45 * len(rows)), layout="constrained")
    for line, (name, batch, lam) in zip(axes, rows, strict=True):
        weights = torch.ones(COLUMNS) if lam is None else torch.as_tensor(lam).expand(COLUMNS)
        for axis, image, own, other, weight in zip(line, batch, y, partners(y, shift), weights, strict=True):
            axis.imshow(image[0], cmap="gray_r", vmin=0, vmax=1)
            axis.set(xticks=[], yticks=[])
            mixed = f"{own}: {weight:.0%}\n{other}: {1 - weight:.0%}"
            axis.set_xlabel(own.item() if lam is None else mixed, fontsize=9)
            axis.spines[:].set_color("#bbbbbb")
        line[0].set_ylabel(name.replace(", ", "\n"), rotation=0, ha="right", va="center", fontsize=10)
    figure.savefig(ASSETS / "mixed_digits.png", dpi=110)


def photographs() -> None:
    """Two photographs, clean and mixed by each method, with the labels as shares and the pasted region outlined."""
    pictures = [image[::2, ::2][:, 40:253] for image in load_sample_images().images]  # (213, 213, 3)
    x = torch.tensor(np.stack(pictures), dtype=torch.float32).movedim(-1, 1) / 255
    size = x.shape[2:]
    low, high = np.array([70, 90]), np.array([190, 205])
    box = Box(low, high, 1 - float(np.prod(high - low)) / x[0, 0].numel())
    mask = sample_fmix(np.random.default_rng(114), 0.6, size)
    small = sample_resize(np.random.default_rng(2), 0.55, 0.65, size)
    shown = [
        ("original", x[0], 1.0),
        ("partner", x[1], 0.0),
        ("Mixup", mixup(x, 0.6, 1)[0], 0.6),
        ("CutMix", cutmix(x, box, 1)[0], box.lam),
        ("FMix", fmix(x, mask, 1)[0], mask.lam),
        ("ResizeMix", resizemix(x, small, 1)[0], small.lam),
    ]
    figure, axes = plt.subplots(2, 3, figsize=(8.1, 6.2), layout="constrained")
    outlines = {"CutMix": box, "ResizeMix": small}
    for axis, (title, image, lam) in zip(axes.flat, shown, strict=True):
        axis.imshow(image.movedim(0, -1).clamp(0, 1))
        axis.set(xticks=[], yticks=[])
        axis.set_title(title, fontsize=14)
        shares = [
            f"{name} {share:.0%}" for name, share in zip(("temple", "flower"), (lam, 1 - lam), strict=True) if share
        ]
        axis.set_xlabel(", ".join(shares), fontsize=12)
        axis.spines[:].set_visible(False)
        if title in outlines:
            first, last = np.array(outlines[title].low), np.array(outlines[title].high)
            corner, sides = first[::-1] - 0.5, (last - first)[::-1]
            axis.add_patch(Rectangle(corner, *sides, fill=False, edgecolor="white", linewidth=2))
        if title == "FMix":
            axis.contour(mask.inside, levels=[0.5], colors="white", linewidths=2)
    figure.get_layout_engine().set(h_pad=0.15)
    figure.savefig(ASSETS / "photographs.jpg", dpi=110, pil_kwargs={"quality": 88})


GAINS = {  # row of the study, label, colour; from the least to the most
    "mix=none": ("no mixing", "#555555"),
    "mix=label_smoothing": ("label smoothing 0.1", "#999999"),
    "mix=mixup": ("Mixup(0.2)", "#9e8fd8"),
    "mix=manifold_mixup": ("ManifoldMixup(2)", "#4aa3a2"),
    "mix=mixup mix.alpha=8": ("Mixup(8)", "#673ab7"),
    "mix=cutmix": ("CutMix(1)", "#e07b39"),
}


def gain() -> None:
    """Test accuracy on digits with wrong training labels, as the study of the results measured it."""
    with (RESULTS / "digits_noisy.csv").open() as file:
        rows = {row["row"]: row for row in csv.DictReader(file) if row["measure"] == "test/accuracy"}
    figure, axis = plt.subplots(figsize=(7.2, 3.7), layout="constrained")
    noises = ("0.2", "0.4", "0.6")
    width = 0.8 / len(GAINS)
    for index, (setting, (label, colour)) in enumerate(GAINS.items()):
        found = [rows[f"data.label_noise={noise} {setting}"] for noise in noises]
        places = np.arange(len(noises)) + (index - (len(GAINS) - 1) / 2) * width
        heights = [100 * float(row["mean"]) for row in found]
        margins = [100 * float(row["margin"]) for row in found]
        axis.bar(places, heights, 0.88 * width, yerr=margins, color=colour, label=label, ecolor="#333333", capsize=2)
    axis.set_xticks(range(len(noises)), [f"{float(noise):.0%} wrong labels" for noise in noises])
    axis.set(ylim=(0, 100), ylabel="test accuracy (%)")
    axis.spines[["top", "right"]].set_visible(False)
    axis.tick_params(axis="x", length=0)
    axis.set_axisbelow(True)
    axis.grid(axis="y", color="#dddddd", linewidth=0.8)
    figure.legend(*axis.get_legend_handles_labels(), loc="outside upper center", ncols=3, frameon=False)
    figure.savefig(ASSETS / "gain.png", dpi=130)


def previews() -> None:
    """What ``lightning-mixup recipe=NAME preview=true`` shows."""
    add_recipes()
    for name, (recipe, chosen) in PREVIEWS.items():
        ink = ("callbacks.preview.cmap=gray_r", "callbacks.preview.samples=8")
        with initialize_config_module("lightning_mixup.conf", version_base="1.3"):
            cfg = compose("train", [f"recipe={recipe}", "callbacks=preview", *ink])
        with TemporaryDirectory() as folder, tidy():
            look = watch(cfg, Path(folder), BATCHES)
            found = [
                (abs(float(shown.lam) - 0.5), path)
                for shown, path in zip(look.batches, look.pictures, strict=False)
                if chosen(shown)
            ]
            copyfile(min(found)[1], ASSETS / f"preview_{name}.png")


def schedules() -> None:
    """A few schedules over twenty epochs, as the command plots those of a recipe."""
    shown = {
        "always less": Cosine(1, 0),
        "warmed up": Warmup(Linear(1, 0.2), until=2, unit="epochs"),
        "clean at last": Window(0.5, stop=15, unit="epochs"),
        "without hesitation": MixupWithoutHesitation(),
    }
    plot(shown, ASSETS / "schedules.png", epochs=20)


if __name__ == "__main__":
    ASSETS.mkdir(exist_ok=True)
    photographs()
    gain()
    mixed_digits()
    schedules()
    previews()
