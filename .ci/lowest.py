"""Print the lowest version of everything that pyproject.toml asks for, as constraints for pip."""

import sys
from pathlib import Path

from packaging.requirements import Requirement

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

project = tomllib.loads(Path("pyproject.toml").read_text())["project"]
lines = [*project["dependencies"], *project["optional-dependencies"]["recipes"]]
for requirement in map(Requirement, lines):
    floors = [clause.version for clause in requirement.specifier if clause.operator == ">="]
    if floors:
        print(f"{requirement.name}=={floors[0]}")
