"""``python -m lightning_mixup`` and the ``lightning-mixup`` command."""

import sys


def main() -> None:
    """Run the command line application, or say how to install what it needs."""
    try:
        from lightning_mixup.lab.app import main as app
    except ModuleNotFoundError as error:
        if error.name not in ("hydra", "omegaconf"):
            raise
        sys.exit('The lightning-mixup command needs Hydra: pip install "lightning-mixup[recipes]"')
    app()


if __name__ == "__main__":
    main()
