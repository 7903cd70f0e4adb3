"""Print the shell commands of README.md, one block after another, as the script that a reader would type."""

import re
from pathlib import Path

blocks = re.findall(r"^```sh\n(.*?)^```", Path("README.md").read_text(), flags=re.MULTILINE | re.DOTALL)
print("set -euxo pipefail", *blocks, sep="\n")
