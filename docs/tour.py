"""Run the notebook of the documentation and write its page: ``python -m docs.tour``. Needs nbclient and ipykernel."""

import base64
import json
from pathlib import Path
from typing import Any

NOTEBOOK = Path(__file__).parent / "tour.ipynb"
PAGE = NOTEBOOK.with_suffix(".md")
LINK = "[This page is a notebook](tour.ipynb): download it and run it."


def execute(path: Path) -> dict[str, Any]:
    """Run all cells in a new kernel, from a folder that is thrown away, and return the notebook with its outputs."""
    from tempfile import TemporaryDirectory

    import nbformat
    from nbclient import NotebookClient

    notebook = nbformat.read(path, as_version=4)
    with TemporaryDirectory() as folder:
        NotebookClient(notebook, timeout=300, resources={"metadata": {"path": folder}}).execute()
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)  # times of day
    return json.loads(nbformat.writes(notebook))


def page(notebook: dict[str, Any]) -> tuple[str, dict[str, bytes]]:
    """Turn an executed notebook into Markdown, and the pictures in it by their names.

    Args:
        notebook: What the file holds.

    Returns:
        The text of the page, and the contents of the pictures that it shows.
    """
    blocks, pictures = [], {}
    for cell in notebook["cells"]:
        source = "".join(cell["source"])
        if cell["cell_type"] == "markdown":
            blocks.append(source)
            continue
        blocks.append(f"```python\n{source}\n```")
        printed = "".join("".join(output["text"]) for output in cell["outputs"] if output.get("name") == "stdout")
        if printed:
            blocks.append(f"```text\n{printed.rstrip()}\n```")
        for output in cell["outputs"]:
            if "image/png" in output.get("data", {}):
                name = f"tour_{len(pictures) + 1}.png"
                pictures[name] = base64.b64decode(output["data"]["image/png"])
                blocks.append(f"![Output of the cell above](assets/{name})")
    first, *rest = blocks
    return "\n\n".join([first, LINK, *rest]) + "\n", pictures


def main() -> None:
    """Run the notebook, and write it, the page and its pictures."""
    notebook = execute(NOTEBOOK)
    NOTEBOOK.write_text(json.dumps(notebook, indent=1, ensure_ascii=False) + "\n")
    text, pictures = page(notebook)
    PAGE.write_text(text)
    for name, content in pictures.items():
        (PAGE.parent / "assets" / name).write_bytes(content)


if __name__ == "__main__":
    main()
