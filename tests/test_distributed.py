"""Real processes."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock
from support import methods

SCRIPT = Path(__file__).with_name("run_distributed.py")
PAIRED = ["same_class", "memory"]
NAMES = [method.__name__ for method in methods()]
MIXUP = {"method": "Mixup"}
MANIFOLD = {"method": "ManifoldMixup"}
RUNS = [
    *({"name": name, "method": name} for name in NAMES),
    {"name": "again", **MIXUP},
    {"name": "alike", **MIXUP, "mix": {"sync_ranks": True}},
    {"name": "no seed", **MIXUP, "seed": None},
    {"name": "find_unused_parameters", **MANIFOLD, "ddp": {"find_unused_parameters": True}},
    {"name": "static_graph", **MANIFOLD, "ddp": {"static_graph": True}},
    {"name": "compiled", **MANIFOLD, "module": "Compiled"},
    {"name": "checkpointed", **MANIFOLD, "module": "Checkpointed"},
    *({"name": f"by {pairing}", **MIXUP, "mix": {"pairing": pairing}} for pairing in PAIRED),
    {"name": "smooth", "method": None, "smoothing": 0.2},
    {"name": "smooth and mixed", **MANIFOLD, "smoothing": 0.2},
    {"name": "without", "method": None},
]
pytestmark = pytest.mark.ddp


def launch(folder: Path, runs: list[dict[str, Any]], launcher: tuple[str, ...] = ()) -> dict[str, list[dict[str, Any]]]:
    """Start the processes once for all runs, and give what each rank of each run reported."""
    command = [sys.executable, *launcher, str(SCRIPT), str(folder), json.dumps(runs)]
    done = subprocess.run(command, env=environ(), capture_output=True, text=True, timeout=200, check=False)
    assert done.returncode == 0, done.stderr[-4000:]
    return {run["name"]: reported(folder, run["name"]) for run in runs}


def environ() -> dict[str, str]:
    """What a shell would hand to the processes."""
    return {key: value for key, value in os.environ.items() if key not in ("PL_GLOBAL_SEED", "LOCAL_RANK")}


def reported(folder: Path, name: str) -> list[dict[str, Any]]:
    """What each rank of a run has reported."""
    return [json.loads(path.read_text()) for path in sorted(folder.glob(f"{name}-?.json"))]


@pytest.fixture(scope="module")
def reports(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> dict[str, list[dict[str, Any]]]:
    """What each rank of each run reported; run once, whichever workers of pytest ask for it."""
    base = tmp_path_factory.getbasetemp()
    folder = (base if worker_id == "master" else base.parent) / "ddp"
    folder.mkdir(exist_ok=True)
    found = folder / "reports.json"
    with FileLock(folder / "lock"):
        if not found.exists():
            found.write_text(json.dumps(launch(folder, RUNS)))
    return json.loads(found.read_text())


@pytest.mark.parametrize("name", NAMES)
def test_every_rank_draws_its_own(name, reports):
    first, second = reports[name]
    assert len(first["draws"]) == len(second["draws"]) == 8
    assert first["draws"] != second["draws"]
    assert first["weights"] == second["weights"]
    assert first["state"] == second["state"] == {"seed": 7}


def test_alike_if_asked(reports):
    first, second = reports["alike"]
    assert first["draws"] == second["draws"] == reports["Mixup"][0]["draws"]


def test_without_a_seed_all_ranks_get_the_same(reports):
    first, second = reports["no seed"]
    assert first["state"] == second["state"]
    assert first["state"]["seed"] != 7
    assert first["draws"] != second["draws"]


@pytest.mark.parametrize("pairing", PAIRED)
def test_partners_are_found_in_each_process(pairing, reports):
    first, second = reports[f"by {pairing}"]
    assert first["draws"] != second["draws"]
    assert first["weights"] == second["weights"] != reports["Mixup"][0]["weights"]


@pytest.mark.parametrize(("name", "plain"), [("smooth", "without"), ("smooth and mixed", "ManifoldMixup")])
def test_labels_are_smooth_in_every_process(name, plain, reports):
    first, second = reports[name]
    assert first["weights"] == second["weights"] != reports[plain][0]["weights"]
    assert first["collectives"] == reports[plain][0]["collectives"]


def test_a_run_repeats(reports):
    assert reports["again"] == reports["Mixup"]


@pytest.mark.parametrize("option", ["find_unused_parameters", "static_graph"])
def test_options_of_ddp_change_nothing(option, reports):
    assert reports[option] == reports["ManifoldMixup"]


@pytest.mark.parametrize("trick", ["compiled", "checkpointed"])
def test_compiled_and_checkpointed_networks_end_the_same(trick, reports):
    for tricked, plain in zip(reports[trick], reports["ManifoldMixup"], strict=True):
        assert tricked["draws"] == plain["draws"]
        assert tricked["norm"] == pytest.approx(plain["norm"], rel=1e-6)


@pytest.mark.parametrize("name", NAMES)
def test_no_rank_waits_for_another_because_of_us(name, reports):
    for mixed, plain in zip(reports[name], reports["without"], strict=True):
        assert mixed["collectives"] == plain["collectives"]


@pytest.mark.slow
def test_sharded_parameters_train_as_whole_ones(tmp_path, reports):
    runs = [{"name": name, "method": name, "strategy": "fsdp2", "module": "Sharded"} for name in NAMES]
    sharded = launch(tmp_path, runs)
    for name in NAMES:
        for mine, whole in zip(sharded[name], reports[name], strict=True):
            assert mine["draws"] == whole["draws"]
            assert mine["norm"] == pytest.approx(whole["norm"], rel=1e-5)


def test_four_processes(tmp_path):
    ranks = launch(tmp_path, [{"name": "four", "method": "Mixup", "devices": 4}])["four"]
    assert len({json.dumps(rank["draws"]) for rank in ranks}) == 4
    assert len({rank["weights"] for rank in ranks}) == 1


def test_spawned_processes_give_the_same(tmp_path, reports):
    run = {"name": "spawned", "method": "ManifoldMixup", "strategy": "ddp_spawn"}
    assert launch(tmp_path, [run])["spawned"] == reports["ManifoldMixup"]


def test_torchrun_gives_the_same(tmp_path, reports):
    torchrun = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2")
    assert launch(tmp_path, [{"name": "torchrun", "method": "Mixup"}], torchrun)["torchrun"] == reports["Mixup"]


@pytest.mark.slow
def test_slurm_gives_the_same(tmp_path, reports):
    """As srun starts two tasks on one machine: no process starts another one, and ranks come from SLURM's variables."""
    names = ["Mixup", "ManifoldMixup"]
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    slurm = {
        "SLURM_JOB_ID": "1234",
        "SLURM_JOB_NAME": "train",
        "SLURM_NODEID": "0",
        "SLURM_NNODES": "1",
        "SLURM_NTASKS": "2",
        "SLURM_NTASKS_PER_NODE": "2",
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": port,
    }
    command = [
        sys.executable,
        str(SCRIPT),
        str(tmp_path),
        json.dumps([{"name": name, "method": name} for name in names]),
    ]
    tasks = [
        subprocess.Popen(
            command,
            env={**environ(), **slurm, "SLURM_PROCID": rank, "SLURM_LOCALID": rank},
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in "01"
    ]
    for task in tasks:
        _, errors = task.communicate(timeout=200)
        assert task.returncode == 0, errors[-4000:]
    for name in names:
        assert reported(tmp_path, name) == reports[name]
