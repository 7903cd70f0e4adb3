"""How a measure is called, in which unit it is read, and which way is better."""

from typing import NamedTuple


class Measure(NamedTuple):
    """What a person needs to read a number of ``results.json``."""

    label: str
    """Plain words."""
    unit: str
    """Empty for pure numbers."""
    factor: float
    """From the number to the unit."""
    digits: int
    """After the point."""
    better: int
    """1 if higher is better, -1 if lower is, 0 if that is not for us to say."""

    @property
    def title(self) -> str:
        """The label with its unit."""
        return f"{self.label} ({self.unit})" if self.unit else self.label

    def show(self, value: float, signed: bool = False) -> str:
        """Write a number in the unit of the measure, without the unit."""
        return f"{self.factor * value:{'+' if signed else ''}.{self.digits}f}"


_KINDS = {
    "accuracy": Measure("accuracy", "%", 100, 1, 1),
    "nll": Measure("negative log-likelihood", "nats", 1, 3, -1),
    "ece": Measure("calibration error", "%", 100, 1, -1),
    "rms_ce": Measure("RMS calibration error", "%", 100, 1, -1),
    "adaptive_ece": Measure("adaptive calibration error", "%", 100, 1, -1),
    "confidence_gap": Measure("confidence minus accuracy", "%", 100, 1, 0),
    "brier": Measure("Brier score", "", 1, 3, -1),
    "temperature": Measure("fitted temperature", "", 1, 2, 0),
    "ood_auroc": Measure("AUROC, known from unknown", "%", 100, 1, 1),
    "rmse": Measure("root mean square error", "target units", 1, 3, -1),
    "mae": Measure("mean absolute error", "target units", 1, 3, -1),
    "r2": Measure("explained variance", "%", 100, 1, 1),
    "given_accuracy": Measure("accuracy on given labels", "%", 100, 1, 0),
    "true_accuracy": Measure("accuracy on true labels", "%", 100, 1, 1),
    "memorised": Measure("wrong labels learned", "%", 100, 1, -1),
    "resisted": Measure("wrong labels corrected", "%", 100, 1, 1),
    "duration": Measure("training time", "s", 1, 1, -1),
}
# What modules of others log under these names: whether in percent or not, only they know.
_USUAL = {
    **dict.fromkeys("acc accuracy_top5 auc auroc f1 iou map precision recall".split(), 1),
    **dict.fromkeys("error loss mse".split(), -1),
}
_VARIANTS = {
    "_scaled": ", temperature scaled",
    "_last": ", last epoch",
    "_best": ", best epoch",
    "_median10": ", median of the last 10 epochs",
}
_PARTS = {"test": "", "val": "validation ", "train": "training "}
_CONDITIONS = {
    "fgsm": "FGSM, epsilon {}",
    "pgd": "PGD, epsilon {}",
    "noise": "noise, std {}",
    "rotation": "rotated by up to {}°",
    "shear": "sheared by up to {}°",
    "zoom": "zoom {}",
}
HEADLINES = ("test/accuracy", "test/nll", "test/ece", "test/rmse", "test/mae", "test/r2", "duration")
"""What a first look shows."""
OF_MIXED = ("loss", "accuracy", "acc")
"""Measures of training batches, whose labels may be mixed, smoothed or wrong: comparable with nothing else."""


def part_of(name: str) -> str:
    """Say which samples a measure is of: ``test``, ``val`` or ``train``; empty if its name does not tell.

    Examples:
        >>> part_of("val/nll"), part_of("test_acc"), part_of("duration")
        ('val', 'test', '')
    """
    return next((part for part in _PARTS if name.startswith((f"{part}/", f"{part}_"))), "")


def measure(name: str) -> Measure:
    """Look up a measure by its name in ``results.json``.

    Args:
        name: such as ``test/accuracy``, ``val/nll_best`` or ``test/fgsm_0.1/accuracy``.

    Returns:
        What is known of it. Names that nobody here has given get no unit, and no direction but the usual one.

    Examples:
        >>> measure("test/accuracy").show(0.9876)
        '98.8'
        >>> measure("test/fgsm_0.1/accuracy").label, measure("val/nll_best").label
        ('accuracy (FGSM, epsilon 0.1)', 'validation negative log-likelihood, best epoch')
        >>> measure("test_acc").label, measure("test_acc").better, measure("test/depth").better
        ('acc', 1, 0)
        >>> measure("train/loss").label, measure("train/loss").better
        ('training loss, of labels as mixed', 0)
    """
    part = part_of(name)
    condition, _, rest = name[len(part) :].lstrip("/_").rpartition("/")
    stem = rest
    addition = ""
    for ending, words in _VARIANTS.items():
        if rest.endswith(ending):
            stem, addition = rest.removesuffix(ending), words
    known = _KINDS.get(stem, Measure(stem.replace("_", " "), "", 1, 4, _USUAL.get(stem, 0)))
    if part == "train" and stem in OF_MIXED:
        known, addition = known._replace(better=0), f", of labels as mixed{addition}"
    kind, _, strength = condition.partition("_")
    said = _CONDITIONS[kind].format(strength) if kind in _CONDITIONS else condition.replace("_", " ")
    given = f" ({said})" if said else ""
    return known._replace(label=f"{_PARTS.get(part, '')}{known.label}{given}{addition}")
