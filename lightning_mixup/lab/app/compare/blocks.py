"""The pieces of a report, and how they are written as Markdown and HTML: texts of others are escaped here."""

import base64
import html
import re
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

STYLE = (
    "<style>body{font:16px/1.5 system-ui,sans-serif;max-width:60em;margin:2em auto;padding:0 1em}"
    "table{border-collapse:collapse}td,th{border-bottom:1px solid #ccc;padding:.3em .8em;text-align:left}"
    "td{white-space:pre-line}img{max-width:100%}</style>"
)


class Heading(NamedTuple):
    """A heading."""

    level: int
    """1 for the title."""
    text: str


class Grid(NamedTuple):
    """A table."""

    header: Sequence[str]
    rows: Sequence[Sequence[str]]


class Picture(NamedTuple):
    """A figure beside the report."""

    path: Path
    title: str


Block = str | Heading | Grid | Picture
"""A piece of a report; plain text is a paragraph."""


def markdown(report: Sequence[Block]) -> str:
    r"""Write a report as Markdown.

    Args:
        report: its pieces.

    Examples:
        >>> print(markdown([Heading(1, "A"), Grid(["x", "y"], [["a|b", "<img>"]]), "[link](x)"]))
        # A
        <BLANKLINE>
        | x | y |
        | --- | --- |
        | a\|b | &lt;img&gt; |
        <BLANKLINE>
        \[link\](x)
        <BLANKLINE>
    """
    parts = []
    for block in report:
        if isinstance(block, Grid):
            lines = [block.header, ["---"] * len(block.header), *block.rows]
            parts.append("\n".join("| " + " | ".join(_cell(text) for text in line) + " |" for line in lines))
        elif isinstance(block, Picture):
            parts.append(f"![{_plain(block.title)}]({block.path.name})")
        elif isinstance(block, Heading):
            parts.append(f"{'#' * block.level} {_plain(block.text)}")
        else:
            parts.append(_plain(block))
    return "\n\n".join(parts) + "\n"


def page(report: Sequence[Block], title: str = "Comparison") -> str:
    """Write a report as one HTML file that needs no other.

    Args:
        report: its pieces.
        title: of the window.
    """
    head = f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{html.escape(title)}</title>'
    return "\n".join([head, STYLE, fragment(report)]) + "\n"


def fragment(report: Sequence[Block]) -> str:
    r"""Write the pieces of a report as HTML to stand in a page, such as a notebook.

    Examples:
        >>> fragment([Heading(2, "A"), Grid(["x"], [["<img>"]])])
        '<h2>A</h2>\n<table><tr><th>x</th></tr><tr><td>&lt;img&gt;</td></tr></table>'
    """
    parts = []
    for block in report:
        if isinstance(block, Grid):
            lines = [("th", block.header), *(("td", row) for row in block.rows)]
            rows = ("".join(f"<{tag}>{html.escape(text)}</{tag}>" for text in line) for tag, line in lines)
            parts.append("<table>" + "".join(f"<tr>{row}</tr>" for row in rows) + "</table>")
        elif isinstance(block, Picture):
            image = base64.b64encode(block.path.read_bytes()).decode()
            parts.append(f'<p><img alt="{html.escape(block.title)}" src="data:image/png;base64,{image}"></p>')
        elif isinstance(block, Heading):
            parts.append(f"<h{block.level}>{html.escape(block.text)}</h{block.level}>")
        else:
            parts.append(f"<p>{html.escape(block)}</p>")
    return "\n".join(parts)


def _cell(text: str) -> str:
    return "---" if text == "---" else "<br>".join(map(_plain, text.split("\n")))


def _plain(text: str) -> str:
    """Text that Markdown shows as it is: no HTML, no links, no emphasis, no cells, no heading."""
    text = html.escape(text, quote=False)
    text = re.sub(r"([\\`*\[\]|])", r"\\\1", text)
    return re.sub(r"^(\s*)([#>+-])", r"\1\\\2", text) if re.match(r"\s*([#>]|[+-] )", text) else text
