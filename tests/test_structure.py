"""The shape of the house: two wings, no circles, files that can be read in one sitting."""

from pathlib import Path

import grimp
import pytest

ROOT = Path(__file__).parents[1]
LONGEST = 300
TABLES: dict[str, str] = {}
"""Files that may be longer, each because it is one table or one list of like things: path, and of what."""


@pytest.fixture(scope="module")
def graph():
    """Who imports whom when programs run, imports within functions included."""
    return grimp.build_graph("lightning_mixup", cache_dir=None, exclude_type_checking_imports=True)


def circles(imports):
    """Every module from which a way of imports leads back to itself, with the modules on that way."""
    reached = {module: set(targets) for module, targets in imports.items()}
    for middle in reached:
        for targets in reached.values():
            if middle in targets:
                targets |= reached[middle]
    return {
        module: sorted(other for other in targets if module in reached[other])
        for module, targets in reached.items()
        if module in targets
    }


def test_a_circle_is_found():
    assert circles({"a": {"b"}, "b": {"c"}, "c": {"b"}, "d": set()}) == {"b": ["b", "c"], "c": ["b", "c"]}


def test_no_imports_go_round_in_a_circle(graph):
    found = circles({module: graph.find_modules_directly_imported_by(module) for module in graph.modules})
    assert not found


def test_the_library_knows_nothing_of_the_laboratory(graph):
    arrows = {
        (module, target)
        for module in graph.modules
        if not module.startswith(("lightning_mixup.lab", "lightning_mixup.__main__"))
        for target in graph.find_modules_directly_imported_by(module)
        if target.startswith("lightning_mixup.lab")
    }
    assert not arrows


def test_files_are_short_and_exceptions_are_needed():
    folders = ("lightning_mixup", "benchmarks", "examples", "docs")
    lengths = {
        path.relative_to(ROOT).as_posix(): len(path.read_text(encoding="utf-8").splitlines())
        for folder in folders
        for path in (ROOT / folder).rglob("*.py")
    }
    assert len(lengths) > 100
    assert {path for path, lines in lengths.items() if lines > LONGEST} == {*TABLES}
