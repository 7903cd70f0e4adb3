"""The notebook of the documentation runs from its first cell to its last, in a kernel of its own."""

import runpy
from pathlib import Path

import pytest

pytest.importorskip("nbclient")
pytest.importorskip("ipykernel")

DOCS = Path(__file__).parents[2] / "docs"


@pytest.mark.slow
def test_the_tour_runs_and_shows_a_picture_and_scores():
    tour = runpy.run_path(str(DOCS / "tour.py"))
    text, pictures = tour["page"](tour["execute"](DOCS / "tour.ipynb"))
    assert len(pictures) == 1
    assert text.count("```text") == 1
    assert "CutMix(1)" in text.rsplit("```text", 1)[1]
