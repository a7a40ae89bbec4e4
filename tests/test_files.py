"""Nothing is lost and nothing destroyed: outputs that cannot be written, signals, lost workers."""

from __future__ import annotations

import errno
import functools
import io
import os
import signal
import stat
import subprocess
import sys
import threading
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

import matplotlib
import pytest

from stationary import StationaryError, analyze, sweep
from stationary.files import unwritable

TWO_MINIMA = str(Path(__file__).parent.parent / "examples" / "two_minima.py")
TILTED = """
import os, signal
domain = (-2, 2)
parameters = {"tilt": 0.0}
variance = 0.1
def drift(x, tilt):
    return x - x**3 + tilt
"""


@pytest.fixture(name="tilted")
def _tilted(tmp_path):
    path = tmp_path / "tilted.py"
    path.write_text(TILTED)
    return path


def holds_the_table(path):
    return path.read_text().startswith("w,density,log_density")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("tilted.py", "written over source"),
        ("other.py", "written over source"),
        ("start.txt", "Name another one"),
        ("folder", "it is a folder"),
        ("tilted.py/t.csv", "is no folder"),
        ("missing/t.csv", "missing does not exist"),
        ("x" * 300, "shorter name"),
    ],
)
def test_what_should_not_be_written_is_refused_before_the_work(run, tilted, name, message):
    (tilted.parent / "folder").mkdir()
    (tilted.parent / "start.txt").write_text("0.1\n0.2\n")
    before = {p.name for p in tilted.parent.iterdir()}
    start = tilted.parent / "start.txt"
    code, out, err = run("analyze", tilted, "--initial", start, "--csv", tilted.parent / name)
    assert (code, out) == (1, "")
    assert message in err
    assert {p.name for p in tilted.parent.iterdir()} == before
    assert tilted.read_text() == TILTED


def test_what_is_missing_is_what_is_said_to_be(run, tilted):
    link = tilted.parent / "link.csv"
    link.symlink_to("nowhere/t.csv")
    assert "nowhere does not exist" in run("analyze", tilted, "--csv", link)[2]
    refused = FileNotFoundError(errno.ENOENT, "No such file or directory")  # as in /proc
    assert "No file can be made there" in str(unwritable(tilted.parent / "t.csv", refused))


def test_a_link_to_the_source_is_the_source(run, tilted):
    for link in ("soft.csv", "hard.csv"):
        path = tilted.parent / link
        (path.symlink_to if link == "soft.csv" else path.hardlink_to)(tilted)
        assert run("analyze", tilted, "--csv", path)[0] == 1
    assert tilted.read_text() == TILTED


READS = {  # where a landscape reads data.csv
    "as it is run": ("level = float(DATA.read_text())", "level"),
    "in a module beside it": ("from beside import level", "level"),
    "when its drift is asked": ("", "float(DATA.read_text())"),
    "open for writing, too": ("with DATA.open('r+') as file: level = float(file.read())", "level"),
    "in a thread": (
        "from threading import Thread\none = Thread(target=DATA.read_text)\n"
        "one.start()\none.join()\nlevel = 0.0",
        "level",
    ),
    "late": ("", "(float(DATA.read_text()) if np.size(x) > 1000 else 0)"),
}


@pytest.mark.parametrize("where", READS)
def test_a_file_that_the_landscape_reads_is_not_written_over(run, tmp_path, where):
    first, then = READS[where]
    data, own, other = (tmp_path / n for n in ("data.csv", "own.py", "other.py"))
    data.write_text("0.25")
    (tmp_path / "link.csv").symlink_to(data)
    (tmp_path / "beside.py").write_text(
        f"with open({str(data)!r}) as file: level = float(file.read())"
    )
    own.write_text(
        f"import numpy as np\nimport pathlib\nDATA = pathlib.Path({str(data)!r})\n{first}\n"
        "domain = (-2, 2)\nvariance = 0.1\n"
        f"def drift(x): return 0 * {then} - x\n"
    )
    other.write_text("domain = (-2, 2)\nvariance = 0.1\ndef drift(x): return -x\n")
    for files in ((own,), (own, other)):
        for name in ("data.csv", "link.csv"):
            code, out, err = run("analyze", *files, "--csv", tmp_path / name, "--brief")
            assert code == 1
            assert "the landscape reads this file, and nothing is written over it" in err
            assert ("In the long run" in out) == (where == "late" or len(files) > 1)
            assert data.read_text() == "0.25"
    assert run("analyze", own, "--csv", tmp_path / "new.csv", "--brief")[0] == 0
    assert run("analyze", other, "--csv", data, "--brief")[0] == 0
    assert data.read_text().startswith("x,density")


def test_two_outputs_to_one_file_and_options_taken_for_files_are_refused(run, tmp_path):
    same = tmp_path / "both.svg"
    (tmp_path / "link.svg").symlink_to(same)
    for plot in (same, tmp_path / "link.svg"):
        code, out, err = run("analyze", TWO_MINIMA, "--csv", same, "--plot", plot)
        assert (code, out) == (1, "")
        assert "Name another one" in err
    code, out, err = run("analyze", TWO_MINIMA, "--csv", "--json")
    assert (code, out) == (1, "")
    assert "the name of an option" in err
    assert not Path("--json").exists()


def test_links_and_modes_stay_as_they_are(run, tmp_path):
    table, soft, hard = (tmp_path / n for n in ("t.csv", "soft.csv", "hard.csv"))
    table.write_text("an older and much longer table\n" * 10_000)
    table.chmod(0o640)
    soft.symlink_to(table)
    assert run("analyze", TWO_MINIMA, "--csv", soft)[0] == 0
    assert soft.is_symlink()
    assert holds_the_table(table)
    assert stat.S_IMODE(table.stat().st_mode) == 0o640
    hard.hardlink_to(table)
    table.write_text("old")
    assert run("analyze", TWO_MINIMA, "--csv", table)[0] == 0
    assert hard.samefile(table)
    assert holds_the_table(hard)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["hard.csv", "soft.csv", "t.csv"]


def test_a_file_that_must_not_be_written_is_not_replaced_either(run, tmp_path, monkeypatch):
    table, real = tmp_path / "t.csv", os.open
    table.write_text("precious")
    table.chmod(0o444)

    def asked(path, *how):  # as it is for all but the superuser
        if Path(path) == table:
            raise PermissionError(errno.EACCES, "Permission denied")
        return real(path, *how)

    monkeypatch.setattr(os, "open", asked)
    code, out, err = run("analyze", TWO_MINIMA, "--csv", table)
    assert (code, out) == (1, "")
    assert "t.csv: cannot be written (Permission denied)" in err
    assert table.read_text() == "precious"


def test_devices_and_pipes_are_written_to_and_never_replaced(run, tmp_path):
    assert run("analyze", TWO_MINIMA, "--csv", "/dev/null")[0] == 0
    assert stat.S_ISCHR(os.stat("/dev/null").st_mode)
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    code, out, err = run("analyze", TWO_MINIMA, "--csv", pipe)  # that nobody reads
    assert code == 1
    assert out.startswith("two_minima.py")
    assert "start its reader first" in err
    with subprocess.Popen(["cat", pipe], stdout=subprocess.PIPE) as reader:
        threading.Timer(0.3, lambda: None).start()
        for _ in range(100):
            if run("analyze", TWO_MINIMA, "--csv", pipe)[0] == 0:
                break
        assert reader.communicate()[0].startswith(b"w,density")
    assert stat.S_ISFIFO(pipe.stat().st_mode)


def test_the_report_is_printed_whatever_happens_to_files(run, tmp_path):
    code, out, err = run("analyze", TWO_MINIMA, "--csv", "/dev/full", "--plot", tmp_path / "p.png")
    assert code == 1
    assert out.rstrip("\n") == analyze(TWO_MINIMA).summary()
    assert "Free some space" in err
    assert (tmp_path / "p.png").exists()


@pytest.mark.parametrize("links", [1, 2])
def test_a_disk_that_gets_full_leaves_the_old_file(run, tmp_path, monkeypatch, links):
    table = tmp_path / "t.csv"
    table.write_text("precious")
    if links == 2:
        (tmp_path / "other.csv").hardlink_to(table)

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    monkeypatch.setattr(os, "posix_fallocate", full, raising=False)
    code, out, err = run("analyze", TWO_MINIMA, "--csv", table)
    assert code == 1
    assert out.startswith("two_minima.py")
    assert "No space left on device" in err
    assert table.read_text() == "precious"
    assert len(list(tmp_path.iterdir())) == links


class Full(io.StringIO):
    """Standard output on a full disk, or to a reader that has left."""

    def __init__(self, number):
        super().__init__()
        self.number, self.buffer = number, self

    def write(self, text):
        raise OSError(self.number, os.strerror(self.number))


@pytest.mark.parametrize("several", [False, True])
@pytest.mark.parametrize(
    ("output", "message"),
    [
        (None, "stationary: the report could not be printed: standard output is closed.\n"),
        (
            Full(errno.ENOSPC),
            "stationary: the report could not be printed: No space left on device.\n",
        ),
        (Full(errno.EPIPE), ""),  # as other tools do
    ],
)
def test_a_report_that_cannot_be_printed_is_told_and_files_are_written(
    run, tmp_path, monkeypatch, output, message, several
):
    table = tmp_path / "t.csv"
    with monkeypatch.context() as closed:
        closed.setattr("sys.stdout", output)
        code, _, err = run("analyze", *[TWO_MINIMA] * (1 + several), "--csv", table)
    assert (code, err) == (1, message)
    assert "w,density,log_density" in table.read_text()


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EPIPE])
def test_other_files_are_written_where_standard_output_takes_no_table(
    run, tmp_path, monkeypatch, number
):
    with monkeypatch.context() as closed:
        closed.setattr("sys.stdout", Full(number))
        code, _, err = run("analyze", TWO_MINIMA, "--csv", "-", "--minima", tmp_path / "m.csv")
    assert code == 1
    assert ("-: cannot be written (No space left" in err) == (number == errno.ENOSPC)
    assert (tmp_path / "m.csv").exists()


def test_the_table_goes_to_standard_output_alone(run):
    code, out, _ = run("analyze", TWO_MINIMA, "--csv", "-")
    assert code == 0
    assert out == analyze(TWO_MINIMA).to_csv()


# -- sweeps that end early ------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["SIGTERM", "SIGHUP"])
def test_a_signal_to_stop_keeps_every_finished_point_and_resume_goes_on(
    run, tmp_path, request, name
):
    stop = getattr(signal, name)  # which `nohup` has commands ignore, these tests, too
    request.addfinalizer(functools.partial(signal.signal, stop, signal.getsignal(stop)))
    signal.signal(stop, signal.SIG_DFL)
    path, table, whole = tmp_path / "k.py", tmp_path / "t.csv", tmp_path / "whole.csv"
    line = "    return x - x**3"
    stop = f"    if tilt > 0.15: os.kill(os.getpid(), signal.{name})\n"
    command = ("sweep", path, "--set", "tilt=-0.1:0.3:5", "--csv")
    path.write_text(TILTED)
    assert run(*command, whole)[0] == 0
    path.write_text(TILTED.replace(line, stop + line))
    code, out, err = run(*command, table)
    assert code == 130
    assert "3 points are done and kept; --resume goes on" in err
    assert "Not complete" in out
    assert table.read_text().splitlines() == whole.read_text().splitlines()[:4]
    # Where nothing gets done, the old table stays.
    path.write_text(TILTED.replace("tilt):\n", "tilt):\n    os.kill(os.getpid(), 15)\n"))
    assert run(*command, table)[0] == 130
    assert len(table.read_text().splitlines()) == 4
    # A line that is not whole is named.
    kept = table.read_text()
    table.write_text(kept[:-5].rpartition(",")[0])
    code, _, err = run(*command, table, "--resume")
    assert code == 1
    assert "line 4 has" in err
    table.write_text(kept)
    # What is in the table is not computed again: the file now fails there.
    strict = "    if tilt in (-0.1, 0.1): raise RuntimeError\n" + line
    path.write_text(TILTED.replace(line, strict))
    assert run(*command, table, "--resume")[0] == 0
    assert table.read_text() == whole.read_text()


def test_an_interrupt_over_learning_rates_keeps_what_is_done():
    from stationary import Landscape

    calls = []

    def losses(w):
        return (w - 1) ** 2, (w + 1) ** 2, w**2 + w**4

    def progress(done, total):
        calls.append(done)
        if done == 3:
            raise KeyboardInterrupt

    landscape = Landscape(losses=losses, learning_rate=0.1, domain=(-3, 3))
    rates = [0.01, 0.02, 0.05, 0.1]
    found = sweep(landscape, learning_rate=rates, digits=20, progress=progress)
    assert found.interrupted
    assert [row.learning_rate for row in found.rows] == rates[:3]
    again = sweep(landscape, learning_rate=rates, digits=20, resume=found)
    assert again.to_json() == sweep(landscape, learning_rate=rates, digits=20).to_json()


def test_a_table_of_another_sweep_is_not_gone_on_from(tilted):
    found = sweep(tilted, parameters={"tilt": [0, 0.1]})
    with pytest.raises(StationaryError, match=r"not asked for now"):
        sweep(tilted, parameters={"tilt": [0, 0.2]}, resume=found)
    with pytest.raises(StationaryError, match=r"no column tilt"):
        sweep(tilted, parameters={"tilt": [0, 0.2]}, resume={"mean": [0.1]})


def test_a_table_of_another_process_is_not_gone_on_from(run, tmp_path):
    table = tmp_path / "r.csv"
    typed = ["sweep", "--variance", "0.1", "--set", "h=0.1:0.2:3", "--csv", table]
    assert run(*typed, "--drift", "x-x**3+h")[0] == 0
    before = table.read_text()
    changes = ("x-2*x**3+h", "x-x**3+1.001*h", "x-1.00001*x**3+h")
    for change in (
        *(["--drift", drift] for drift in changes),
        ["--drift", "x-x**3+h", "--domain", "0", "1"],
    ):
        code, _, err = run(*typed, *change, "--resume")
        assert code == 1
        assert "the table to go on from is that of another process: at h = 0.1" in err
    assert run(*typed, "--drift", "x+h-x**3", "--resume")[0] == 0
    assert table.read_text() == before


class NobodyLeftError(Exception):
    """What an executor raises that knows nothing of ours."""


class Failing(Executor):
    """It does two tasks, then fails in one of the ways in which executors do."""

    def __init__(self, how):
        self.how, self.count = how, 0

    def submit(self, function, /, *arguments, **_):
        future = Future()
        self.count += 1
        if self.count <= 2:
            future.set_result(function(*arguments))
        elif self.how == "no scheduler":
            raise OSError("the scheduler is gone")
        elif self.how == "killed":
            future.set_exception(NobodyLeftError("3 workers died"))
        elif self.how == "shut down":
            future.cancel()  # which wakes nobody up
        elif self.how == "silent" and self.count > 4:
            raise RuntimeError("the client is closed")  # what it has taken it never answers
        return future


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (RuntimeError("cannot schedule new futures after shutdown"), "the executor failed"),
        (OSError(errno.ENOSPC, "No space left on device"), "the executor failed"),
        (BrokenProcessPool("a process was killed"), "a worker process ended"),
    ],
)
def test_what_an_executor_says_is_no_death_of_a_worker(tilted, error, told):
    class Bad(Executor):
        def submit(self, *_, **__):
            raise error

    found = sweep(tilted, parameters={"tilt": [0, 0.2]}, executor=Bad())
    assert found.stopped == f"{told} ({type(error).__name__}: {error})"


@pytest.mark.parametrize("how", ["no scheduler", "killed", "shut down", "silent"])
def test_rows_that_are_done_stay_when_an_executor_fails(tilted, how, monkeypatch):
    monkeypatch.setattr("stationary.sweeps.tasks.SILENCE", 0.1)
    monkeypatch.setattr("stationary.sweeps.tasks.PATIENCE", 0.1)
    found = sweep(tilted, parameters={"tilt": [0, 0.1, 0.2, 0.3]}, executor=Failing(how))
    assert not found.complete
    why = {"shut down": "the executor called off what was left", "killed": "a worker process ended"}
    assert found.stopped.startswith(why.get(how, "the executor failed"))
    assert [row.parameters["tilt"] for row in found.rows] == [0, 0.1]


def test_a_worker_of_a_dask_cluster_that_is_killed_loses_no_row(tilted):
    distributed = pytest.importorskip("distributed")
    line = "    return x - x**3"
    stop = "    if tilt > 0.15: os.kill(os.getpid(), signal.SIGKILL)\n"
    tilted.write_text(TILTED.replace(line, stop + line))
    settings = {"distributed.scheduler.allowed-failures": 0}
    import dask

    with (
        dask.config.set(settings),
        distributed.LocalCluster(
            1, threads_per_worker=1, dashboard_address=":0", silence_logs=60
        ) as cluster,
        distributed.Client(cluster) as client,
    ):
        found = sweep(tilted, parameters={"tilt": [0, 0.2]}, executor=client.get_executor())
    assert "KilledWorker" in found.stopped
    assert [row.parameters["tilt"] for row in found.rows] == [0]


# -- figures --------------------------------------------------------------------------------------


def test_figures_from_two_threads_are_whole_and_settings_stay(tmp_path):
    found = analyze(TWO_MINIMA)
    before = dict(matplotlib.rcParams)
    with ThreadPoolExecutor(2) as pool:
        paths = [tmp_path / f"{i}.svg" for i in (0, 0, 1)]
        list(pool.map(found.plot, paths))
    assert dict(matplotlib.rcParams) == before
    assert paths[0].read_bytes() == paths[-1].read_bytes()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["0.svg", "1.svg"]


# -- input without end ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "arguments",
    [("-T", "5e-324"), ("--initial", "/dev/zero"), ("--initial", "PIPE")],
)
def test_input_without_end_or_reach_is_refused_within_seconds(tmp_path, arguments):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    given = [str(pipe) if a == "PIPE" else a for a in arguments]
    impatient = (
        "from stationary import files; from stationary.__main__ import main; "
        "files.PATIENCE = 0.5; main()"
    )
    program = [sys.executable, "-c", impatient, "analyze", TWO_MINIMA, *given]
    done = subprocess.run(program, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode in (0, 1)
    assert "Traceback" not in done.stderr
    assert done.stdout or done.stderr.startswith("stationary: ")


def test_standard_input_without_end_is_refused(run, monkeypatch):
    monkeypatch.setattr("stationary.files.MOST_BYTES", 1000)
    for zeros, code in ((2000, 2), (900, 1)):
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"\0" * zeros)))
        assert run("analyze", "-")[0] == code
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"\n" * 1001)))
    assert "Standard input: what comes through this pipe does not end" in run("analyze", "-")[2]


def test_a_pipe_is_no_landscape_file(run, tmp_path):
    os.mkfifo(tmp_path / "pipe.py")
    code, _, err = run("analyze", tmp_path / "pipe.py")
    assert code == 1
    assert "is not a file" in err


def test_python_writes_no_table_over_source_either(tilted):
    with pytest.raises(StationaryError, match="no output is written over source"):
        analyze(tilted).to_csv(tilted)
    assert tilted.read_text() == TILTED
