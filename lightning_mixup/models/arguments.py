"""Arguments that cannot be, named before a network is built from them."""

from collections.abc import Sequence


def require(accepted: bool, name: str, value: object, what: str) -> None:
    """Refuse a value in words.

    Args:
        accepted: whether it can be.
        name: of the argument.
        value: what was received.
        what: what is accepted.

    Raises:
        ValueError: it cannot be.
    """
    if not accepted:
        raise ValueError(f"{name} must be {what}; got {value!r}.")


def sizes(input_shape: Sequence[int], *names: str) -> tuple[int, ...]:
    """Take the shape of one sample apart.

    Args:
        input_shape: what the data announce.
        names: of its dimensions.

    Returns:
        The sizes, all positive.

    Raises:
        ValueError: there are more or fewer dimensions than names, or one is empty.

    Example:
        >>> sizes([3, 32, 32], "channels", "height", "width")
        (3, 32, 32)
    """
    shape = tuple(input_shape)
    fits = len(shape) == len(names) and all(size >= 1 for size in shape)
    require(fits, "input_shape", shape, f"({', '.join(names)}), each at least 1")
    return shape
