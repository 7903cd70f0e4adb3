"""The documentation says what the code says."""

import ast
import importlib
import re
from pathlib import Path

import pytest

import lightning_mixup

ROOT = Path(__file__).parents[1]
SOURCES = sorted((ROOT / "lightning_mixup").rglob("*.py"))
API = "\n".join(path.read_text() for path in sorted((ROOT / "docs" / "api").glob("*.md")))
FAQ = (ROOT / "docs" / "faq.md").read_text().partition("## Messages that lead people here")[0]


def messages():
    """Every text of the sources, with a gap for each value in it."""
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.JoinedStr):
                yield "".join(part.value if isinstance(part, ast.Constant) else "\0" for part in node.values)
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                yield node.value


@pytest.mark.parametrize("title", re.findall(r'^\?\?\? question "(.*)"$', FAQ, flags=re.MULTILINE))
def test_messages_that_the_faq_answers_are_raised(title):
    pieces = title.split(" … ")
    assert any(all(piece in message for piece in pieces) for message in messages())


@pytest.mark.parametrize("name", [name for name in lightning_mixup.__all__ if name != "__version__"])
def test_every_public_name_is_on_one_page_of_the_api(name):
    assert len(re.findall(rf"^::: lightning_mixup\.{name}$", API, flags=re.MULTILINE)) == 1


def test_what_the_api_shows_is_there():
    for target in re.findall(r"^::: (lightning_mixup[\w.]*)", API, flags=re.MULTILINE):
        try:
            importlib.import_module(target)
        except ModuleNotFoundError:
            home, _, name = target.rpartition(".")
            assert hasattr(importlib.import_module(home), name), target


@pytest.mark.parametrize("path", SOURCES, ids=[path.relative_to(ROOT).as_posix() for path in SOURCES])
def test_docstrings_have_nothing_that_the_site_would_show_as_it_stands(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef)) and (text := ast.get_docstring(node)):
            assert not re.search(r":\w+:`|^Example:|^\s*\.\. \w+::", text, flags=re.MULTILINE), text
