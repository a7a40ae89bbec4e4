"""Small matrices are left to one thread, and what was set before is set again."""

import threading
from pathlib import Path

import numpy as np
import pytest
from threadpoolctl import threadpool_info, threadpool_limits

from stationary import Diffusion, Landscape, analyze, end_state, exact_chain, fit, sampled
from stationary.chain.links import Links
from stationary.numbers.threads import one_thread
from stationary.progress import processes


def threads():
    return {found["num_threads"] for found in threadpool_info() if found["user_api"] == "blas"}


@pytest.fixture
def one():
    """What `threads` gives of one thread each; outside there are two."""
    with threadpool_limits(2, user_api="blas"):
        there = threads()
        assert there <= {2}
        yield {1 for _ in there}
        assert threads() == there


def chain():
    centres = np.linspace(-1, 1, 5)[:, None]
    exact_chain(Landscape(lambda w: (w - centres) ** 2 / 2 + np.cos(w), learning_rate=0.1))


def plane():
    box = ((-3, 3), (-3, 3))
    end_state(Diffusion(lambda x: np.array([x[1] - x[0] ** 3, -x[0] - x[1]]), 0.3, domain=box))


def series():
    x = [0.0]
    for step in np.random.default_rng(1).normal(size=300):
        x.append(0.9 * x[-1] + step)
    fit(np.array(x), dt=0.1)


def knots():
    centres = np.linspace(-1, 1, 5)[:, None]
    both = sampled(lambda w: ((w - centres) ** 4, 4 * (w - centres) ** 3), (-3, 3), losses=True)
    Landscape(gradients=both, learning_rate=0.1)


@pytest.mark.parametrize(
    ("work", "small"),
    [(chain, "inv"), (plane, "lstsq"), (series, "lstsq"), (knots, "qr"), (knots, "solve")],
)
def test_what_solves_small_systems_takes_one_thread(one, monkeypatch, work, small):
    solve, seen = getattr(np.linalg, small), []

    def watched(*given, **options):
        seen.append(threads())
        return solve(*given, **options)

    monkeypatch.setattr(np.linalg, small, watched)
    work()
    assert seen
    assert all(found == one for found in seen)
    assert threads() == {2 * n for n in one}


def test_powers_of_a_chain_take_one_thread(one, monkeypatch):
    """Else the last digits of `analyze --steps` hang on how many there are."""
    dense, seen = Links.dense, []

    class Watched(np.ndarray):
        def __matmul__(self, other):
            seen.append(threads())
            return np.asarray(self) @ other

    monkeypatch.setattr(Links, "dense", lambda chain: dense(chain).view(Watched))
    str(analyze(Path(__file__).parents[1] / "examples/two_minima.py", steps=4))
    assert seen
    assert all(found == one for found in seen)


def test_of_two_at_once_the_first_gives_threads_back(one):
    inside, leave = threading.Event(), threading.Event()

    def other():
        with one_thread:
            inside.set()
            leave.wait(10)

    at_work = threading.Thread(target=other)
    with one_thread:
        with one_thread:
            at_work.start()
            assert inside.wait(10)
        assert threads() == one
    assert threads() == {2 * n for n in one}
    with one_thread:
        leave.set()
        at_work.join()
        assert threads() == one
    assert threads() == {2 * n for n in one}


def test_threads_are_given_back_after_an_error(one):
    with pytest.raises(ZeroDivisionError), one_thread:
        1 / 0  # noqa: B018
    assert threads() == {2 * n for n in one}


def test_workers_have_one_thread_each(one, monkeypatch):
    monkeypatch.delenv("OPENBLAS_NUM_THREADS", raising=False)
    with processes(2) as pool:
        assert pool.submit(threads).result() == one
