"""The lowest versions that pyproject.toml declares, as pins for pip: `numpy>=2.0` is numpy==2.0.

python .ci/lowest.py [EXTRA ...]     # the dependencies; extras are left as they are
"""

from __future__ import annotations

import sys
import tomllib
from pathlib import Path

PROJECT = tomllib.loads(
    (Path(__file__).parent.parent / "pyproject.toml").read_text(encoding="utf-8")
)["project"]


def pins(extras: list[str]) -> list[str]:
    lowest = [need.replace(">=", "==") for need in PROJECT["dependencies"]]
    return lowest + [need for extra in extras for need in PROJECT["optional-dependencies"][extra]]


if __name__ == "__main__":
    print(*pins(sys.argv[1:]), sep="\n")
