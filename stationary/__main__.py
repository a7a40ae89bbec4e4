"""The command line as a program: `stationary`, or `python -m stationary`."""

from __future__ import annotations

import gc
import os
import signal
import sys
from contextlib import suppress
from typing import Any, NoReturn

import click

from stationary.cli import app
from stationary.delivery import FAILED, INTERRUPTED, STOP, USAGE, complain, fitted
from stationary.errors import StationaryError, UnreadableError

STOPS = ("SIGINT", "SIGTERM", "SIGHUP")


def main(arguments: list[str] | None = None) -> NoReturn:
    """Run the command line and exit: 0 done, 1 an error, 2 wrong usage, 3 not decided."""
    # Small matrices, one after the other: the threads of OpenBLAS, which reads this when NumPy is
    # imported, spin 2^26 cycles for the next one: a fifth of the processor time of an analysis.
    os.environ.setdefault("OPENBLAS_THREAD_TIMEOUT", "10")
    # Many digits are millions of small objects without a cycle among them: to search them for
    # cycles as often as Python does by itself takes a fifth of the time.
    gc.set_threshold(200_000, 20, 20)
    before: dict[int, Any] = {}
    STOP.begin()
    # What is done is kept; where somebody ignores a terminal that is closed (nohup), so do we.
    for stop in [getattr(signal, name) for name in STOPS if hasattr(signal, name)]:
        with suppress(ValueError):  # not in the main thread
            if signal.getsignal(stop) != signal.SIG_IGN:
                before[stop] = signal.signal(stop, STOP)
    try:
        code = app(arguments, standalone_mode=False)
    except StationaryError as error:
        complain(error)
        code = USAGE if isinstance(error, UnreadableError) else FAILED
    except getattr(click.exceptions, "NoArgsIsHelpError", ()) as error:  # the help, as it is
        error.show()
        code = USAGE
    except click.ClickException as error:
        context = getattr(error, "ctx", None)
        click.UsageError(fitted(error.format_message(), len("Error: ")), context).show()
        code = USAGE
    except (KeyboardInterrupt, click.Abort):
        complain("stopped.")
        code = INTERRUPTED
    except OSError as error:
        complain(f"the output could not be written: {error}")
        code = FAILED
    finally:
        for stop, handler in before.items():
            signal.signal(stop, handler)
    sys.exit(code if isinstance(code, int) else 0)


if __name__ == "__main__":
    main()
