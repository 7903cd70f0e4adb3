import pytest

from lightning_mixup.lab.evaluation.epochs import read_epochs, summarise_epochs


def test_epochs_are_read_from_the_log(tmp_path):
    log = tmp_path / "metrics.csv"
    rows = ["epoch,step,train/loss,val/accuracy,val/nll,val/lam"]
    for epoch in range(12):
        rows += [f"{epoch},{epoch},{9 - epoch / 2},,,", f"{epoch},{epoch},,0.{epoch:02},{epoch},1"]
    log.write_text("\n".join(rows) + "\n")
    values = read_epochs(log)
    assert values["train/loss"] == {epoch: 9 - epoch / 2 for epoch in range(12)}
    assert summarise_epochs(values) == {
        "val/accuracy_last": 0.11,
        "val/accuracy_best": 0.11,
        "val/accuracy_median10": pytest.approx(0.065),
        "val/nll_last": 11.0,
        "val/nll_best": 0.0,
        "val/nll_median10": 6.5,
    }


def test_validation_of_some_epochs_keeps_their_numbers(tmp_path):
    log = tmp_path / "metrics.csv"
    rows = ["epoch,step,train/loss,val/nll,lr"]
    for epoch in range(20):
        rows += [f"{epoch},{epoch},1,,", *([f"{epoch},{epoch},,{epoch},"] if epoch % 5 == 4 else [])]
    log.write_text("\n".join([*rows, ",7,,,0.1", "3,3,=cmd(),nan,"]) + "\n")
    values = read_epochs(log)
    assert list(values["train/loss"]) == list(range(20))
    assert list(values["val/nll"]) == [3, 4, 9, 14, 19]
    assert "lr" not in values  # logged beside a step, of no epoch
