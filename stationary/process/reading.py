"""Files that users name, read without waiting for ever on a silent pipe or an endless device."""

from __future__ import annotations

import os
import select
import stat
from pathlib import Path


def read_bounded(path: Path, *, most: int = 2**30, patience: float = 5.0) -> bytes:
    """The bytes of a file, or of a pipe that is being written to.

    Parameters
    ----------
    most
        Bytes that a pipe may hold.
    patience
        Seconds that it may be silent.

    Raises
    ------
    OSError
        If it cannot be read, is neither, or has no end.
    """
    kind = os.stat(path).st_mode
    if stat.S_ISREG(kind):
        return path.read_bytes()
    if not stat.S_ISFIFO(kind):
        raise OSError("it is neither a file nor a pipe")
    handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    try:
        read = bytearray()
        while len(read) <= most:
            if not select.select([handle], [], [], patience)[0]:
                raise OSError(f"nothing came through this pipe for {patience:g} s")
            part = os.read(handle, 2**16)
            if not part:
                return bytes(read)
            read += part
        raise OSError("what comes through this pipe does not end")
    finally:
        os.close(handle)
