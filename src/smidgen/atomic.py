"""Files that are either the old one or the whole new one, whatever kills the process."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

__all__ = ["replacing", "write_bytes", "write_text"]


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Temporary file beside `path`; when the block ends well it is flushed to disk and takes its name.

    Raises   OSError as the file system does; `path` is then as it was, and nothing is left beside it.
    """
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".part", dir=path.parent)
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        _flush(temporary, os.O_RDWR)
        temporary.chmod(0o666 & ~_umask())
        temporary.replace(path)
        _flush(path.parent, os.O_RDONLY)
    finally:
        temporary.unlink(missing_ok=True)


def write_bytes(path: Path, content: bytes) -> None:
    """Replace `path` by `content` in one step."""
    with replacing(path) as temporary:
        temporary.write_bytes(content)


def write_text(path: Path, content: str) -> None:
    """Replace `path` by `content` in UTF-8, in one step."""
    write_bytes(path, content.encode())


def _flush(path: Path, flags: int) -> None:
    handle = os.open(path, flags)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _umask() -> int:
    """The process's umask, which `mkstemp` disregards; reading it means setting it for a moment."""
    mask = os.umask(0)
    os.umask(mask)
    return mask
