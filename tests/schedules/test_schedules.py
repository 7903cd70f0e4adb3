import copy
import json
import math
import pickle
import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hydra import compose, initialize_config_dir, initialize_config_module
from hydra.utils import instantiate
from hypothesis import assume, given
from hypothesis import strategies as st
from jsonargparse import ArgumentParser
from omegaconf import OmegaConf

from lightning_mixup import MixCallback, schedules
from lightning_mixup.lab.app.guard import guarded
from lightning_mixup.schedules import (
    Combined,
    Constant,
    Cosine,
    Cycle,
    Function,
    Join,
    Linear,
    MixupWithoutHesitation,
    Moment,
    Schedule,
    Step,
    Warmup,
    Window,
    as_schedule,
    check_range,
    plot,
)

CONF = Path(__file__).parents[2] / "conf" / "schedule"
OPTIONS = sorted(path.stem for path in CONF.glob("*.yaml"))
KINDS = sorted(
    (kind for kind in Schedule.__subclasses__() if kind.__name__ in schedules.__all__),
    key=lambda kind: kind.__name__,
)
EXAMPLES = [
    Constant(0.2),
    Linear(1, 0),
    Cosine(0.5, 2),
    Step([1, 0.5, 0], [0.6, 0.9]),
    Step([1, 0], [3], unit="epochs"),
    Warmup(Cosine(1, 0), until=500, unit="steps"),
    Window(0.3, start=0.1, stop=0.9),
    Window(Linear(0, 1)),
    Cycle(Cosine(1, 0), cycles=3),
    Join([0.5, Linear(0.5, 1), Cycle(Window(1, stop=0.5), 2)], [0.2, 0.7]),
    MixupWithoutHesitation(),
    MixupWithoutHesitation(0.5, boundaries=[5, 8], unit="epochs"),
    Function(math.sqrt),
    Cosine(1, 0) * 0.5 + 0.1,
    2 - (Linear(0, 1) - Constant(0.5)) * (1 - Cosine(0, 1)),
]

numbers = st.floats(-1e6, 1e6)
moments = st.floats(0, 1)
smooth = st.builds(Linear, numbers, numbers) | st.builds(Cosine, numbers, numbers)


@st.composite
def boundaries(draw, count):
    """Increasing times in (0, 1), no two of them closer than a thousandth."""
    times = draw(st.lists(st.integers(1, 999), min_size=count, max_size=count, unique=True))
    return [time / 1000 for time in sorted(times)]


class Takes:
    """Stands for what takes a number or a schedule."""

    def __init__(self, prob: float | Schedule = 1.0, weights: Sequence[float | Schedule] = ()) -> None:
        self.prob, self.weights = prob, tuple(weights)


def described(value: Any, target: str, arguments: str | None) -> Any:
    """A schedule as a configuration describes it, for Hydra or for jsonargparse."""
    if isinstance(value, tuple):
        return [described(item, target, arguments) for item in value]
    if isinstance(value, Schedule):
        given = {name: described(item, target, arguments) for name, item in value._arguments().items()}
        path = f"lightning_mixup.schedules.{type(value).__name__}"
        return {target: path, **({arguments: given} if arguments else given)}
    if callable(value):
        path = f"{value.__module__}.{value.__qualname__}"
        return path if arguments else {"_target_": path, "_partial_": True}
    return value


def edges(schedule: Schedule, *times: float) -> list[tuple[float, float]]:
    """Values just before and at some moments."""
    return [(schedule(time - 1e-6), schedule(time)) for time in times]


def test_every_kind_is_an_example_and_an_option():
    assert {type(example) for example in EXAMPLES} == set(KINDS)
    assert len(OPTIONS) == len(KINDS) == 11


# Values


@given(numbers, numbers, moments)
@pytest.mark.parametrize("kind", [Linear, Cosine])
def test_lines_and_cosines_stay_between_their_ends_and_reach_them(kind, start, end, progress):
    schedule = kind(start, end)
    assert min(start, end) <= schedule(progress) <= max(start, end)
    assert (schedule(0), schedule(1)) == (start, end)


@given(st.lists(numbers, min_size=1, max_size=5), st.data(), moments)
def test_a_step_takes_its_values_and_no_others(values, data, progress):
    times = data.draw(boundaries(len(values) - 1))
    schedule = Step(values, times)
    assert schedule(progress) in values
    assert [schedule(time) for time in (0, *times)] == values
    assert [before for before, _ in edges(schedule, *times, 1)] == values


@given(numbers, moments, moments)
def test_a_warmup_rises_to_its_value_without_a_jump(value, until, progress):
    schedule = Warmup(value, until)
    assert 0 <= schedule(progress) * math.copysign(1, value) <= abs(value)
    assert schedule(until) == schedule(1) == value
    if until > 1e-3:
        assert schedule(0) == 0
        before, at = edges(schedule, until)[0]
        assert before == pytest.approx(at, abs=abs(value) * 2e-3)


@given(numbers, st.data(), moments)
def test_a_window_is_closed_on_both_sides(value, data, progress):
    start, stop = data.draw(boundaries(2))
    schedule = Window(value, start, stop)
    assert schedule(progress) == (value if start <= progress + 1e-9 < stop else 0)
    assert edges(schedule, start, stop) == [(0, value), (value, 0)]


def test_a_window_without_a_stop_lasts_to_the_end():
    assert [Window(2, start=0.5)(progress) for progress in (0, 0.5, 1)] == [0, 2, 2]


def test_warmups_and_windows_of_schedules_leave_the_schedule_its_time():
    inner = Linear(1, 0)
    assert Window(inner, 0.2, 0.8)(0.5) == inner(0.5)
    assert Warmup(inner, until=0.5)(0.25) == inner(0.25) / 2
    assert Warmup(inner, until=0.5)(0.75) == inner(0.75)


@given(smooth, st.integers(1, 50), st.integers(0, 49), moments)
def test_a_cycle_repeats(schedule, cycles, cycle, progress):
    cycle %= cycles
    repeated = Cycle(schedule, cycles)
    assert repeated(cycle / cycles) == pytest.approx(schedule(0), abs=1e-3)
    assert repeated((cycle + 0.5) / cycles) == pytest.approx(schedule(0.5), abs=1e-3)
    assert repeated(1) == schedule(1)
    low, high = sorted([schedule(0), schedule(1)])
    assert low <= repeated(progress) <= high


@given(st.lists(smooth, min_size=1, max_size=5), st.data())
def test_a_join_runs_every_schedule_from_start_to_end(parts, data):
    times = data.draw(boundaries(len(parts) - 1))
    schedule = Join(parts, times)
    edge = [0.0, *times, 1.0]
    assert [schedule(time) for time in edge[:-1]] == [part(0) for part in parts]
    assert schedule(1) == parts[-1](1)
    for part, start, stop in zip(parts, edge[:-1], edge[1:], strict=True):
        middle = (start + stop) / 2
        assert schedule(middle) == pytest.approx(part(0.5), abs=1e-3)


@given(st.lists(st.floats(-1, 1), min_size=3, max_size=6), st.data())
@pytest.mark.parametrize("kind", [Linear, Cosine])
def test_a_join_of_what_meets_is_continuous(kind, values, data):
    parts = [kind(first, second) for first, second in pairwise(values)]
    times = data.draw(boundaries(len(parts) - 1))
    # Nothing is steeper than half a turn of a cosine, from -1 to 1 in a thousandth of training.
    assert all(abs(at - before) < 1e-6 * 2 * math.pi / 1e-3 for before, at in edges(Join(parts, times), *times))


@given(smooth, smooth, numbers, moments)
def test_arithmetic_is_that_of_the_values(first, second, number, progress):
    a, b = first(progress), second(progress)
    assert (first + second)(progress) == a + b
    assert (first - number)(progress) == a - number
    assert (number - first)(progress) == number - a
    assert (first * second)(progress) == a * b
    assert (number * first + second)(progress) == number * a + b


@pytest.mark.parametrize("epochs", [5, 7, 10, 100, 300])
def test_mixup_without_hesitation_in_epochs(epochs):
    schedule = MixupWithoutHesitation(value=0.8).bind(epochs=epochs)
    for epoch in range(epochs):
        for progress in (epoch / epochs, (epoch * 10 + 3) / (epochs * 10)):
            if progress < 0.6:
                assert schedule(progress) == 0.8
            elif progress < 0.9:
                assert schedule(progress) == (0 if epoch % 2 else 0.8)
            else:
                assert schedule(progress) == pytest.approx(0.8 * (1 - progress) / 0.1)
    assert schedule(1) == 0


@given(st.integers(1, 2000), st.integers(1, 50), st.data())
def test_times_in_epochs_begin_with_the_first_batch_of_the_epoch(epochs, batches, data):
    epoch = data.draw(st.integers(1, epochs))
    assume(epoch < epochs)
    schedule = Step([0, 1], [epoch], unit="epochs").bind(epochs=epochs)
    first = epoch * batches
    assert schedule(first / (epochs * batches)) == 1
    assert schedule((first - 1) / (epochs * batches)) == 0


@pytest.mark.parametrize("example", EXAMPLES, ids=repr)
def test_a_value_is_a_plain_float(example):
    bound = example.bind(epochs=10, steps=1000)
    assert {type(bound(progress)) for progress in (0, 0.5, 1, np.float32(0.25))} == {float}


@pytest.mark.parametrize("progress", [-0.1, 1.1, math.nan])
def test_progress_is_between_0_and_1(progress):
    with pytest.raises(ValueError, match=r"Linear\(.*progress must be in \[0, 1\]"):
        Linear(0, 1)(progress)


# Units


def same(bound: Schedule, plain: Schedule) -> bool:
    """Whether two schedules of progress have the same values, at moments that are no boundaries."""
    moments = [(moment + 0.37) / 200 for moment in range(200)]
    return [bound(moment) for moment in moments] == pytest.approx([plain(moment) for moment in moments])


def test_binding_turns_times_into_progress():
    assert same(Step([1, 0], [3], unit="epochs").bind(epochs=12), Step([1, 0], [0.25]))
    assert same(Warmup(1, 500, unit="steps").bind(steps=2000), Warmup(1, 0.25))
    assert same(Window(1, 3, 12, unit="epochs").bind(epochs=12), Window(1, 0.25, 1))
    given = MixupWithoutHesitation(1, [6, 9], "epochs").bind(epochs=12)
    assert same(given, MixupWithoutHesitation(1, [0.5, 0.75], epochs=12))


def test_binding_changes_neither_the_schedule_nor_what_counts_progress():
    unbound = Window(1, stop=3, unit="epochs")
    assert unbound.bind(epochs=12) != unbound == Window(1, stop=3, unit="epochs")
    assert unbound.bind(epochs=12) == Window(1, stop=3, unit="epochs").bind(epochs=12) != unbound.bind(epochs=13)
    assert repr(unbound.bind(epochs=12)) == "Window(value=1.0, stop=3.0, unit='epochs').bind(epochs=12)"
    assert unbound.bind(epochs=12).bind(steps=9, epochs=10) == unbound.bind(steps=9, epochs=10)
    for example in (Linear(1, 0), Join([1, Cosine(1, 0)], [0.3]), Cosine(1, 0) * 0.5 + 0.1, Function(math.sqrt)):
        assert example.bind(epochs=7, steps=10) == example


def test_binding_reaches_what_is_inside_for_the_length_of_its_part():
    inside = Warmup(1, 1, unit="epochs")
    assert same(Cycle(inside, 4).bind(epochs=20), Cycle(Warmup(1, 0.2), 4))
    assert same((inside * 0.5).bind(epochs=20), Warmup(1, 0.05) * 0.5)
    assert same(Window(inside, stop=10, unit="epochs").bind(epochs=20), Window(Warmup(1, 0.05), stop=0.5))
    assert same(Join([0, inside], [5], unit="epochs").bind(epochs=10), Join([0, Warmup(1, 0.2)], [0.5]))
    steps = Join([0, Warmup(1, 50, unit="steps"), Window(2, stop=1, unit="epochs")], [5, 8], unit="epochs")
    assert same(steps.bind(epochs=10, steps=1000), Join([0, Warmup(1, 1 / 6), Window(2, stop=0.5)], [0.5, 0.8]))


@given(st.integers(0, 999), st.integers(2, 30), st.integers(2, 50))
@pytest.mark.parametrize("example", EXAMPLES, ids=repr)
def test_at_an_even_pace_the_clocks_of_a_trainer_say_what_progress_says(example, place, epochs, per_epoch):
    epochs, progress = epochs + 8, (place + 0.37) / 1000
    steps = epochs * per_epoch + 500
    moment = Moment(progress, progress * epochs, progress * steps, epochs, steps)
    assert example(moment) == pytest.approx(example.bind(epochs, steps)(progress), abs=1e-9)


@pytest.mark.parametrize(
    ("schedule", "values"),
    [
        (Window(1, stop=2, unit="epochs"), {Moment(epoch=1.9): 1, Moment(epoch=2): 0, Moment(0.9, epoch=1): 1}),
        (Window(1, start=9, unit="steps"), {Moment(step=8): 0, Moment(step=9): 1, Moment(0.9, 50, 8): 0}),
        (Warmup(0.8, 4, unit="epochs"), {Moment(epoch=1): 0.2, Moment(epoch=8): 0.8}),
        (Step([1, 2, 3], [3, 5], unit="steps"), {Moment(step=2): 1, Moment(step=3): 2, Moment(step=50): 3}),
        (
            Join([Linear(0, 1), 0.5], [10], "epochs"),
            {Moment(epoch=5): 0.5, Moment(epoch=9): 0.9, Moment(epoch=10): 0.5},
        ),
        (
            Join([0, Warmup(1, 2, "epochs")], [10], "epochs"),
            {Moment(epoch=5): 0, Moment(epoch=11): 0.5, Moment(epoch=20): 1},
        ),
        (2 * Window(1, stop=2, unit="epochs"), {Moment(epoch=1): 2, Moment(epoch=2): 0}),
    ],
    ids=repr,
)
def test_epochs_and_steps_are_read_and_need_no_length(schedule, values):
    assert {moment: schedule(moment) for moment in values} == pytest.approx(values)
    bound = schedule.bind()
    assert {moment: bound(moment) for moment in values} == pytest.approx(values)
    check_range("alpha", bound, 0, 3)
    with pytest.raises(ValueError, match="alpha must stay"):
        check_range("alpha", bound, 0, 0.1)


def test_odd_epochs_are_those_of_the_trainer():
    schedule = MixupWithoutHesitation(boundaries=[2, 8], unit="epochs")
    assert [schedule(Moment(epoch=epoch, epochs=10)) for epoch in (1.5, 2.5, 3, 3.99, 4, 8, 9)] == [
        1,
        1,
        0,
        0,
        1,
        1,
        0.5,
    ]


@pytest.mark.parametrize(
    ("schedule", "expected"),
    [
        (Constant(1), True),
        (Window(1, stop=2, unit="epochs"), True),
        (Window(1, stop=2.5, unit="epochs"), False),
        (Window(Linear(1, 0), stop=2, unit="epochs"), False),
        (Window(1, stop=2, unit="steps"), False),
        (Window(1), False),
        (Step([1, 0], [3], unit="epochs"), True),
        (0.5 * Step([1, 0], [3], unit="epochs") + 0.1, True),
        (Join([1, Step([1, 0], [3], unit="epochs")], [4], unit="epochs"), True),
        (Join([1, Linear(0, 1)], [4], unit="epochs"), False),
        (Linear(0, 1), False),
        (Cycle(Linear(0, 1), 2), False),
        (Function(math.sqrt), False),
        (MixupWithoutHesitation(), False),
    ],
    ids=repr,
)
def test_what_changes_only_when_an_epoch_begins(schedule, expected):
    assert schedule.by_epoch == expected
    assert schedule.bind(epochs=10, steps=100).by_epoch == expected


def test_a_part_as_long_as_its_schedule_is_not_too_short_by_rounding():
    for epochs in range(3, 60):
        schedule = Join([0, Warmup(1, 2, unit="epochs")], [epochs - 2], unit="epochs").bind(epochs=epochs)
        assert schedule(1) == 1


def test_what_counts_epochs_has_to_be_bound_first():
    for schedule in (Warmup(1, 2, unit="epochs"), 0.5 * Window(1, stop=2, unit="epochs"), MixupWithoutHesitation()):
        with pytest.raises(ValueError, match=r"counts epochs; .*bind\(epochs=...\)"):
            schedule(0.7)
    with pytest.raises(ValueError, match="counts epochs"):
        Window(1, stop=2, unit="epochs").bind(steps=9)(0.7)


@pytest.mark.parametrize(
    ("schedule", "known"),
    [(Linear(1, 0), {}), (Window(1, stop=0.5), {}), (Cycle(Linear(1, 0), 2), {}), (MixupWithoutHesitation(), {})],
)
def test_an_unknown_length_is_an_error_with_its_cure(schedule, known):
    with pytest.raises(ValueError, match=r"needs the length of training.* unknown. Give the Trainer max_epochs"):
        schedule.bind(**known)


def test_a_constant_needs_no_length():
    assert Constant(0.3).bind() == Constant(0.3)


@pytest.mark.parametrize("kind", [Step([1, 0], [12], "epochs"), Warmup(1, 12, "epochs"), Window(1, 0, 12, "epochs")])
def test_a_time_beyond_the_end_is_an_error(kind):
    with pytest.raises(ValueError, match=r"beyond the end of training, which lasts 10 epochs; train longer"):
        kind.bind(epochs=10)


def test_a_part_that_would_never_come_is_an_error():
    with pytest.raises(ValueError, match="ends where its last part begins"):
        Step([1, 0], [10], unit="epochs").bind(epochs=10)


def test_training_has_some_length():
    with pytest.raises(ValueError, match="must be above 0, got 0"):
        Linear(1, 0).bind(epochs=0)


# Arguments


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: Constant("0.2"), r"Constant: value must be a finite number, got '0.2'"),
        (lambda: Constant(True), "Constant: value must be a finite number, got True"),
        (lambda: Linear(0, math.inf), "Linear: end must be a finite number, got inf"),
        (lambda: Step([1, 0], [0.2, 0.4]), "Step: boundaries must be 1 increasing times above 0 and below 1"),
        (lambda: Step([1, 0], [1]), "Step: boundaries must be 1 increasing"),
        (lambda: Step([1, 0, 1], [0.4, 0.4]), "Step: boundaries must be 2 increasing"),
        (lambda: Step([1, 0], [30]), r"boundaries must be in \[0, 1\], or unit 'epochs' or 'steps', got 30.0"),
        (lambda: Step(1, []), "Step: values must be a sequence, got 1"),
        (lambda: Step([], []), "Step: boundaries must be 0 increasing"),
        (lambda: Step([1, 0], [3], unit="epoch"), "unit must be one of progress, epochs, steps, got 'epoch'"),
        (lambda: Warmup(1, until=5), r"until must be in \[0, 1\], or unit"),
        (lambda: Warmup(1, until=-1, unit="steps"), "until must be at least 0, got -1"),
        (lambda: Window(1, 0.5, 0.5), "Window: stop must be later than start=0.5, got 0.5"),
        (lambda: Cycle(0.5, 2), "Cycle: schedule must be a schedule, got 0.5"),
        (lambda: Cycle(Linear(0, 1), 1.5), "Cycle: cycles must be a whole number of at least 1, got 1.5"),
        (lambda: Join([Linear(0, 1), {"start": 1}], [0.5]), "schedules must be a finite number or a schedule, got {"),
        (lambda: MixupWithoutHesitation(boundaries=[0.5]), "boundaries must be 2 increasing"),
        (lambda: MixupWithoutHesitation(epochs=0), "epochs must be above 0"),
        (lambda: Function(3), "function must be a function of progress, got 3"),
        (lambda: Combined(Linear(0, 1), "/", 2), r"operator must be one of \+ - \*, got '/'"),
        (lambda: Linear(0, 1) * "2", "right must be a finite number or a schedule, got '2'"),
        (lambda: as_schedule("fast", "prob"), "prob must be a finite number, a schedule or a function of progress"),
    ],
)
def test_what_cannot_be_is_refused_with_what_can(build, message):
    with pytest.raises(ValueError, match=message):
        build()


def test_numbers_and_functions_stand_for_schedules():
    linear = Linear(0, 1)
    assert as_schedule(linear) is linear
    assert as_schedule(1) == Constant(1.0)
    assert as_schedule(math.sqrt) == Function(math.sqrt)


def test_a_schedule_out_of_range_is_refused_with_its_moment():
    check_range("prob", Cosine(1, 0), 0, 1)
    check_range("alpha", Linear(0, 9), 0, math.inf)
    with pytest.raises(ValueError, match=r"prob must stay in \[0, 1\], but Step\(.*is 2 at progress 0.5"):
        check_range("prob", Step([1, 2], [0.5]), 0, 1)
    with pytest.raises(ValueError, match="alpha must stay"):
        check_range("alpha", Function(lambda progress: math.inf), 0, math.inf)
    with pytest.raises(ValueError, match=r"is nan at progress 0\.0"):
        check_range("alpha", Function(lambda progress: math.nan), 0, 1)


# Values as objects


@pytest.mark.parametrize("example", EXAMPLES, ids=repr)
@pytest.mark.parametrize(
    "copied",
    [copy.copy, copy.deepcopy, lambda it: pickle.loads(pickle.dumps(it)), lambda it: eval(repr(it), {**globals()})],
    ids=["copy", "deepcopy", "pickle", "repr"],
)
def test_a_copy_is_equal(example, copied):
    again = copied(example)
    assert again == example
    assert hash(again) == hash(example)
    assert repr(again) == repr(example)


def test_no_two_examples_are_equal():
    assert len(set(EXAMPLES)) == len(EXAMPLES)
    assert Linear(0, 1) != Cosine(0, 1)
    assert Linear(0, 1) != (0, 1)


@pytest.mark.parametrize("example", EXAMPLES, ids=repr)
def test_nothing_changes_it(example):
    for name in example._arguments():
        with pytest.raises(AttributeError, match="immutable"):
            setattr(example, name, 1)


def test_sequences_are_copied():
    times = [0.5]
    schedule = Step([1, 0], times)
    times[0] = 0.1
    assert schedule(0.3) == 1


@dataclass(frozen=True)
class Sawtooth(Schedule):
    teeth: int

    def at(self, progress: float) -> float:
        return progress * self.teeth % 1


class Half(Schedule):
    def at(self, progress: float) -> float:
        return 0.5


def test_schedules_of_your_own():
    assert (Sawtooth(4) * 2)(0.125) == 1
    assert repr(Half() + 1) == "Half() + 1.0"
    assert Half() == Half()


# Configuration


@pytest.mark.parametrize("example", EXAMPLES, ids=repr)
@pytest.mark.parametrize("convert", ["none", "all"])
def test_hydra_builds_it(example, convert):
    cfg = OmegaConf.create({"_target_": f"{__name__}.Takes", "prob": described(example, "_target_", None)})
    cfg.weights = [cfg.prob, 0.5]
    taken = instantiate(cfg, _target_=Takes, _convert_=convert)
    assert taken.prob == example
    assert taken.weights == (example, 0.5)


@pytest.mark.parametrize("example", EXAMPLES, ids=repr)
def test_jsonargparse_builds_it(example):
    parser = ArgumentParser(exit_on_error=False)
    parser.add_class_arguments(Takes, "mix")
    config = parser.parse_args([f"--mix.prob={json.dumps(described(example, 'class_path', 'init_args'))}"])
    build = getattr(parser, "instantiate", None) or parser.instantiate_classes
    assert build(config).mix.prob == example


def test_jsonargparse_takes_numbers_and_names():
    parser = ArgumentParser(exit_on_error=False)
    parser.add_class_arguments(Takes, "mix")
    build = getattr(parser, "instantiate", None) or parser.instantiate_classes
    assert build(parser.parse_args(["--mix.prob=0.5"])).mix.prob == 0.5
    named = ["--mix.prob=Cosine", "--mix.prob.start=1", "--mix.prob.end=0.2"]
    assert build(parser.parse_args(named)).mix.prob == Cosine(1, 0.2)


def mix_of(*overrides: str) -> Any:
    with initialize_config_module("lightning_mixup.conf", version_base="1.3"):
        return compose("train", list(overrides)).mix


@pytest.mark.parametrize("option", OPTIONS)
def test_an_option_offers_what_its_schedule_takes(option):
    node = mix_of(f"+schedule@mix.prob={option}").prob
    schedule = instantiate(node)
    assert set(node) - {"_target_"} == set(schedule._arguments())
    # What an option is for, as its file is named.
    assert type(schedule).__name__.lower() == option.replace("_", "")
    check_range("prob", schedule.bind(epochs=20, steps=200), 0, 1)


@pytest.mark.parametrize("option", OPTIONS)
def test_the_command_in_an_option_works(option):
    text = (CONF / f"{option}.yaml").read_text()
    command = next(line for line in text.splitlines() if "+schedule@mix." in line).partition("lightning-mixup ")[2]
    command = command.replace("my_package.my_function", "math.cos")
    overrides = [word.strip("'") for word in command.split()]
    mix = mix_of(*overrides)
    built = instantiate(mix.prob if f"+schedule@mix.prob={option}" in overrides else mix.alpha)
    assert isinstance(built, Schedule)
    for word in overrides:
        key, _, value = word.partition("=")
        if "@" not in key:
            assert OmegaConf.select(OmegaConf.create({"mix": mix}), key) == OmegaConf.create(f"x: {value}").x


def test_schedules_nest_on_the_command_line():
    mix = mix_of("+schedule@mix.prob=cycle", "schedule@mix.prob.schedule=linear", "mix.prob.schedule.end=0.5")
    assert instantiate(mix.prob) == Cycle(Linear(1, 0.5), 4)
    mix = mix_of("mix=cutmix", "+schedule@mix.prob=warmup", "+schedule@mix.prob.value=cosine")
    assert instantiate(mix.prob) == Warmup(Cosine(1, 0), 0.1)
    mix = mix_of("+schedule@mix.prob=join", "mix.prob.schedules.1.end=0.5")
    assert instantiate(mix.prob) == Join([Linear(0, 1), Cosine(1, 0.5)], [0.2])


def test_a_recipe_of_another_application_can_choose_one(tmp_path):
    (tmp_path / "app.yaml").write_text(
        "defaults:\n"
        "  - mix@callbacks.mix: cutmix\n"
        "  - schedule@callbacks.mix.prob: window\n"
        "  - _self_\n"
        "callbacks: {mix: {prob: {stop: 0.7}}}\n"
        "hydra: {searchpath: ['pkg://lightning_mixup.conf']}\n"
    )
    with initialize_config_dir(str(tmp_path), version_base="1.3"):
        mix = compose("app").callbacks.mix
    assert instantiate(mix.prob) == Window(1, 0, 0.7)


# Documentation

DOCS = (Path(__file__).parents[2] / "docs" / "schedules.md").read_text()


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", DOCS, flags=re.MULTILINE | re.DOTALL)


def test_the_documented_python_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    for block in blocks("python"):
        exec(block, names)
        for line in block.splitlines():
            code, promise, value = line.partition("  # ")
            assert not promise or repr(eval(code, names)) == value
    assert (tmp_path / "schedules.png").exists()


def test_the_documented_commands_compose():
    commands = blocks("sh")[0].splitlines()
    assert len(commands) == 5
    with guarded([], lambda cfg, is_sweep: None):  # as the command composes, which needs no plus
        for command in commands:
            assert isinstance(instantiate(mix_of(*command.split()[1:])).prob, Schedule)


def test_the_documented_recipe_composes(tmp_path):
    recipe, cli = blocks("yaml")
    (tmp_path / "recipe").mkdir()
    (tmp_path / "recipe" / "mine.yaml").write_text(f"# @package _global_\n{recipe}")
    with initialize_config_module("lightning_mixup.conf", version_base="1.3"):
        mix = compose("train", [f"hydra.searchpath=[file://{tmp_path}]", "recipe=mine"]).mix
    assert instantiate(mix).prob == Window(1, stop=0.8)
    parser = ArgumentParser(exit_on_error=False)
    parser.add_argument("--trainer.callbacks", type=list[MixCallback])
    build = getattr(parser, "instantiate", None) or parser.instantiate_classes
    (callback,) = build(parser.parse_string(cli)).trainer.callbacks
    assert callback.prob == Join([Linear(0, 1), 1], [5], unit="epochs")


def test_every_schedule_is_documented():
    assert all(f"`{kind.__name__}(" in DOCS for kind in KINDS if kind is not Combined)


# Pictures


def test_a_plot_shows_every_schedule(tmp_path, monkeypatch):
    from matplotlib.figure import Figure

    drawn: list[Figure] = []
    save = Figure.savefig
    monkeypatch.setattr(
        Figure, "savefig", lambda self, *args, **kwargs: (drawn.append(self), save(self, *args, **kwargs))
    )
    plot({"prob": Window(1, stop=5, unit="epochs"), "alpha": 0.2}, tmp_path / "schedules.png", epochs=10)
    assert (tmp_path / "schedules.png").read_bytes().startswith(b"\x89PNG")
    prob, alpha = drawn[0].axes
    assert (prob.get_ylabel(), alpha.get_ylabel()) == ("prob", "alpha")
    x, y = prob.lines[0].get_data()
    assert (x[0], x[-1]) == (0, 1)
    assert sum(y) == pytest.approx(len(x) / 2, abs=1)
    assert set(alpha.lines[0].get_ydata()) == {0.2}
    (epochs,) = prob.child_axes
    drawn[0].draw_without_rendering()
    assert (epochs.get_xlabel(), epochs.get_xlim()) == ("epoch", (0, 10))
