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
    "loss": Measure("loss", "", 1, 3, 0),  # of labels that may be mixed or smoothed
    "given_accuracy": Measure("accuracy on given labels", "%", 100, 1, 0),
    "true_accuracy": Measure("accuracy on true labels", "%", 100, 1, 1),
    "memorised": Measure("wrong labels learned", "%", 100, 1, -1),
    "resisted": Measure("wrong labels corrected", "%", 100, 1, 1),
    "duration": Measure("training time", "s", 1, 1, -1),
}
_VARIANTS = {
    "_scaled": ", temperature scaled",
    "_last": ", last epoch",
    "_best": ", best epoch",
    "_median10": ", median of 10 epochs",
}
HEADLINES = ("test/accuracy", "test/nll", "test/ece", "duration")
"""What a first look shows."""


def measure(name: str) -> Measure:
    """Look up a measure by its name in ``results.json``.

    Args:
        name: such as ``test/accuracy``, ``val/nll_best`` or ``test/fgsm_0.1/accuracy``.

    Returns:
        What is known of it. Names that nobody here has given get no unit and no direction.

    Example:
        >>> measure("test/accuracy").show(0.9876)
        '98.8'
        >>> measure("test/fgsm_0.1/accuracy").label, measure("val/nll_best").label, measure("test/f1").label
        ('accuracy (fgsm 0.1)', 'validation negative log-likelihood, best epoch', 'f1')
    """
    split, _, rest = name.rpartition("/")
    stem = rest
    addition = ""
    for ending, words in _VARIANTS.items():
        if rest.endswith(ending):
            stem, addition = rest.removesuffix(ending), words
    part, _, condition = split.partition("/")
    before = {"test": "", "val": "validation ", "train": "training "}.get(part, f"{part} " if part else "")
    given = f" ({condition.replace('_', ' ')})" if condition else ""
    if part == "train" and stem == "accuracy":  # on labels that may be mixed or wrong
        return Measure(f"training accuracy{addition}", "%", 100, 1, 0)
    known = _KINDS.get(stem, Measure(stem.replace("_", " "), "", 1, 4, 0))
    return known._replace(label=f"{before}{known.label}{given}{addition}")
