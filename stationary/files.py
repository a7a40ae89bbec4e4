"""Files that answers are written to, probed before the work, whole or as they were after it; and
files that users name, read without waiting for ever on a silent pipe or an endless device.

A file that is there keeps its mode and its links: what cannot be replaced as a whole (a hard link,
a device, a pipe) is written through. Nothing is ever written over Python source.
"""

from __future__ import annotations

import errno
import io
import os
import select
import stat
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from stationary.errors import LandscapeError

FIGURES: tuple[str, ...] = (".png", ".svg", ".pdf")
PAGES: tuple[str, ...] = (".html", ".htm", ".xhtml")
BINARY = getattr(os, "O_BINARY", 0)  # elsewhere all files are
STANDARD = "-"  # standard output
MOST_BYTES = 2**30  # that a pipe may hold
ENDLESS = "what comes through this pipe does not end"
GUEST = "landscape_file_"  # begins the names of modules that users' files are run as
PATIENCE = 5  # seconds that it may be silent


def own_version() -> str:
    """The version of this package; of a clone that is not installed, that of its sources."""
    import tomllib  # seldom asked for
    from importlib.metadata import PackageNotFoundError, version

    with suppress(PackageNotFoundError):
        return version("stationary")
    with suppress(OSError, KeyError, tomllib.TOMLDecodeError):
        sources = (Path(__file__).parent.parent / "pyproject.toml").read_text(encoding="utf-8")
        return f"{tomllib.loads(sources)['project']['version']} (not installed)"
    return "of unknown version"


def path_of(given: Any) -> Path:
    """The path that a user gave."""
    try:
        return Path(given)
    except TypeError:
        raise LandscapeError(
            f"{given!r:.60} is no path of a file. Give a string, such as 'answer.json' or 'a.png'."
        ) from None


def probe(path: Path, *, suffixes: Sequence[str] = (), spared: Sequence[Path] = ()) -> None:
    """Refuse a file that could not be written, or should not be, with why and what to do.

    Names may end in one of the suffixes, or in any if there are none. The files that are spared
    are read, or written otherwise: none of them is written over.
    """
    name = str(path)
    if name == STANDARD and tuple(suffixes) != FIGURES:
        return
    if suffixes and path.suffix.lower() not in suffixes:
        kinds = " or ".join(", ".join(suffixes).rsplit(", ", 1))
        what = {FIGURES: "a figure", PAGES: "a page"}.get(tuple(suffixes), "this")
        came = path.suffix or "a name without a suffix"
        raise LandscapeError(f"{name}: {what} is written as {kinds}, not as {came}.")
    if name.startswith("-"):
        raise LandscapeError(
            f"{name}: this is the name of an option, not of a file. Name the file before the next "
            f"option; if it is really called that, write ./{name}."
        )
    if path.suffix.lower() in (".py", ".ipynb"):
        raise LandscapeError(
            f"{name}: no output is written over source. Name a file that ends otherwise."
        )
    for other in spared:
        if _same(path, other):
            raise LandscapeError(
                f"{name}: this file is read, or written as something else, too. Name another one."
            )
    try:
        found = _status(path)
        if found is None or stat.S_ISREG(found.st_mode):
            target = Path(os.path.realpath(path))
            if _written_through(target, found):
                with target.open("r+b"):
                    return
            with _beside(target) as (handle, _):
                os.close(handle)
        elif stat.S_ISDIR(found.st_mode):
            raise LandscapeError(f"{name}: cannot be written: it is a folder. Name another.")
        elif not (stat.S_ISCHR(found.st_mode) or stat.S_ISFIFO(found.st_mode)):
            raise LandscapeError(f"{name}: is no file, pipe or terminal. Name a file.")
    except OSError as error:
        raise unwritable(path, error) from None


# -- what landscapes read -------------------------------------------------------------------------

_CLAIMED: dict[tuple[int, int], Path] = {}  # files that will be written, by device and inode
_READ: dict[Path, None] = {}  # those of them that a landscape was seen to open for reading
_HOOKS: list[Any] = []  # a hook stays as long as the interpreter does: there is one


@contextmanager
def claimed(paths: Iterable[Path]) -> Iterator[None]:
    """Watch, while something runs, whether the code of a landscape reads one of these files."""
    outermost = not _CLAIMED
    if not _HOOKS:
        _HOOKS.append(_seen)
        sys.addaudithook(_seen)
    for path in paths:
        found = _status(path)
        if found is not None and stat.S_ISREG(found.st_mode):
            _CLAIMED[found.st_dev, found.st_ino] = path
    try:
        yield
    finally:
        if outermost:
            _CLAIMED.clear()
            _READ.clear()


@contextmanager
def reading() -> Iterator[None]:
    """An error as soon as a landscape is made that read one of these files as it was."""
    before = set(_READ)
    yield
    for path in _READ:
        if path not in before:
            refuse_read(path)


def refuse_read(path: Path) -> None:
    """An error if a landscape read this file."""
    if path in _READ:
        raise LandscapeError(
            f"{path}: the landscape reads this file, and nothing is written over it. Name another "
            "one."
        )


def _seen(event: str, details: tuple[Any, ...]) -> None:
    if event != "open" or not _CLAIMED or isinstance(details[0], int):
        return
    with suppress(Exception):  # what is wrong with a file says whoever opens it
        if (details[2] or 0) & (os.O_WRONLY | os.O_TRUNC):
            return
        found = os.stat(details[0])
        path = _CLAIMED.get((found.st_dev, found.st_ino))
        frame, callers = sys._getframe(1) if path is not None else None, set[str]()
        while frame is not None:
            callers.add(str(frame.f_globals.get("__name__", "")))
            frame = frame.f_back
        # Threads that the landscape begins have no frame of its own, and none of ours either.
        ours = any(name.startswith("stationary.") for name in callers)
        if path is not None and (not ours or any(name.startswith(GUEST) for name in callers)):
            _READ[path] = None


# -- written whole --------------------------------------------------------------------------------


def write(path: Path, content: str | bytes) -> None:
    """Write a file so that it is there in full or, if anything fails, as it was before."""
    data = content.encode("utf-8") if isinstance(content, str) else content
    try:
        if str(path) == STANDARD:
            sys.stdout.flush()
            sys.stdout.buffer.write(data)
            sys.stdout.flush()
            return
        found = _status(path)
        if found is not None and not stat.S_ISREG(found.st_mode):
            # Without a reader, a pipe would be waited for for ever.
            handle = os.open(path, os.O_WRONLY | getattr(os, "O_NONBLOCK", 0))
            with os.fdopen(handle, "wb") as file:
                os.set_blocking(handle, True)
                file.write(data)
            return
        target = Path(os.path.realpath(path))
        if _written_through(target, found):
            _overwrite(target, data)
        else:
            _replace(target, data, found)
    except OSError as error:
        if isinstance(error, BrokenPipeError) and str(path) == STANDARD:
            raise  # it has been read as far as was wanted
        raise unwritable(path, error) from None


def print_text(text: str) -> None:
    """Print an answer, or say why it could not be printed."""
    if sys.stdout is None:
        raise LandscapeError("the report could not be printed: standard output is closed.")
    try:
        print(text, flush=True)
    except BrokenPipeError:
        raise
    except OSError as error:
        raise LandscapeError(
            f"the report could not be printed: {error.strerror or error}."
        ) from None


def _status(path: Path) -> os.stat_result | None:
    with suppress(FileNotFoundError):
        return os.stat(path)
    return None


def _same(path: Path, other: Path) -> bool:
    with suppress(OSError):
        # What is no file holds nothing that could be lost.
        return stat.S_ISREG(os.stat(path).st_mode) and os.path.samefile(path, other)
    return os.path.realpath(path) == os.path.realpath(other)


def _written_through(target: Path, found: os.stat_result | None) -> bool:
    """Whether other names share the file, or its folder or owner do not let it be replaced.

    An OSError where it is there and must not be written at all.
    """
    if found is None:
        return False
    os.close(os.open(target, os.O_WRONLY))
    own = not hasattr(os, "geteuid") or found.st_uid == os.geteuid()
    return found.st_nlink > 1 or not own or not os.access(target.parent, os.W_OK)


@contextmanager
def _beside(target: Path) -> Iterator[tuple[int, Path]]:
    """A new file in the same folder, which a rename takes to its place; else it is removed.

    Its name is known before it is there: a signal may come in between.
    """
    os.stat(target.parent / ".")
    with suppress(FileNotFoundError):
        os.lstat(target)  # says whether its name is too long
    part = target.parent / f".stationary-{os.urandom(8).hex()}.part"
    try:
        yield os.open(part, os.O_CREAT | os.O_EXCL | os.O_RDWR | BINARY, 0o600), part
    finally:
        part.unlink(missing_ok=True)


def _replace(target: Path, data: bytes, found: os.stat_result | None) -> None:
    with _beside(target) as (handle, part):
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(handle)
        mask = os.umask(0)
        os.umask(mask)
        os.chmod(part, 0o666 & ~mask if found is None else stat.S_IMODE(found.st_mode))
        os.replace(part, target)


def _overwrite(target: Path, data: bytes) -> None:
    """The content of a file exchanged in place; the old one comes back if that fails."""
    with target.open("r+b") as file:
        before = file.read()
        try:
            if data and hasattr(os, "posix_fallocate"):
                os.posix_fallocate(file.fileno(), 0, len(data))  # a full disk is told before harm
            _exchange(file.fileno(), data)
        except BaseException:
            _exchange(file.fileno(), before)
            raise


def _exchange(handle: int, data: bytes) -> None:
    os.lseek(handle, 0, os.SEEK_SET)
    left = memoryview(data)
    while left:
        left = left[os.write(handle, left) :]
    os.ftruncate(handle, len(data))


def unwritable(path: Path, error: OSError) -> LandscapeError:
    """What stands in the way, in the words of who is to clear it."""
    words = error.strerror or str(error)
    folder = Path(os.path.realpath(path) if os.path.islink(path) else path).parent
    disk = "Nothing was changed. Free some space, or name a file on another disk"
    ways = {
        "ENOSPC": disk,
        "EDQUOT": disk,
        "EFBIG": "Nothing was changed. Files may not be so large here (ulimit -f): ask for less",
        "ENOENT": "No file can be made there: name another folder"
        if os.path.isdir(folder)
        else f"The folder {folder} does not exist: make it, or name another one",
        "ENOTDIR": f"{path.parent} is no folder: name a file in one that exists",
        "EPIPE": "Its reader has left: start it again",
        "ENXIO": "Nobody reads from this pipe: start its reader first",
        "ELOOP": "It is a link that leads to itself: name another file",
        "ENAMETOOLONG": "Choose a shorter name",
        "EROFS": "Name a file in a folder that can be written to",
    }
    known = errno.errorcode.get(error.errno or 0, "")
    advice = ways.get(known, "Check its permissions and those of its folder")
    return LandscapeError(f"{path}: cannot be written ({words}). {advice}.")


def read_bounded(path: Path) -> bytes:
    """The bytes of a file, or of a pipe that is being written to; an OSError if it is neither."""
    kind = os.stat(path).st_mode
    if stat.S_ISREG(kind):
        return path.read_bytes()
    if not stat.S_ISFIFO(kind):
        raise OSError("it is neither a file nor a pipe")
    handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    try:
        read = bytearray()
        while len(read) <= MOST_BYTES:
            if not select.select([handle], [], [], PATIENCE)[0]:
                raise OSError(f"nothing came through this pipe for {PATIENCE} s")
            part = os.read(handle, 2**16)
            if not part:
                return bytes(read)
            read += part
        raise OSError(ENDLESS)
    finally:
        os.close(handle)


def read_standard_input() -> str:
    """Standard input as text, however long it takes to come; an OSError if it does not end."""
    source = getattr(sys.stdin, "buffer", None)
    if source is None:  # something else is in its place
        text: str = sys.stdin.read()
        text.encode()  # what came as halves of characters is no text
        return text
    read = bytearray()
    while part := source.read1(2**20):
        read += part
        if len(read) > MOST_BYTES:
            raise OSError(ENDLESS)
    return io.TextIOWrapper(io.BytesIO(read), "utf-8").read()
