"""Arguments that several data modules share."""

from lightning_mixup.lab.require import require


def require_loader(batch_size: int, num_workers: int) -> None:
    """Refuse what no loader can do."""
    require(batch_size >= 1, "batch_size", batch_size, "at least 1")
    require(num_workers >= 0, "num_workers", num_workers, "0 or more")


def require_split(val_share: float, test_share: float | None, train_size: int | float | None, seed: int) -> None:
    """Refuse what no data set can be split into."""
    require(0 <= val_share < 1, "val_share", val_share, "a share in [0, 1), such as 0.1")
    if test_share is not None:
        require(0 < test_share < 1 - val_share, "test_share", test_share, "a share in (0, 1 - val_share)")
    require(seed >= 0, "seed", seed, "0 or more")
    if train_size is not None:
        require(
            train_size >= 1 if isinstance(train_size, int) else 0 < train_size < 1,
            "train_size",
            train_size,
            "a count of at least 1, a share in (0, 1), or null for all",
        )
