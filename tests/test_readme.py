"""The README says what is so: its Python runs block by block, and its options are all there are."""

from __future__ import annotations

import re
import shlex
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from stationary import analyze
from stationary.cli import app

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
PAGES = [README, *(p.read_text(encoding="utf-8") for p in sorted((ROOT / "docs").glob("*.md")))]
BLOCKS = [
    b for p in PAGES for b in re.findall(r"^```python\n(.*?)^```", p, re.DOTALL | re.MULTILINE)
]


class Cluster:
    """What the README asks of a Dask client."""

    def __init__(self, address):
        self.address = address

    def get_executor(self):
        return ThreadPoolExecutor(2)


@pytest.mark.parametrize("block", BLOCKS, ids=range(len(BLOCKS)))
def test_a_block_of_the_readme_runs_on_its_own(block, tmp_path, monkeypatch):
    for framework in ("jax", "torch"):
        if f"import {framework}" in block:
            pytest.importorskip(framework)
    if "distributed" in block:
        monkeypatch.setattr("distributed.Client", Cluster)
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    monkeypatch.chdir(tmp_path)
    exec(compile(block, f"block {BLOCKS.index(block)}", "exec"), {"__name__": "readme"})


def test_the_readme_names_every_option_of_every_command_and_no_other():
    usage = README.partition("## The command line")[2].partition("Exit codes")[0]
    named = set(re.findall(r"(?<![\w-])--?[a-zA-Z][\w-]*", usage))
    options = {
        option
        for command in app.commands.values()
        for param in command.params
        for option in (*param.opts, *param.secondary_opts)
        if option.startswith("-")
    }
    assert {o for o in options if o.startswith("--")} - {"--simulation"} <= named
    assert named <= options
    assert all(f"stationary {name} FILE" in usage for name in app.commands)


def test_commands_of_the_readme_work_as_typed_after_the_first(run, monkeypatch):
    """They are on the path, and the files that they read are there."""
    first, typed = README.partition("## The command line")[0].split("```sh\n", 1)[1].split("```", 1)
    assert first.index("activate") < first.index("&& stationary analyze")
    assert ".venv/bin/" not in README.replace(".venv/bin/activate", "")
    commands = [shlex.split(c) for c in re.findall(r"^    (stationary .*)$", typed, re.MULTILINE)]
    read = [c[2] for c in commands if not c[2].startswith("-")]
    assert len(commands) >= 8
    assert [name for name in read if not (ROOT / name).is_file()] == []
    monkeypatch.chdir(ROOT)
    for (command,) in ([c for c in commands if name in c] for name in read if name[-4:] == ".csv"):
        kept = command[: command.index("--plot")] if "--plot" in command else command
        assert run(*kept[1:])[0] == 0


def test_the_first_screen_holds_what_it_is_for():
    """A sentence, the formula, one command, the picture and Python, in the first 60 lines."""
    first = "\n".join(README.splitlines()[:60])
    for part in ("Where does a noisy process end up?", "$$", "```sh", ".png)", "```python"):
        assert part in first


def test_the_report_in_the_documentation_is_what_is_printed_but_for_errors():
    shown = (ROOT / "docs" / "report.md").read_text(encoding="utf-8")
    block = re.search(r"^    \$ stationary analyze .*?(?=^[^ \n])", shown, re.DOTALL | re.MULTILINE)
    titles = re.findall(r"^    (\w[^.\n]*)$", block.group(), re.MULTILINE)
    printed = analyze(ROOT / "examples" / "pit.py").summary().splitlines()
    assert [t for t in titles if t not in printed] == []
