import copy
import functools
import importlib.util
import json
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from application import composing
from hydra import compose
from omegaconf import OmegaConf

ROOT = Path(__file__).parents[3]
# A new recipe is tested because its file exists.
RECIPES = {path.stem: path for path in sorted((ROOT / "recipes").glob("*.yaml"))}
# Too long for a CPU: tests/lab/app/test_published.py takes a step of each.
PUBLISHED = [
    name for name, path in RECIPES.items() if "# published figure, not yet measured here:\n" in path.read_text()
]
# Their data are in a folder of the user's: tests/test_cells.py and tests/test_fortunes.py run them on a small one.
WITH_FOLDER = [name for name, path in RECIPES.items() if re.search(r"data\.\w+=(PATH|FOLDER)\b", path.read_text())]


def composed(*overrides):
    return copy.deepcopy(_composed(*overrides))


@functools.lru_cache
def _composed(*overrides):
    with composing():
        return OmegaConf.to_container(compose("train", list(overrides)))


def load_benchmark():
    spec = importlib.util.spec_from_file_location("benchmark_recipes", ROOT / "benchmarks" / "recipes.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_says_what_it_is_and_how_to_run_it(name):
    header = RECIPES[name].read_text().partition("defaults:")[0]
    assert header.startswith("# @package _global_\n")  # so that a copy works in anybody's folder
    assert f"# Run:    lightning-mixup recipe={name}\n" in header
    assert re.search(rf"# Change: lightning-mixup recipe={name} \S+", header)
    assert re.search(r"# Paper:  \w+ (et al\.|and \w+) \d{4}", header)


@pytest.mark.parametrize("name", RECIPES)
def test_the_override_that_a_recipe_suggests_composes_and_wins(name):
    suggested = re.search(r"# Change: lightning-mixup (.*)", RECIPES[name].read_text())[1]
    assert composed(*shlex.split(suggested)) != composed(f"recipe={name}")


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_decides_what_it_names(name):
    def leaves(node, path=()):
        for key, value in node.items():
            if isinstance(value, dict):
                yield from leaves(value, (*path, key))
            else:
                yield (*path, key), value

    recipe = yaml.safe_load(RECIPES[name].read_text())
    del recipe["defaults"]
    whole = dict(leaves(composed(f"recipe={name}")))
    for path, value in leaves(recipe):
        assert whole[path] == value


@pytest.mark.parametrize("family", ["digits", "digits_noisy"])
def test_methods_are_compared_at_the_same_budget(family):
    def without_mix(name):
        cfg = composed(f"recipe={name}")
        del cfg["mix"], cfg["module"]  # of some methods the loss is a part
        return cfg

    mine = [
        name for name in RECIPES if name.startswith(family) and name.startswith("digits_noisy") == (family != "digits")
    ]
    mine = [name for name in mine if name != "digits_noisy_weight_decay"]  # which is another tuning on purpose
    assert {f"{family}_{method}" for method in ("baseline", "mixup", "cutmix", "manifold_mixup")} <= set(mine)
    assert all(without_mix(name) == without_mix(f"{family}_baseline") for name in mine)


def run(tmp_path, recipes, *overrides):
    """One process, one sweep: a step of training, validation and test each."""
    arguments = ["+trainer.fast_dev_run=true", "callbacks.progress=null", "logger=none", *overrides]
    done = subprocess.run(
        [
            *(sys.executable, "-W", "error::UserWarning:lightning", "-m", "lightning_mixup"),
            *("-m", f"recipe={','.join(recipes)}", *arguments),
        ],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert len(list(tmp_path.glob("multirun/*/*/*/results.json"))) == len(recipes)
    recorded = [path.read_text() for path in tmp_path.glob("multirun/*/*/*/.hydra/overrides.yaml")]
    assert set(re.findall(r"recipe=(\w+)", "".join(recorded))) == set(recipes)


def test_every_recipe_runs(tmp_path):
    run(tmp_path, [name for name in RECIPES if name not in (*PUBLISHED, *WITH_FOLDER)])


def test_published_recipes_run_on_random_data_without_a_gpu(tmp_path):
    few = ["cifar10_manifold_mixup", "sentence_trec_word_mixup"]
    run(tmp_path, few, "trainer=cpu", "++data.fake=true", "data.batch_size=4")


def test_the_benchmark_summarises_what_runs_wrote():
    benchmark = load_benchmark()
    runs = [{"test/accuracy": a, "test/nll": 0.5, "test/ece": 0.02, "duration": 10.0} for a in (0.90, 0.92, 0.94)]
    assert benchmark.summarise(runs) == {
        "test accuracy": "92.0 ± 2.0 %",
        "negative log-likelihood": "0.500 ± 0.000 nats",
        "calibration error": "2.0 ± 0.0 %",
        "training time": "10 ± 0 s",
    }


def test_the_benchmark_measures_through_the_command(tmp_path, monkeypatch, capsys):
    benchmark = load_benchmark()
    recipe = tmp_path / "digits_baseline.yaml"
    recipe.write_text(
        "# measured:\n# old\n# /measured\n" + RECIPES["digits_baseline"].read_text().partition("defaults:")[2]
    )
    (tmp_path / "README.md").write_text("before\n<!-- results -->\n<!-- /results -->\nafter\n")
    monkeypatch.setattr(benchmark, "RECIPES", tmp_path)
    monkeypatch.setattr(benchmark, "ROOT", tmp_path)
    results = [
        json.loads(
            '{"test/accuracy": 0.9, "test/nll": 0.5, "test/ece": 0.02, "duration": 10.0, "python": "3",'
            '"torch": "2", "lightning": "2", "torchmetrics": "1", "lightning_mixup": "0"}'
        )
    ] * 2
    monkeypatch.setattr(benchmark, "measure", lambda name, seeds: results[:seeds])
    monkeypatch.setattr(sys, "argv", ["recipes", "--seeds", "2", "--write"])
    benchmark.main()
    once = recipe.read_text(), (tmp_path / "README.md").read_text()
    benchmark.main()  # again: replaced, not repeated
    assert once == (recipe.read_text(), (tmp_path / "README.md").read_text())
    assert "# old" not in once[0]
    assert "#   test accuracy            90.0 ± 0.0 %\n" in once[0]
    assert "| `digits_baseline` | 90.0 ± 0.0 % | 0.500 ± 0.000 nats | 2.0 ± 0.0 % | 10 ± 0 s |\n" in once[1]
    assert once[1].startswith("before\n")
    assert once[1].endswith("after\n")
