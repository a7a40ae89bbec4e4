"""Whole processes against `python -c "import numpy, typer"`: what a person waits for in a shell.

`typer` stands for a common command line. As an installed package has them, modules are compiled
first.

    pip install typer
    python benchmarks/start.py [--against PYTHON]
"""

from __future__ import annotations

import compileall
import importlib.util
import subprocess
import sys
from pathlib import Path

from against import ROOT, compare

EXAMPLE = ROOT / "examples" / "two_minima.py"


def shell(*arguments):
    def run():
        subprocess.run([sys.executable, *arguments], check=True, stdout=subprocess.DEVNULL)

    return run


BASE = "import numpy, typer"
JOBS = {
    BASE: shell("-c", BASE),
    "stationary --help": shell("-m", "stationary", "--help"),
    "analyze two_minima.py": shell("-m", "stationary", "analyze", str(EXAMPLE)),
}

if __name__ == "__main__":
    if importlib.util.find_spec("typer") is None:
        sys.exit("typer is not installed: pip install typer")
    (package,) = importlib.util.find_spec("stationary").submodule_search_locations
    compileall.compile_dir(Path(package), quiet=2)
    compare(JOBS, units=dict.fromkeys(JOBS, BASE), turns=15)
