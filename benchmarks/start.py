"""Whole processes against `python -c "import numpy, typer"`, taking turns.

python benchmarks/start.py
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from pathlib import Path

EXAMPLE = Path(__file__).parent.parent / "examples" / "two_minima.py"
BASE = ["-c", "import numpy, typer"]
COMMANDS = {
    "stationary --help": ["-m", "stationary", "--help"],
    "stationary analyze two_minima.py": ["-m", "stationary", "analyze", str(EXAMPLE)],
}
TURNS = 15


def seconds(arguments):
    begin = time.perf_counter()
    subprocess.run([sys.executable, *arguments], check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - begin


def main():
    for name, arguments in COMMANDS.items():
        seconds(arguments), seconds(BASE)
        turns = [(seconds(arguments), seconds(BASE)) for _ in range(TURNS)]
        ratio = statistics.median(a / b for a, b in turns)
        base = statistics.median(b for _, b in turns)
        print(f"{name}: {ratio:.2f} times `import numpy, typer` ({1e3 * base:.0f} ms)")


if __name__ == "__main__":
    main()
