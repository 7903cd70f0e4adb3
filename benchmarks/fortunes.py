"""Make a table of short texts and their topics from the files of the program ``fortune``, for the study of text.

    apt install fortunes                             # of Debian or Ubuntu; dpkg -L fortunes says where the files are
    python -m benchmarks.fortunes FILES fortunes     # writes fortunes/train.csv
    python -m benchmarks.studies fortunes --with data.name=fortunes --write

A file holds the texts of one topic, which is its name.
"""

import argparse
import csv
import re
from collections import Counter
from pathlib import Path


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", type=Path, help="folder of the files")
    parser.add_argument("folder", type=Path, help="where train.csv is written")
    parser.add_argument("--least", type=int, default=300, help="texts of a topic, or it is left out: %(default)s")
    arguments = parser.parse_args()
    try:
        found = {topic: texts for topic, texts in read(arguments.files).items() if len(texts) >= arguments.least}
        if not found:
            parser.error(f"no topic of {arguments.least} texts in {arguments.files}; the package is called fortunes")
        arguments.folder.mkdir(parents=True, exist_ok=True)
        with (arguments.folder / "train.csv").open("w", newline="") as file:
            table = csv.writer(file)
            table.writerow(["text", "topic"])
            table.writerows((text, topic) for topic, texts in found.items() for text in texts)
    except OSError as error:
        parser.error(
            f"{error.filename}: {error.strerror}. Give the folder that holds the files of fortune (dpkg -L fortunes "
            "says where it is), and a folder to write to"
        )
    print(f"{sum(map(len, found.values()))} texts of {len(found)} topics: {', '.join(found)}")


def read(folder: Path) -> dict[str, list[str]]:
    """Read the texts of all topics.

    Args:
        folder: Holds a file a topic, in which a line of a percent sign ends a text.

    Returns:
        Texts by topic, each once and in one line; what stands under several topics is left out.
    """
    found: dict[str, list[str]] = {}
    for path in sorted(folder.iterdir()):
        if path.is_file() and not path.suffix:
            parts = re.split(r"^%.*$", path.read_text(errors="replace"), flags=re.MULTILINE)
            texts = [" ".join(part.split()) for part in parts]
            found[path.name] = list(dict.fromkeys(text for text in texts if text))
    topics = Counter(text for texts in found.values() for text in texts)
    return {topic: [text for text in texts if topics[text] == 1] for topic, texts in found.items()}


if __name__ == "__main__":
    main()
