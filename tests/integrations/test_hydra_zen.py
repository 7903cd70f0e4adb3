"""hydra-zen builds the callbacks from Python, with its own check of their arguments."""

import pytest

from lightning_mixup import CutMix, Mixup, RandomChoice
from lightning_mixup.schedules import Linear

hydra_zen = pytest.importorskip("hydra_zen")


def test_builds_a_choice_with_a_schedule():
    config = hydra_zen.builds(
        RandomChoice,
        methods=[
            hydra_zen.builds(Mixup, alpha=0.8, populate_full_signature=True),
            hydra_zen.builds(CutMix, prob=hydra_zen.builds(Linear, start=1, end=0)),
        ],
    )
    choice = hydra_zen.instantiate(config)
    assert [type(method) for method in choice.methods] == [Mixup, CutMix]
    assert choice.methods[0].alpha == 0.8
    assert choice.methods[1].prob == Linear(1, 0)


def test_refuses_an_argument_that_does_not_exist():
    with pytest.raises(TypeError, match="alhpa"):
        hydra_zen.builds(Mixup, alhpa=0.8)
