"""What the studies ask, and the sweeps that answer it."""

import shlex
from pathlib import Path
from typing import NamedTuple

from benchmarks.cells import Cell, expand

METHODS = "mix=none,label_smoothing,mixup,cutmix,manifold_mixup"
VECTORS = "mix=none,label_smoothing,mixup,manifold_mixup"  # nothing to cut boxes from
# All the judges would take longer than training.
CLOTHES = "recipe=fashion_mnist evaluate=full evaluate.epsilons=[0.0314] evaluate.noise=[0.3] evaluate.rotations=[20]"
ALL = f"{CLOTHES} model.width=16 trainer.max_epochs=12"  # a quarter of the multiplications, for many runs
FEW = f"{CLOTHES} evaluate.pgd_steps=0 data.train_size=2000 data.batch_size=100 optimizer.lr=0.1 trainer.max_epochs=30"
SMALL = "a network of 16 to 64 channels, for twelve epochs."


class Study(NamedTuple):
    """A question, and the sweeps that answer it."""

    title: str
    question: str
    sweeps: tuple[str, ...]
    """What stands on the command line beside the seeds."""
    later: tuple[str, ...] = ()
    """Sweeps that wait until those of all studies are done."""
    seeds: int | None = None
    """How many, where the machine's hours allow no more."""
    recipe: str = ""
    """Of all sweeps, where it has not the name of the study."""

    def cells(self, folder: Path, seeds: int) -> tuple[list[Cell], list[Cell]]:
        """Its runs, the first seed of all settings first; those that wait apart."""
        found = []
        for number, line in enumerate((*self.sweeps, *self.later)):
            words = [*shlex.split(line), f"seed=range({self.seeds or seeds})"]
            found += [(number < len(self.sweeps), cell) for cell in expand(folder / str(number), words)]
        now, later = ([cell for soon, cell in found if soon == wanted] for wanted in (True, False))
        return sorted(now, key=lambda cell: cell.seed), sorted(later, key=lambda cell: cell.seed)


STUDIES = {
    # What claims rest on comes first, the large network last: where the hours end, it is what is not reached.
    "fashion_mnist": Study(
        "Real images, all of them: Fashion-MNIST",
        f"57,000 images of clothes to learn from, with right labels: {SMALL}",
        (
            f"{ALL} mix=none,label_smoothing,mixup,manifold_mixup",
            f"{ALL} mix=mixup mix.alpha=1",
            f"{ALL} mix=cutmix mix.prob=0.5",
        ),
        later=(
            f"{ALL} mix=resizemix,fmix,random_choice,regmixup",
            f"{ALL} mix=cutmix mix.prob=1",
            f"{ALL} mix=mixup mix.alpha=8,32",
        ),
        seeds=3,
    ),
    **{
        name: Study(
            f"Real images, {share} in ten labels wrong: Fashion-MNIST",
            f"57,000 images of clothes, {share} in ten under a wrong label: {SMALL}",
            (
                f"{ALL} data.label_noise={noise} mix=none,label_smoothing",
                f"{ALL} data.label_noise={noise} mix=mixup mix.alpha=1,8",
                f"{ALL} data.label_noise={noise} mix=cutmix mix.prob=0.5",
            ),
            seeds=3,
            recipe="fashion_mnist",
        )
        for name, share, noise in (("fashion_mnist_noisy", "four", 0.4), ("fashion_mnist_noisy_less", "two", 0.2))
    },
    "fashion_mnist_few": Study(
        "Real images, few of them: Fashion-MNIST",
        "2,000 images of clothes to learn from, for thirty epochs.",
        (f"{FEW} mix=none,label_smoothing,mixup,manifold_mixup", f"{FEW} mix=cutmix mix.prob=0.5"),
        seeds=3,
        recipe="fashion_mnist",
    ),
    "fashion_mnist_few_noisy": Study(
        "Real images, few of them, wrong labels: Fashion-MNIST",
        "2,000 images of clothes to learn from, four in ten under a wrong label, for thirty epochs.",
        (
            f"{FEW} data.label_noise=0.4 mix=none,mixup",
            f"{FEW} data.label_noise=0.4 mix=mixup mix.alpha=8",
            f"{FEW} data.label_noise=0.4 mix=cutmix mix.prob=0.5",
        ),
        seeds=3,
        recipe="fashion_mnist",
    ),
    "fashion_mnist_preact18": Study(
        "A large network: Fashion-MNIST",
        "PreAct ResNet-18, in the protocol of the Mixup paper for CIFAR-10, shortened to thirty epochs.",
        (),
        later=(
            "recipe=fashion_mnist_preact18 evaluate=full mix=none",
            "recipe=fashion_mnist_preact18 evaluate=full mix=mixup mix.alpha=1",
        ),
        seeds=1,
    ),
    "digits_noisy": Study(
        "Wrong labels: digits",
        "Two to six in ten training labels are wrong. Which methods memorise them?",
        (
            f"recipe=digits_noisy evaluate=full data.label_noise=0.2,0.4,0.6 {METHODS},regmixup",
            "recipe=digits_noisy evaluate=full data.label_noise=0.2,0.4,0.6 mix=mixup mix.alpha=1,8,32",
        ),
    ),
    "digits_noisy_sampled": Study(
        "Both labels, or one of them: digits",
        "Wrong labels again: is one label, chosen with probability lam, as good as the loss of both?",
        (
            "recipe=digits_noisy evaluate=full data.label_noise=0.2,0.4 mix=none",
            "recipe=digits_noisy evaluate=full data.label_noise=0.2,0.4 mix=mixup mix.alpha=1",
            "recipe=digits_noisy evaluate=full data.label_noise=0.2,0.4 mix=mixup mix.alpha=1 mix.targets=sampled",
        ),
        recipe="digits_noisy",
    ),
    "moons": Study(
        "Calibration: two moons",
        "Points that nobody can tell apart with certainty. Is the network as sure as it is right?",
        (
            f"recipe=moons evaluate=full data.noise=0.1,0.3,0.5 {VECTORS},regmixup",
            "recipe=moons evaluate=full data.noise=0.1,0.3,0.5 mix=mixup mix.alpha=1",
        ),
    ),
    "mnist5k_few_shot": Study(
        "Few images: MNIST",
        "One hundred or five hundred images to learn from.",
        (
            f"recipe=mnist5k_few_shot evaluate=full data.train_size=100,500 {METHODS},regmixup",
            "recipe=mnist5k_few_shot evaluate=full data.train_size=100,500 mix=mixup mix.alpha=1",
        ),
    ),
    "mnist1d_mlp": Study(
        "Series, a network that overfits",
        "MNIST-1D with fully connected layers.",
        (
            f"recipe=mnist1d_mlp evaluate=full {METHODS},regmixup",
            "recipe=mnist1d_mlp evaluate=full mix=mixup mix.alpha=1",
        ),
    ),
    "mnist1d_cnn": Study(
        "Series, a network that fits",
        "MNIST-1D with convolutions, for ten epochs and for forty.",
        (
            f"recipe=mnist1d_cnn evaluate=full trainer.max_epochs=10,40 {METHODS}",
            "recipe=mnist1d_cnn evaluate=full trainer.max_epochs=10,40 mix=mixup mix.alpha=1",
        ),
    ),
    "breast_cancer": Study(
        "Tables: breast cancer",
        "Thirty measurements of a tumour, with right labels and with three in ten wrong.",
        (f"recipe=breast_cancer evaluate=full data.label_noise=0,0.3 {VECTORS}",),
    ),
    "wine": Study(
        "Tables: wine",
        "Thirteen measurements of a wine, with right labels and with three in ten wrong.",
        (f"recipe=wine evaluate=full data.label_noise=0,0.3 {VECTORS}",),
    ),
    "diabetes": Study(
        "Regression: diabetes",
        "Labels are numbers, and are mixed as numbers; C-Mixup takes partners with similar ones.",
        ("recipe=diabetes mix=none,mixup,c_mixup,manifold_mixup",),
    ),
    "fortunes": Study(
        "Text: sayings by topic",
        "Which of 17 topics has a saying? The vectors of its words are mixed, or the vector of the whole text.",
        (
            "recipe=fortunes mix=none,label_smoothing",
            "recipe=fortunes mix=manifold_mixup mix.alpha=1 mix.layers=[network.embedding],[network.encode]",
        ),
    ),
}
