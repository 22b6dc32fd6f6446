"""Files that are either the old one or the whole new one, whatever kills the process."""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Iterator
from pathlib import Path

__all__ = ["replacing", "write_bytes", "write_text"]


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Temporary file beside `path`; when the block ends well it is flushed to disk and takes its name.

    Where `path` is a link, the file that it points to is replaced.
    Raises   OSError as the file system does, and where `path` is a device, a pipe or a folder; `path` is
             then as it was, and nothing is left beside it.
    """
    path = Path(os.path.realpath(path))
    if path.exists() and not path.is_file():  # replacing /dev/null would be worse than not writing
        raise OSError(errno.EINVAL, "not a regular file", str(path))
    temporary = path.with_name(f".{path.name[:40]}.{os.urandom(8).hex()}.part")
    temporary.touch(mode=0o666, exist_ok=False)  # the umask as it is now, which the system alone knows safely
    try:
        yield temporary
        _flush(temporary, os.O_RDWR)
        temporary.replace(path)
        with contextlib.suppress(OSError):  # the file is there; not every file system flushes folders
            _flush(path.parent, os.O_RDONLY)
    finally:
        temporary.unlink(missing_ok=True)


def write_bytes(path: Path, content: bytes) -> None:
    """Replace `path` by `content` in one step."""
    with replacing(path) as temporary:
        temporary.write_bytes(content)


def write_text(path: Path, content: str) -> None:
    r"""Replace `path` by `content` in UTF-8, in one step; half characters of foreign names are escaped."""
    write_bytes(path, content.encode(errors="backslashreplace"))


def _flush(path: Path, flags: int) -> None:
    handle = os.open(path, flags)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
