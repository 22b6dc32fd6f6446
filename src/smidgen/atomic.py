"""Files that are either the old one or the whole new one, whatever kills the process."""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections.abc import Iterator
from pathlib import Path

__all__ = ["identity", "probe", "probe_folder", "replacing", "write_bytes", "write_text"]

_BLOCK = 1 << 16  # bytes that are written to see whether any can be


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Temporary file beside `path`; when the block ends well it is flushed to disk and takes its name.

    Where `path` is a link, the file that it points to is replaced.
    Raises   OSError as the file system does, and where `path` is a device, a pipe or a folder; `path` is
             then as it was, and nothing is left beside it.
    """
    path = _regular(path)
    with _beside(path) as temporary:
        yield temporary
        _flush(temporary, os.O_RDWR)
        temporary.replace(path)
        with contextlib.suppress(OSError):  # the file is there; not every file system flushes folders
            _flush(path.parent, os.O_RDONLY)


def probe(path: Path) -> None:
    """Write a block beside `path` and remove it again, to know before the work what cannot be written.

    Raises   OSError as `replacing` would, and where the file is write-protected.
    """
    path = _regular(path)
    with contextlib.suppress(FileNotFoundError):
        if stat.S_ISREG(os.lstat(path).st_mode) and not os.access(path, os.W_OK):
            raise PermissionError(errno.EACCES, "write-protected", str(path))
    _try(path)


def probe_folder(folder: Path) -> None:
    """See whether `folder`, which does not exist, can be made and written into, on the way to it as well.

    Raises   OSError; nothing is left behind.
    """
    folder = folder.absolute()
    present = next(parent for parent in folder.parents if os.path.lexists(parent))
    if not present.is_dir():
        raise NotADirectoryError(errno.ENOTDIR, "a file is in the way", str(present))
    for name in folder.relative_to(present).parts:
        with contextlib.suppress(FileNotFoundError):
            os.lstat(present / name)  # a name that is too long says so
    with contextlib.suppress(FileNotFoundError):
        os.lstat(folder)
    _try(present / folder.name)


def identity(path: str | Path) -> tuple[int, int] | None:
    """What two paths to the same file have in common; None where nothing is there."""
    try:
        found = os.stat(path)  # noqa: PTH116 (text and paths alike)
    except (OSError, ValueError):
        return None
    return found.st_dev, found.st_ino


def write_bytes(path: Path, content: bytes) -> None:
    """Replace `path` by `content` in one step."""
    with replacing(path) as temporary:
        temporary.write_bytes(content)


def write_text(path: Path, content: str) -> None:
    r"""Replace `path` by `content` in UTF-8, in one step; half characters of foreign names are escaped."""
    write_bytes(path, content.encode(errors="backslashreplace"))


def _try(path: Path) -> None:
    with _beside(path) as temporary:
        temporary.write_bytes(bytes(_BLOCK))
        _flush(temporary, os.O_RDWR)


def _regular(path: Path) -> Path:
    """Where the content goes, links followed. Raises OSError where something else than a file is there."""
    real = Path(os.path.realpath(path))
    if os.path.lexists(real) and not real.is_file():  # replacing /dev/null would be worse than not writing
        raise OSError(errno.EINVAL, "not a regular file", str(path))
    return real


@contextlib.contextmanager
def _beside(path: Path) -> Iterator[Path]:
    """An empty file in the same folder, gone after the block unless it was renamed."""
    temporary = path.with_name(f".{path.name[:40]}.{os.urandom(8).hex()}.part")
    temporary.touch(mode=0o666, exist_ok=False)  # the umask as it is now, which the system alone knows safely
    try:
        yield temporary
    finally:
        temporary.unlink(missing_ok=True)


def _flush(path: Path, flags: int) -> None:
    handle = os.open(path, flags)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
