"""The shape of a sample, as networks take it."""

from collections.abc import Sequence

from lightning_mixup.lab.require import require


def sizes(input_shape: Sequence[int], *names: str) -> tuple[int, ...]:
    """Take the shape of one sample apart.

    Args:
        input_shape: what the data announce.
        names: of its dimensions.

    Returns:
        The sizes, all positive.

    Raises:
        ValueError: there are more or fewer dimensions than names, or one is empty.

    Examples:
        >>> sizes([3, 32, 32], "channels", "height", "width")
        (3, 32, 32)
    """
    shape = tuple(input_shape)
    fits = len(shape) == len(names) and all(size >= 1 for size in shape)
    require(fits, "input_shape", shape, f"({', '.join(names)}), each at least 1")
    return shape
