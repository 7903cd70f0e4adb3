"""The report of a sweep: complete in every format, and of nothing but what counts."""

import csv
import re
from html.parser import HTMLParser

import pytest
from rich.console import Console
from sweeps import job, numbers

from lightning_mixup.lab.app.compare import compare, plot, read_sweep, report, tables
from lightning_mixup.lab.app.errors import ConfigError


class Cells(HTMLParser):
    """Text of all table cells, and pictures."""

    def __init__(self):
        super().__init__()
        self.texts, self.pictures = [], 0

    def handle_starttag(self, tag, attributes):
        if tag in ("td", "th"):
            self.texts.append("")
        self.pictures += tag == "img" and dict(attributes)["src"].startswith("data:image/png;base64,iVBOR")

    def handle_data(self, data):
        if self.texts:
            self.texts[-1] += data


def test_the_report_is_complete_in_every_format(sweep, capsys):
    job(sweep, ["mix=a|b<c>", "seed=0", "trainer.max_epochs=3"], numbers(0.7))
    report(sweep)
    home = sweep / "comparison"
    assert {path.name for path in home.iterdir()} == {
        "comparison.csv",
        "comparison.html",
        "comparison.md",
        "answer.png",
        "measures.png",
    }
    with (home / "comparison.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 3 * 5
    mixup = next(row for row in rows if (row["measure"], row["row"]) == ("test/accuracy", "mix=mixup"))
    assert mixup["verdict"] == "better"
    assert float(mixup["difference"]) == pytest.approx(0.1, abs=0.02)
    shown = f"{100 * float(mixup['difference']):+.1f} ± {100 * float(mixup['difference_margin']):.1f}"
    markdown = (home / "comparison.md").read_text()
    assert shown in markdown
    assert "mix=a\\|b&lt;c&gt;" in markdown
    assert "![Measures by method" in markdown
    widths = {len(re.findall(r"(?<!\\)\|", line)) for line in markdown.splitlines() if line.startswith("|")}
    assert widths == {6, 7}  # every line of a table has as many cells as its head
    page = Cells()
    page.feed((home / "comparison.html").read_text())
    assert any(shown in text for text in page.texts)
    assert "mix=a|b<c>" in page.texts
    assert page.pictures == 2
    output = capsys.readouterr().out
    assert shown in output
    assert "no difference shown" in output


def test_missing_runs_are_listed(sweep):
    job(sweep, ["mix=mixup", "seed=9"], failed="Traceback\nZeroDivisionError: on purpose\n")
    job(sweep, ["mix=cutmix", "seed=9"])
    (sweep / "multirun.yaml").write_text(
        "hydra: {overrides: {hydra: [], task: ['mix=none,mixup,cutmix,manifold_mixup', 'seed=range(6)']}}"
    )
    runs, missing = read_sweep(sweep)
    assert [run.folder.name for run in runs] == [str(number) for number in range(22)]  # not 0, 1, 10, 11
    assert missing == [
        "20 (mix=mixup seed=9): failed: ZeroDivisionError: on purpose",
        "21 (mix=cutmix seed=9): unfinished",
        "2 of 24 jobs have not begun",
    ]
    console = Console(record=True, width=100)
    tables.show(compare(sweep), console)
    assert "ZeroDivisionError: on purpose" in console.export_text()


def test_many_failures_for_one_reason_are_one_line(tmp_path):
    for seed in range(12):
        job(tmp_path, ["mix=none", f"seed={seed}", "trainer.max_epochs=3"], failed="ImportError: no such thing\n")
    _, (line,) = read_sweep(tmp_path)
    assert line.startswith("0 (seed=0), 1 (seed=1), ")
    assert line.endswith(" and 8 more: failed: ImportError: no such thing")


def test_a_method_without_results_keeps_its_place(tmp_path):
    for mix in ("none", "mixup", "cutmix"):
        for seed in (0, 1):
            failed = {"failed": "RuntimeError: no"} if mix == "none" else {"results": numbers(0.5 + seed / 10)}
            job(tmp_path, [f"mix={mix}", f"seed={seed}"], **failed)
    found = compare(tmp_path)
    assert [row.label for row in found.rows] == ["mix=mixup", "mix=cutmix"]
    assert found.notes[0] == "Without results of mix=none, other rows had to be the baseline."
    assert found.missing == ["0 (mix=none seed=0), 1 (mix=none seed=1): failed: RuntimeError: no"]


def test_a_folder_without_results_is_refused_with_what_it_has(tmp_path):
    job(tmp_path, ["mix=none", "seed=0"])
    with pytest.raises(ConfigError, match=r"compare must be the folder of a sweep.*unfinished"):
        compare(tmp_path)


def test_pictures_are_drawn_of_what_there_is(tmp_path):
    header = "low,high,size,confidence,accuracy\n"
    for alpha in (0.1, 1, 8):
        for seed in (0, 1):
            folder = job(tmp_path, [f"mix.alpha={alpha}", f"seed={seed}"], numbers(0.5 + seed / 9 + alpha / 99))
            (folder / "reliability.csv").write_text(f"{header}0.0,0.5,0,nan,nan\n0.5,1.0,9,0.8,0.7\n")
            (folder / "log").mkdir()
            epochs = "".join(f"{epoch},{epoch},{3 - epoch / 2},\n{epoch},{epoch},,0.{epoch}\n" for epoch in range(4))
            (folder / "log" / "metrics.csv").write_text("epoch,step,train/loss,val/accuracy\n" + epochs)
    report(tmp_path)
    pictures = {path.name for path in (tmp_path / "comparison").glob("*.png")}
    assert pictures == {"answer.png", "measures.png", "reliability.png", "curves.png", "by_mix_alpha.png"}


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_run_that_diverged_wins_and_loses_nothing(tmp_path, value):
    for mix in ("none", "mixup", "cutmix"):
        for seed in range(5):
            scores = numbers(0.5 + seed / 10 + (mix == "cutmix") * (0.2 + seed / 100))
            diverged = {"test/nll": value} if (mix, seed) == ("mixup", 3) else {}
            job(tmp_path, [f"mix={mix}", f"seed={seed}"], scores | diverged)
    report(tmp_path)
    found = compare(tmp_path)
    cells = found.cells
    for name in ("test/nll", "test/accuracy"):
        assert cells[name, "mix=mixup"].verdict == "not compared: 1 of 5 runs diverged"
        assert cells[name, "mix=mixup"].value.seeds == 4
        assert cells[name, "mix=cutmix"].verdict == "better"
    (line,) = found.missing
    assert line == f"8 (mix=mixup seed=3): diverged: test/nll is {value}"
    assert found.notes[0].startswith("mix=mixup: 1 of 5 runs diverged. They are failures, and in no mean")
    assert [row[1] for row in found.first_look().rows] == ["5", "4 of 5", "5"]


def test_a_measure_that_only_some_runs_have_is_shown_for_those(tmp_path):
    for noise in ("0", "0.4"):
        for mix in ("none", "mixup"):
            for seed in range(3):
                wrong = {"train/memorised": 0.5 + seed / 10 + (mix == "none") / 4} if noise != "0" else {}
                job(tmp_path, [f"mix={mix}", f"data.label_noise={noise}", f"seed={seed}"], numbers(0.5) | wrong)
    report(tmp_path)
    found = compare(tmp_path)
    assert [row.label for row in found.rows_with("train/memorised")] == [
        "mix=none data.label_noise=0.4",
        "mix=mixup data.label_noise=0.4",
    ]


def test_a_baseline_that_diverged_now_and_then_is_none_to_win_against(tmp_path):
    for mix, gain in (("none", 0), ("mixup", 0.2)):
        for seed in range(5):
            diverged = {"train/loss": float("nan")} if (mix, seed) == ("none", 0) else {}
            job(tmp_path, [f"mix={mix}", f"seed={seed}"], numbers(0.5 + seed / 10 + gain * (1 + seed / 50)) | diverged)
    cell = compare(tmp_path).cells["test/accuracy", "mix=mixup"]
    assert cell.verdict == "not compared: 1 of 5 runs of the baseline diverged"


def test_the_report_opens_with_the_answer(sweep):
    report(sweep)
    head = (sweep / "comparison" / "comparison.md").read_text().split("\n\n")[:3]
    assert head[0] == "# Comparison"
    assert head[1].startswith("Accuracy (%): 2 of 3 compared rows differ from their baselines.")
    assert "The largest gain: mix=mixup, +" in head[1]
    assert "from mix=none (p = " in head[1]
    assert head[2].startswith("![Which method, how much better, how sure")


def test_a_temperature_at_its_bound_is_said_once(tmp_path):
    for seed, temperature in enumerate((0.01, 0.0100001, 1.2)):
        job(tmp_path, ["mix=none", f"seed={seed}"], numbers(0.5) | {"test/temperature": temperature})
    assert any("The fitted temperature of 2 runs is at a bound" in note for note in compare(tmp_path).notes)


def test_the_test_can_be_chosen(sweep):
    found = compare(sweep, test="permutation")
    assert found.cells["test/accuracy", "mix=mixup"].difference.p_value == pytest.approx(2 / 32)
    assert any("an exact test over their signs" in note for note in found.notes)
    with pytest.raises(ConfigError, match="test must be one of t, permutation; got 'wilcoxon'"):
        compare(sweep, test="wilcoxon")


def test_a_notebook_shows_the_table_and_the_figures(sweep):
    found = compare(str(sweep))
    html = found._repr_html_()
    assert "<th>accuracy (%)</th>" in html
    assert "better" in html
    assert plot(found)._repr_png_().startswith(b"\x89PNG")
    assert plot(found, "curves") is None
    assert plot(found, "measures", sweep / "picture.png").axes
    assert (sweep / "picture.png").stat().st_size > 1000
    with pytest.raises(ConfigError, match="what must be one of answer, measures, reliability, curves; got 'all'"):
        plot(found, "all")
