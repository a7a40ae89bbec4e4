"""Real faults: files that cannot be finished, signals during a write, a scheduler that leaves."""

from __future__ import annotations

import functools
import json
import os
import random
import re
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

import stationary
from stationary import sweep
from stationary.delivery import Stop
from stationary.sweeps.resume import Journal

TWO_MINIMA = str(Path(__file__).parent.parent / "examples" / "two_minima.py")

FULL = """
import resource, sys
resource.setrlimit(resource.RLIMIT_FSIZE, (2048, 2048))
from stationary.__main__ import main
main(sys.argv[1:])
"""


def test_a_file_that_cannot_be_finished_leaves_the_old_one_and_no_half_of_a_new_one(tmp_path):
    (tmp_path / "old.csv").write_text("precious\n")
    kinds = ["--csv", "old.csv", "--plot", "new.pdf", "--html", "new.html", "--brief"]
    done = subprocess.run(
        [sys.executable, "-c", FULL, "analyze", TWO_MINIMA, *kinds],
        cwd=tmp_path,
        env=os.environ
        | {
            "PYTHONPATH": str(Path(stationary.__file__).parent.parent),
            "PYTHONDONTWRITEBYTECODE": "1",  # Python would cut it, too, and leave it to all
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert done.stdout.startswith("two_minima.py")
    assert done.stderr.count("File too large") == 3
    assert "Traceback" not in done.stderr
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [
        ("old.csv", "precious\n")
    ]


WRITER = """
import pathlib, signal, sys
from stationary.files import write
for number in (signal.SIGINT, signal.SIGTERM):  # as the command line has it
    signal.signal(number, signal.default_int_handler)  # (jobs in the background ignore SIGINT)
path = pathlib.Path(sys.argv[1])
print("ready", flush=True)
while True:
    for letter in "ab":
        write(path, letter * 1_000_000)
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_a_signal_in_the_middle_of_a_write_leaves_a_whole_file(tmp_path, number):
    path, draw = tmp_path / "table.csv", random.Random(int(number))
    for _ in range(4):
        program = [sys.executable, "-c", WRITER, str(path)]
        with subprocess.Popen(program, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as writer:
            writer.stdout.readline()
            time.sleep(0.02 + 0.05 * draw.random())
            writer.send_signal(number)
        text = path.read_text()
        assert len(text) == 1_000_000
        assert len(set(text)) == 1
        if number != signal.SIGKILL:  # which nobody can clean up after
            assert list(tmp_path.iterdir()) == [path]


def test_a_scheduler_that_goes_away_loses_no_row_and_nothing_hangs(tmp_path):
    distributed = pytest.importorskip("distributed")
    path = tmp_path / "slow.py"
    path.write_text(
        "import time\ndomain = (-2, 2)\nparameters = {'tilt': 0.0}\nvariance = 0.1\n"
        "def drift(x, tilt):\n    time.sleep(0.01 * (tilt > 0.05))\n    return x - x**3 + tilt\n"
    )
    cluster = distributed.LocalCluster(
        1, threads_per_worker=1, dashboard_address=":0", silence_logs=60
    )
    client = distributed.Client(cluster)
    closing = []

    def close(done, total):
        if not closing:
            closing.append(threading.Thread(target=cluster.close))
            closing[0].start()

    found = []

    def work():
        values = [0, 0.1, 0.2, 0.3, 0.4, 0.5]
        executor = client.get_executor()
        found.append(sweep(path, {"tilt": values}, executor=executor, progress=close))

    worker = threading.Thread(target=work, daemon=True)
    worker.start()
    worker.join(120)
    for thread in closing:
        thread.join(30)
    client.close()
    assert not worker.is_alive()
    # Whichever of its tasks hears of it first: one at work, one that waits, or the next one.
    gone = r"a worker process ended|the executor called off|the executor failed \(ClosedClientErr"
    assert re.match(gone, found[0].stopped)
    assert 1 <= len(found[0].rows) < 6
    assert {row.status for row in found[0].rows} == {"converged"}


ENVIRONMENT = os.environ | {"PYTHONPATH": str(Path(stationary.__file__).parent.parent)}


def test_a_signal_to_all_processes_of_a_sweep_keeps_its_points_and_ends_it(tmp_path):
    path, table = tmp_path / "tilted.py", tmp_path / "t.csv"
    path.write_text(
        "import os, signal\ndomain = (-2, 2)\nparameters = {'tilt': 0.0}\nvariance = 0.1\n"
        "def drift(x, tilt):\n    if tilt > 0.35:\n        os.killpg(0, signal.SIGTERM)\n"
        "    return x - x**3 + tilt\n"
    )
    asked = ["sweep", path, "--set", "tilt=0:0.4:9", "--jobs", "2", "--csv", table, "--brief"]
    done = subprocess.run(
        [sys.executable, "-m", "stationary", *map(str, asked)],
        env=ENVIRONMENT,
        start_new_session=True,  # a group of its own
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 130
    kept = re.fullmatch(r"stationary: it was interrupted; (\d+) points are .*\n", done.stderr)
    assert kept is not None, done.stderr
    assert len(table.read_text().splitlines()) == 1 + int(kept[1]) >= 5


@pytest.fixture
def interruptible():
    """SIGINT interrupts, as it does not in jobs in the background."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("interruptible")
def test_an_interrupt_does_not_meet_an_executor_that_takes_work():
    """It would hold the locks of futures for ever, and whoever waits for them would hang."""
    taken = []

    class Pool(ThreadPoolExecutor):
        def submit(self, *given):
            if len(taken) == 2:
                os.kill(os.getpid(), signal.SIGINT)
                time.sleep(0.1)
            taken.append(super().submit(*given))
            return taken[-1]

    def build(k):
        return stationary.Diffusion(lambda x: -k * x, 1, (-9, 9))

    with Pool(1) as pool:
        found = sweep(build, {"k": [1, 2, 3, 4]}, executor=pool)
    assert found.interrupted
    assert len(taken) == 3


ALONE = """
import os, signal
from stationary.progress import processes
if __name__ == "__main__":
    with processes(2) as pool:
        print(pool.submit(callable, print).result(), flush=True)
        os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_worker_that_is_left_alone_ends(tmp_path):
    (tmp_path / "alone.py").write_text(ALONE)
    program = [sys.executable, str(tmp_path / "alone.py")]
    # Of which it holds the output open as long as it lives.
    done = subprocess.run(program, env=ENVIRONMENT, capture_output=True, timeout=30, check=False)
    assert done.stdout == b"True\n"
    assert done.returncode == -signal.SIGKILL


def test_signals_that_come_together_are_one():
    stop = Stop()
    with pytest.raises(KeyboardInterrupt):
        stop()
    stop()  # while what is done is kept
    stop.last -= 1
    with pytest.raises(KeyboardInterrupt):
        stop()


def test_a_signal_while_answers_are_written_waits_and_the_next_does_not(tmp_path, run, monkeypatch):
    def plot(found, path):
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(0.01)
        if twice:
            monkeypatch.setattr("stationary.delivery.ONE_STOP", 0)
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(0.01)
        path.write_text("whole")

    monkeypatch.setattr(
        "stationary.analysis.Analysis.plot", lambda found, path, **_: plot(found, path)
    )
    for twice, figure in ((False, tmp_path / "1.png"), (True, tmp_path / "2.png")):
        code, out, err = run("analyze", TWO_MINIMA, "--plot", figure, "--brief")
        assert code == 130
        assert out.startswith("two_minima.py")
        assert "what is done is being written" in err
        assert figure.exists() != twice
        assert (f"{figure} was not written" in err) == twice
        assert ("what was done is kept" in err) != twice


@pytest.mark.usefixtures("interruptible")
def test_a_signal_while_the_report_is_made_loses_nothing(tmp_path, run, monkeypatch):
    made = stationary.Analysis.summary

    def summary(found, **how):
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(0.01)
        return made(found, **how)

    monkeypatch.setattr("stationary.analysis.Analysis.summary", summary)
    code, out, err = run("analyze", TWO_MINIMA, "--csv", tmp_path / "t.csv", "--brief")
    assert code == 130
    assert out.startswith("two_minima.py")
    assert (tmp_path / "t.csv").exists()
    assert err.endswith("stationary: stopped; what was done is kept.\n")


def swept(folder, *more, start=("-m", "stationary"), **environment):
    own = {"PYTHONPATH": str(Path(stationary.__file__).parent.parent)}
    own["PYTHONDONTWRITEBYTECODE"] = "1"
    return subprocess.run(
        [sys.executable, *start, "sweep", "k.py", "--set", "k=0.5:1.5:5", *more],
        cwd=folder,
        env=os.environ | own | environment,
        capture_output=True,
        text=True,
        check=False,
    )


KILLED = """
import os
parameters = {"k": 1.0}
domain, variance = (-3, 3), 0.3
def drift(x, k):
    if k > 1.1 and os.environ.get("DIE"):
        os.kill(os.getpid(), 9)
    return k * x - x**3
"""


def test_a_sweep_that_is_killed_loses_no_point(tmp_path, run, monkeypatch):
    """No signal can be handled: each point is in a file beside the table once it is done."""
    (tmp_path / "k.py").write_text(KILLED)
    table, part = tmp_path / "t.csv", tmp_path / "t.csv.part"
    asked = "--quantity", "exit_time,mean", "--csv"
    assert swept(tmp_path, *asked, "t.csv", DIE="1").returncode == -signal.SIGKILL
    assert not table.exists()
    points = [json.loads(line)["k"] for line in part.read_text().splitlines() if line]
    assert points == [0.5, 0.75, 1.0]
    # It is not begun anew over them; a line that was cut off is one that was not done.
    before = part.read_text()
    monkeypatch.chdir(tmp_path)
    again = "sweep", "k.py", "--set", "k=0.5:1.5:5", *asked, "t.csv"
    code, _, err = run(*again)
    assert code == 1
    assert "--resume goes on from them; to begin anew, delete it" in err
    part.write_text(before[:-20])
    assert run(*again, "--resume")[0] == 0
    assert not part.exists()
    whole = stationary.sweep(
        str(tmp_path / "k.py"),
        {"k": [0.5, 0.75, 1.0, 1.25, 1.5]},
        quantities=["exit_time", "mean"],
    )
    assert table.read_text() == whole.to_csv()


def test_a_journal_goes_once_its_table_is_written_whatever_becomes_of_other_files(
    tmp_path, run, monkeypatch
):
    (tmp_path / "k.py").write_text(KILLED)
    monkeypatch.chdir(tmp_path)

    def refused(*_, **__):
        raise stationary.StationaryError("no picture")

    monkeypatch.setattr(stationary.Sweep, "plot", refused)
    command = "sweep", "k.py", "--set", "k=0.5:1.5:3", "--csv", "t.csv"
    assert run(*command, "--plot", "t.png")[0] == 1
    assert sorted(p.name for p in tmp_path.glob("t.*")) == ["t.csv"]
    assert run(*command)[0] == 0


def test_a_journal_of_another_sweep_is_refused(tmp_path):
    made = functools.partial(sweep, journal=tmp_path / "j")

    def build(k):
        return stationary.Diffusion(lambda x: -k * x, 1.0, (-3, 3))

    first = made(build, {"k": [1, 2]})
    assert len((tmp_path / "j").read_text().split("\n")) == 3
    assert made(build, {"k": [1, 2]}).to_csv() == first.to_csv()
    with pytest.raises(stationary.LandscapeError, match="not asked for now"):
        made(build, {"k": [1, 3]})
    with (tmp_path / "j").open("a") as file:
        file.write('\n{"k": 1, "sta')  # killed while it was written, and gone on from
    assert made(build, {"k": [1, 2]}).to_csv() == first.to_csv()
    (tmp_path / "j").write_text("nothing of this kind")
    with pytest.raises(stationary.LandscapeError, match="no journal of a sweep"):
        made(build, {"k": [1, 2]})


def test_rows_that_cannot_be_written_are_printed(tmp_path):
    (tmp_path / "k.py").write_text(KILLED)
    done = swept(tmp_path, "--csv", "t.csv", start=("-c", FULL.replace("2048", "400")))
    assert done.returncode == 1
    assert "Its rows are on standard output, below the report." in done.stderr
    assert "k,status,reason" in done.stdout
    rows = done.stdout.split("\nk,status")[1].splitlines()[1:]
    assert [float(row.split(",")[0]) for row in rows if row] == [0.5, 0.75, 1.0, 1.25, 1.5]


def of_drift(k):
    return stationary.Diffusion(lambda x: -k * x, 1.0, (-3, 3))


def landscape_of(k):
    return stationary.Landscape(
        lambda w: (k * w**2 / 2 - w, k * w**2 / 2 + w), learning_rate=0.1, domain=(-3, 3)
    )


def stopped_after(done):
    def tell(n, _):
        if n >= done:
            raise KeyboardInterrupt

    return tell


def test_two_sweeps_do_not_append_to_one_journal(tmp_path):
    """Each would take the points of the other for its own."""
    with (
        Journal(tmp_path / "j", None),
        pytest.raises(stationary.LandscapeError, match="a sweep that is running appends"),
    ):
        sweep(of_drift, {"k": [1, 2]}, journal=tmp_path / "j")
    assert not list(tmp_path.iterdir())  # nothing of neither
    assert sweep(of_drift, {"k": [1, 2]}, journal=tmp_path / "j").complete


def test_a_journal_stays_where_its_table_was_not_written(tmp_path, run, monkeypatch):
    """Also where the table is newer, as one that was copied to its place."""
    (tmp_path / "k.py").write_text(KILLED)
    monkeypatch.chdir(tmp_path)
    assert swept(tmp_path, "--csv", "t.csv", DIE="1").returncode == -signal.SIGKILL
    points = (tmp_path / "t.csv.part").read_text()
    (tmp_path / "t.csv").write_text("k\n")
    command = "sweep", "k.py", "--set", "k=0.5:1.5:5", "--csv", "t.csv", "--resume"
    code, _, err = run(*command)
    assert code == 1
    assert "no column status" in err
    assert (tmp_path / "t.csv.part").read_text() == points
    (tmp_path / "t.csv").unlink()
    assert run(*command)[0] == 0
    assert not (tmp_path / "t.csv.part").exists()


def test_what_is_asked_anew_is_not_missing_where_a_sweep_goes_on(tmp_path):
    """Points of the table had no width, without a word."""
    first = sweep(of_drift, {"k": [1, 2, 3]}, quantities=["entropy"], progress=stopped_after(2))
    with pytest.raises(stationary.LandscapeError, match=r"width is not known there, and 0.707"):
        sweep(of_drift, {"k": [1, 2, 3]}, quantities=["entropy", "width"], resume=first)
    table = first.table() | {"entropy": first.table()["entropy"] + 1}
    with pytest.raises(stationary.LandscapeError, match=r"entropy is 2.07\d* there, and 1.07"):
        sweep(of_drift, {"k": [1, 2, 3]}, quantities="entropy", resume=table)
    table = first.table() | {"mean": ["0", "much"], "remark": ["a", "b"]}
    with pytest.raises(stationary.LandscapeError, match=r"row 2 of the table .* mean = 'much'"):
        sweep(of_drift, {"k": [1, 2, 3]}, quantities="entropy", resume=table)
    del table["mean_error"], table["log_mass_0"], table["mean"]
    with pytest.raises(stationary.LandscapeError, match="no column mean"):
        sweep(of_drift, {"k": [1, 2, 3]}, quantities="entropy", resume=table)


def test_points_of_a_table_outlive_a_second_stop():
    """Also those of a family of learning rates that is not yet solved as a whole."""
    axes = {"learning_rate": [0.05, 0.1, 0.2], "batch_size": [1]}
    made = functools.partial(sweep, landscape_of, {"k": [1, 2]}, quantities="entropy", **axes)
    whole = made()
    table = {name: column[[0, 1, 4]] for name, column in whole.table().items()}
    again = made(resume=table, progress=stopped_after(1))
    assert not again.complete
    assert [(row.parameters["k"], row.learning_rate) for row in again.rows] == [
        (1, 0.05), (1, 0.1), (1, 0.2), (2, 0.1),
    ]  # fmt: skip
    assert again.rows[3] == whole.rows[4]
