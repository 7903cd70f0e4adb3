"""Refuse bad arguments in one form of words."""


def require(ok: bool, name: str, value: object, accepted: str) -> None:
    """Raise unless ``ok``, naming the argument, what is accepted, and what came.

    Raises:
        ValueError: ``ok`` is false.

    Examples:
        >>> require(False, "batch_size", 0, "at least 1")
        Traceback (most recent call last):
        ValueError: batch_size must be at least 1; got 0.
    """
    if not ok:
        raise ValueError(f"{name} must be {accepted}; got {value!r}.")
