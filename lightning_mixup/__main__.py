"""``python -m lightning_mixup`` and the ``lightning-mixup`` command."""

import os
import sys


def main() -> None:
    """Run the command line application, or say how to install what it needs."""
    try:
        from lightning_mixup.lab.app import main as app
    except ModuleNotFoundError as error:
        if error.name not in ("hydra", "omegaconf"):
            raise
        sys.exit('The lightning-mixup command needs Hydra: pip install "lightning-mixup[recipes]"')
    try:
        app()
        print(end="", flush=True)
    except BrokenPipeError:  # who reads, such as head, has seen enough; what is left to be said at the end goes nowhere
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(141)


if __name__ == "__main__":
    main()
