"""Print the lowest version of everything that pyproject.toml asks for, as constraints for pip."""

import tomllib
from pathlib import Path

from packaging.requirements import Requirement

project = tomllib.loads(Path("pyproject.toml").read_text())["project"]
lines = [*project["dependencies"], *project["optional-dependencies"]["recipes"]]
for requirement in map(Requirement, lines):
    floors = [clause.version for clause in requirement.specifier if clause.operator == ">="]
    if floors:
        print(f"{requirement.name}=={floors[0]}")
