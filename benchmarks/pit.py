"""The pit: its end state, the mass of a basin and the time to leave the pit.

python benchmarks/pit.py [--against PYTHON]
"""

from __future__ import annotations

from pathlib import Path

from against import compare

from stationary import basins_of, end_state, load, mean_first_passage_time

PIT = Path(__file__).resolve().parent.parent / "examples" / "pit.py"


def on(domain):
    def solve():
        landscape = load(PIT, domain=domain)
        state = end_state(landscape)
        log_mass = basins_of(state)[0].log_mass
        time = mean_first_passage_time(landscape, 1.0074533, 1.17431)
        return f"log mass {float(log_mass):.4g}, exit time {float(time):.6g}"

    return solve


JOBS = {
    "the pit on (-1, 4)": on((-1, 4)),
    "on (-4, 8)": on((-4, 8)),
    "on (-10, 14)": on((-10, 14)),
    "on the whole line": on((-float("inf"), float("inf"))),
}

if __name__ == "__main__":
    compare(JOBS, units=dict.fromkeys(JOBS, "the pit on (-1, 4)"), turns=3)
