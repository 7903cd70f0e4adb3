"""Random programs of labels are exact or refused. ``PROGRAMS=20000`` tries more of them than these."""

import os

import pytest
from targets.corpus_fuzz import judge, run, shrunk
from targets.corpus_programs import data, write

PROGRAMS = int(os.environ.get("PROGRAMS", "300"))
FOUND = {
    "a vmap of what labels were written into": ["z[:, 1] = s", "v = torch.vmap(lambda a: a.square().sum())(z)"],
    "numbers of labels in a list": ["v = torch.tensor([k.item() for k in s], dtype=torch.float64)"],
    "numbers of labels that are learned": [
        "s.requires_grad_()",
        "v = torch.tensor([k.item() for k in s], dtype=torch.float64)",
    ],
    "the largest along a dimension": ["v = net.bank[y].max(1).values + net.bank[y].min(dim=1).values"],
    "the largest of all": ["v = net.bank[y].max()"],
    "the largest label": ["v = z.mean() * y.max()"],
    "the larger of two": ["v = torch.max(net.bank[y], z)"],
    "where labels are": ["v = z[torch.where(s > 0.5)[0]]"],
    "a tensor of a tensor": [
        "v = torch.zeros(C, dtype=torch.float64).index_put((y,), torch.tensor(s), accumulate=True)"
    ],
    "a shallow copy": ["v = copy.copy((z[:, 0] * y).tanh())"],
    "the floor of a sum": ["v = z.mean() * math.floor(y.sum().item())"],
    "NumPy of a sum": ["v = z.mean() * np.log1p(y.sum().item())"],
    "memory of another tensor": ["v = s.sort().values", "s.set_(v)", "s.data.mul_(0.7)"],
    "a row that a label chose": ["v = z[y.sum().item() % B]", "v += s[0]"],
    "written under no_grad": ["with torch.no_grad(): z.scatter_(1, y[:, None], 0.7)", "v = z * 1"],
    "a function without torch's dispatch": ["v = Square.apply(z[range(B), y])"],
}


@pytest.mark.parametrize("part", range(4))
def test_nothing_is_silently_wrong(part: int):
    found = {"exact": 0, "refused": 0, "unused": 0, "void": 0}
    for seed in range(part, PROGRAMS, 4):
        lines = write(seed)
        verdict, _ = judge(lines, seed)
        if verdict == "SILENT":
            lines = shrunk(lines, seed)
            pytest.fail("\n".join([f"seed {seed}: {judge(lines, seed)[1]}", *lines]))
        found[verdict] += 1
    assert found["exact"] >= 0.2 * sum(found.values()), found
    assert found["void"] <= 0.25 * sum(found.values()), found


@pytest.mark.parametrize("lines", FOUND.values(), ids=list(FOUND))
@pytest.mark.parametrize("seed", [0, 1, 2, 3])
def test_what_was_found(lines: list[str], seed: int):
    loss = "loss = v.double().mean() ** 2 + z.square().mean() + (z[:, 0] * y).mean()"
    assert judge([*lines, loss], seed)[0] in ("exact", "refused")


def test_finds_what_is_silent():
    """A program that tells a pair from a tensor."""
    lines = ["v = z if type(y) is Tensor else 2 * z", "w = 1", "loss = v.mean() + (z[:, 0] * y).mean()"]
    assert judge(lines, 0)[0] == "SILENT"
    assert len(shrunk(lines, 0)) == 2
    given = data(0, "classes")
    assert run(lines, 0, given.x, given.one).loss.isfinite()
