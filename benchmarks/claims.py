"""What mixing is said to do, claim by claim, and what the studies show of it."""

import csv
from pathlib import Path
from typing import NamedTuple

from benchmarks.fashion import label
from lightning_mixup.lab.evaluation.measures import measure


class Claim(NamedTuple):
    """A claim, and where to look.

    Attributes:
        words: The claim.
        name: Of the measure that speaks about it.
        rows: Studies, and of each a row of its table.
    """

    words: str
    name: str
    rows: tuple[tuple[str, str], ...]


SPACE = "&nbsp;"  # at which no line is broken
FGSM = "test/fgsm_0.0314/accuracy"
CLAIMS = (
    Claim(
        "Mixup generalises better, labels being right",
        "test/accuracy",
        (
            ("fashion_mnist", "mix=mixup"),
            ("fashion_mnist", "mix=mixup mix.alpha=1"),
            ("fashion_mnist_few", "mix=mixup"),
            ("mnist1d_mlp", "mix=mixup"),
            ("mnist1d_cnn", "trainer.max_epochs=40 mix=mixup"),
            ("mnist5k_few_shot", "data.train_size=500 mix=mixup"),
            ("breast_cancer", "data.label_noise=0 mix=mixup"),
        ),
    ),
    Claim(
        "Mixup takes over-confidence away",
        "test/ece",
        (
            ("fashion_mnist", "mix=mixup"),
            ("fashion_mnist_few", "mix=mixup"),
            ("mnist1d_mlp", "mix=mixup"),
            ("moons", "data.noise=0.5 mix=mixup"),
            ("mnist1d_cnn", "trainer.max_epochs=40 mix=mixup"),
        ),
    ),
    Claim(
        "Mixup resists wrong labels",
        "test/accuracy",
        (
            ("fashion_mnist_noisy", "mix=mixup mix.alpha=1"),
            ("fashion_mnist_noisy", "mix=mixup mix.alpha=8"),
            ("fashion_mnist_few_noisy", "mix=mixup"),
            ("fashion_mnist_few_noisy", "mix=mixup mix.alpha=8"),
            ("digits_noisy", "data.label_noise=0.4 mix=mixup"),
            ("digits_noisy", "data.label_noise=0.4 mix=mixup mix.alpha=8"),
            ("breast_cancer", "data.label_noise=0.3 mix=mixup"),
        ),
    ),
    Claim(
        "Mixup resists adversarial inputs (FGSM, 8/255)",
        FGSM,
        (
            ("fashion_mnist", "mix=mixup"),
            ("fashion_mnist", "mix=mixup mix.alpha=1"),
            ("fashion_mnist_few", "mix=mixup"),
            ("mnist1d_mlp", "mix=mixup"),
            ("digits_noisy", "data.label_noise=0.4 mix=mixup"),
            ("mnist5k_few_shot", "data.train_size=500 mix=mixup"),
        ),
    ),
    Claim(
        "CutMix keeps local structure, and gains more than Mixup",
        "test/accuracy",
        (
            ("fashion_mnist", "mix=cutmix mix.prob=0.5"),
            ("fashion_mnist_noisy", "mix=cutmix mix.prob=0.5"),
            ("fashion_mnist_few", "mix=cutmix mix.prob=0.5"),
            ("fashion_mnist_few_noisy", "mix=cutmix mix.prob=0.5"),
            ("mnist1d_mlp", "mix=cutmix"),
            ("digits_noisy", "data.label_noise=0.4 mix=cutmix"),
            ("mnist1d_cnn", "trainer.max_epochs=10 mix=cutmix"),
        ),
    ),
    Claim(
        "Manifold Mixup gains more than Mixup",
        "test/accuracy",
        (
            ("fashion_mnist", "mix=manifold_mixup"),
            ("fashion_mnist_few", "mix=manifold_mixup"),
            ("mnist1d_mlp", "mix=manifold_mixup"),
            ("digits_noisy", "data.label_noise=0.4 mix=manifold_mixup"),
        ),
    ),
    Claim(
        "Label smoothing does as well",
        "test/accuracy",
        (
            ("fashion_mnist", "mix=label_smoothing"),
            ("fashion_mnist_few", "mix=label_smoothing"),
            ("mnist1d_mlp", "mix=label_smoothing"),
            ("digits_noisy", "data.label_noise=0.4 mix=label_smoothing"),
        ),
    ),
    Claim(
        "Text gains from mixing at the embedding, or of whole texts",
        "test/accuracy",
        (
            ("fortunes", "mix=manifold_mixup mix.alpha=1 mix.layers=[network.embedding]"),
            ("fortunes", "mix=manifold_mixup mix.alpha=1 mix.layers=[network.encode]"),
        ),
    ),
    Claim(
        "Too much strength blurs the classes",
        "test/accuracy",
        (
            ("fashion_mnist", "mix=mixup mix.alpha=8"),
            ("moons", "data.noise=0.1 mix=mixup mix.alpha=1"),
            ("mnist5k_few_shot", "data.train_size=100 mix=mixup mix.alpha=1"),
            ("mnist1d_cnn", "trainer.max_epochs=10 mix=mixup mix.alpha=1"),
            ("digits_noisy", "data.label_noise=0.4 mix=mixup mix.alpha=32"),
        ),
    ),
)


def claims(results: Path) -> str:
    """Lay out every claim with what was measured, a row a study; studies that were not reached are left out.

    Args:
        results: folder of the tables of the studies.

    Returns:
        A table in Markdown.
    """
    lines = ["| claim | measured on | without | difference | verdict |", "| --- | --- | ---: | ---: | --- |"]
    for claim in CLAIMS:
        one, words = measure(claim.name), claim.words
        for study, row in claim.rows:
            table = _read(results / f"{study}.csv", claim.name)
            if row not in table:
                continue
            found = table[row]
            around = [word for word in row.split() if not word.startswith("mix")]
            baseline = table[" ".join([*around, "mix=none"])]
            setting = ", ".join([label(row), *map(_plain, around)])
            difference = one.show(float(found["difference"]), signed=True)
            margin = one.show(float(found["difference_margin"]))
            lines.append(
                f"| {words} | [{study}](results/{study}.md): {setting} | {one.show(float(baseline['mean']))} "
                f"| {difference}{SPACE}±{SPACE}{margin}{SPACE}{one.unit} | {found['verdict'].partition(' at n')[0]} |"
            )
            words = ""
    return "\n".join(lines) + "\n"


def _plain(word: str) -> str:
    """Name a setting without its group.

    Examples:
        >>> _plain("data.label_noise=0.4")
        'label noise 0.4'
    """
    key, _, value = word.partition("=")
    return f"{key.rpartition('.')[2].replace('_', ' ')} {value}"


def _read(path: Path, name: str) -> dict[str, dict[str, str]]:
    if not path.is_file():
        return {}
    with path.open(newline="") as file:
        return {row["row"]: row for row in csv.DictReader(file) if row["measure"] == name}
