"""The lowest versions that pyproject.toml declares, as pins for pip: `numpy>=2.0` is numpy==2.0."""

from __future__ import annotations

import tomllib
from pathlib import Path

if __name__ == "__main__":
    declared = Path(__file__).parent.parent / "pyproject.toml"
    project = tomllib.loads(declared.read_text(encoding="utf-8"))["project"]
    print(*(need.replace(">=", "==") for need in project["dependencies"]), sep="\n")
