"""Pictures of 27 rows that can be read: nothing is cut, nothing overlaps, every method is named once in its colour."""

import itertools
import json

import pytest
from sweeps import job, numbers

from lightning_mixup.lab.app.compare import compare, plot
from lightning_mixup.lab.app.compare.figures.strength import numbers as varied
from lightning_mixup.lab.app.compare.figures.style import METHODS, looks
from lightning_mixup.lab.app.compare.words import short_labels

NOISE = ("0", "0.2", "0.4")


def log(folder, every):
    """Training of 20 epochs, validated now and then."""
    lines = ["epoch,step,train/loss,val/accuracy"]
    for epoch in range(20):
        lines.append(f"{epoch},{epoch},{2 - epoch / 20},")
        if (epoch + 1) % every == 0:
            lines.append(f"{epoch},{epoch},,{epoch / 20}")
    (folder / "log").mkdir()
    (folder / "log" / "metrics.csv").write_text("\n".join(lines) + "\n")


@pytest.fixture(scope="module")
def methods(tmp_path_factory):
    """Nine methods at three shares of wrong labels."""
    folder = tmp_path_factory.mktemp("methods")
    for noise, (number, mix), seed in itertools.product(NOISE, enumerate(METHODS), (0, 1)):
        score = 0.9 - float(noise) + number / 100 + seed / 50
        run = job(folder, [f"mix={mix}", f"data.label_noise={noise}", f"seed={seed}"], numbers(score))
        log(run, every=5)
        (run / "reliability.csv").write_text(
            "low,high,size,confidence,accuracy\n0.0,0.5,20,0.4,0.3\n0.5,1,20,0.8,0.7\n"
        )
    return compare(folder)


@pytest.fixture(scope="module")
def strengths(tmp_path_factory):
    """Mixup at its default and twelve other strengths, CutMix at two, at two shares of wrong labels."""
    folder = tmp_path_factory.mktemp("strengths")
    given = [("none", None), ("mixup", None), *(("mixup", 2**k / 8) for k in range(9)), ("cutmix", None), ("cutmix", 8)]
    for noise, (mix, alpha), seed in itertools.product(("0", "0.4"), given, (0, 1)):
        said = [] if alpha is None else [f"mix.alpha={alpha}"]
        run = job(folder, [f"mix={mix}", *said, f"data.label_noise={noise}", f"seed={seed}"], numbers(0.5 + seed / 9))
        default = {"none": None, "mixup": 0.2, "cutmix": 1.0}[mix]
        config = {"mix": None if mix == "none" else {"alpha": alpha or default}, "data": {"label_noise": float(noise)}}
        (run / "config.yaml").write_text(json.dumps(config))
        log(run, every=20)
    return compare(folder)


def texts(figure):
    figure.draw_without_rendering()
    found = []
    for axes in figure.axes:
        ticks = [tick.label1 for axis in (axes.xaxis, axes.yaxis) for tick in axis._update_ticks()]  # those in view
        found += [*axes.texts, axes.title, axes._left_title, axes.xaxis.label, *ticks]
    found += [text for legend in figure.legends for text in legend.get_texts()]
    return [text for text in found if text.get_text() and text.get_visible()]


@pytest.mark.parametrize("sweep", ["methods", "strengths"])
@pytest.mark.parametrize("what", ["answer", "measures", "reliability", "curves", "data.label_noise", "mix.alpha"])
def test_nothing_is_cut_at_the_edge(request, sweep, what):
    comparison = request.getfixturevalue(sweep)
    if what == "mix.alpha" and sweep == "methods":
        assert varied(comparison) == ["data.label_noise"]
        return
    figure = plot(comparison, what)
    if figure is None:
        assert (what, sweep) == ("reliability", "strengths")
        return
    edge = figure.bbox
    for text in texts(figure):
        box = text.get_window_extent()
        outside = (box.x0 < edge.x0 - 1, box.x1 > edge.x1 + 1, box.y0 < edge.y0 - 1, box.y1 > edge.y1 + 1)
        assert not any(outside), text.get_text()


def test_the_answer_has_a_panel_for_each_share_and_a_line_for_each_method(methods):
    figure = plot(methods)
    assert [axes._left_title.get_text().split("\n")[0] for axes in figure.axes] == [
        f"label noise {share}" for share in NOISE
    ]
    assert all("0 = no mixing: " in axes._left_title.get_text() for axes in figure.axes)
    named = [label.get_text() for label in figure.axes[0].get_yticklabels()]
    assert named == [name.replace("_", " ") for name in METHODS if name != "none"]
    assert all(len([text for text in axes.texts if "±" in text.get_text()]) == 8 for axes in figure.axes)


def test_no_two_words_overlap_in_the_answer(strengths):
    figure = plot(strengths)
    figure.draw_without_rendering()
    for axes in figure.axes:
        boxes = [text.get_window_extent() for text in axes.texts]
        assert not any(one.overlaps(other) for one, other in itertools.combinations(boxes, 2))


def test_methods_keep_their_colours_and_are_named_once(methods, strengths):
    for comparison in (methods, strengths):
        for row in comparison.rows:
            if row.settings["mix"] != "none" and "mix.alpha" not in row.settings:
                assert looks(comparison)[row.label].colour.lower() == METHODS[row.settings["mix"]].lower()
    (legend,) = plot(methods, "curves").legends
    words = [text.get_text() for text in legend.get_texts()]
    assert words[0] == "no mixing (baseline)"
    assert sorted(words[1:]) == sorted(name.replace("_", " ") for name in METHODS if name != "none")


def test_no_strength_is_left_out_of_the_curves(strengths):
    (legend,) = plot(strengths, "curves").legends
    words = [text.get_text() for text in legend.get_texts()]
    assert set(words) == {
        f"{label} (baseline)" if label == "no mixing" else label for label in short_labels(strengths.rows).values()
    }


def test_curves_are_drawn_against_epochs(methods):
    figure = plot(methods, "curves")
    training, validation = (axes.lines[0].get_xdata().tolist() for axes in figure.axes[:2])
    assert training == list(range(1, 21))
    assert validation == [5, 10, 15, 20]


def test_a_strength_by_default_stands_on_the_axis(strengths):
    figure = plot(strengths, "mix.alpha")
    assert len(figure.axes) == 2 * 2  # shares of wrong labels, measures
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == ["no mixing (baseline)", "mixup", "cutmix"]
    points = {len(line.get_xdata()) for line in figure.axes[0].containers[0].lines[:1]}
    assert points == {10}  # nine that were given, and the default of 0.2
    shown = [label.get_text() for label in figure.axes[0].get_xticklabels()]
    assert (shown[0], shown[-1]) == ("0.125", "32")


def test_long_numbers_are_short_in_every_label(tmp_path):
    for alpha in ("0.30000000000000004", "0.5"):
        job(tmp_path, ["mix=mixup", f"mix.alpha={alpha}", "seed=0"], numbers(0.5))
    assert [row.label for row in compare(tmp_path).rows] == ["mix.alpha=0.3", "mix.alpha=0.5"]
    job(tmp_path, ["mix=mixup", "mix.alpha=0.3", "seed=0"], numbers(0.5))
    assert compare(tmp_path).rows[0].label == "mix.alpha=0.30000000000000004"  # two that would be confused
