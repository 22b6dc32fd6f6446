import os
import resource
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest

from smidgen import atomic

ROOT = os.geteuid() == 0


def test_new_content_replaces_the_old_whole(tmp_path: Path) -> None:
    path = tmp_path / "file"
    atomic.write_bytes(path, b"old and long")
    atomic.write_bytes(path, b"new")
    assert path.read_bytes() == b"new"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("failure", [RuntimeError, KeyboardInterrupt])
def test_an_exception_in_the_block_leaves_the_old_content_alone(
    tmp_path: Path, failure: type[BaseException]
) -> None:
    path = tmp_path / "file"
    path.write_text("old")

    def write() -> None:
        with atomic.replacing(path) as temporary:
            temporary.write_text("half")
            raise failure

    with pytest.raises(failure):
        write()
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_readers_see_the_old_content_until_the_block_ends(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("old")
    with atomic.replacing(path) as temporary:
        temporary.write_text("new")
        assert path.read_text() == "old"
        assert temporary.parent == path.parent  # another file system could not rename in one step
    assert path.read_text() == "new"


def test_a_disk_that_fills_up_leaves_the_old_content_alone(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("old")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, limits[1]))
    try:
        with pytest.raises(OSError, match="File too large"):
            atomic.write_bytes(path, bytes(100_000))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, before)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("call", ["fsync", "open"])
def test_a_failing_flush_leaves_the_old_content_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    path = tmp_path / "file"
    path.write_text("old")

    def write() -> None:
        with atomic.replacing(path) as temporary:
            temporary.write_text("new")
            monkeypatch.setattr(os, call, _broken)

    with pytest.raises(OSError, match="broken"):
        write()
    monkeypatch.undo()
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def _broken(*_args: object) -> int:
    raise OSError("broken")


def test_the_content_is_on_the_disk_before_it_takes_the_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    order: list[str] = []
    flush, replace = os.fsync, Path.replace

    def fsync(handle: int) -> None:
        order.append("folder" if stat.S_ISDIR(os.fstat(handle).st_mode) else "file")
        flush(handle)

    def renamed(self: Path, target: Path) -> Path:
        order.append("replace")
        return replace(self, target)

    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(Path, "replace", renamed)
    atomic.write_bytes(tmp_path / "file", b"content")
    assert order == ["file", "replace", "folder"]


WRITER = """
import sys
from pathlib import Path
from smidgen import atomic
path = Path(sys.argv[1])
print("ready", flush=True)
for letter in "abcdefgh" * 100_000:
    atomic.write_bytes(path, letter.encode() * 300_000)
"""


@pytest.mark.parametrize("delay", [0.0, 0.007, 0.02, 0.041])
def test_a_killed_writer_leaves_one_whole_content(tmp_path: Path, delay: float) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"0" * 300_000)
    with subprocess.Popen([sys.executable, "-c", WRITER, str(path)], stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == b"ready\n"
        time.sleep(delay)
        child.kill()
    content = path.read_bytes()
    assert len(content) == 300_000
    assert len(set(content)) == 1


@pytest.mark.parametrize("mask", [0o022, 0o077, 0o002])
def test_permissions_follow_the_umask(tmp_path: Path, mask: int) -> None:
    before = os.umask(mask)
    try:
        atomic.write_bytes(tmp_path / "file", b"")
        assert os.umask(mask) == mask
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "file").stat().st_mode) == 0o666 & ~mask


def test_a_link_stays_and_its_target_is_replaced(tmp_path: Path) -> None:
    far, link = tmp_path / "far" / "file", tmp_path / "link"
    far.parent.mkdir()
    far.write_text("old")
    link.symlink_to(far)
    atomic.write_text(link, "new")
    assert link.is_symlink()
    assert far.read_text() == "new"


def test_a_pipe_is_refused_and_stays(tmp_path: Path) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    with pytest.raises(OSError, match="not a regular file"):
        atomic.write_bytes(path, b"content")
    assert path.is_fifo()
    assert list(tmp_path.iterdir()) == [path]


def test_a_folder_is_refused_and_nothing_is_left(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    with pytest.raises(OSError, match="not a regular file"):
        atomic.write_bytes(tmp_path / "folder", b"content")
    assert [path.name for path in tmp_path.iterdir()] == ["folder"]


def test_a_missing_folder_is_an_os_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        atomic.write_bytes(tmp_path / "no" / "file", b"content")


@pytest.mark.skipif(ROOT, reason="root may write everywhere")
def test_a_folder_without_permission_is_an_os_error(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(PermissionError):
        atomic.write_bytes(tmp_path / "file", b"content")
    tmp_path.chmod(0o700)


def test_text_is_utf8_and_half_characters_become_escapes(tmp_path: Path) -> None:
    atomic.write_text(tmp_path / "file", "é → \udce9")
    assert (tmp_path / "file").read_bytes() == "é → \\udce9".encode()


# ── before the work ──────────────────────────────────────────────────────────────────────────────────


def test_a_probe_leaves_nothing_and_changes_nothing(tmp_path: Path) -> None:
    (tmp_path / "old").write_text("old")
    for name in ("old", "new"):
        atomic.probe(tmp_path / name)
    atomic.probe_folder(tmp_path / "a" / "b")
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {"old": "old"}


def test_a_probe_really_writes_since_a_full_disk_lets_files_be_made(tmp_path: Path) -> None:
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, limits[1]))
    try:
        for probe in (atomic.probe, atomic.probe_folder):
            with pytest.raises(OSError, match="File too large"):
                probe(tmp_path / "file")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, before)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["no/file", "folder", "loop", "x" * 300])
def test_what_a_probe_allows_can_be_written_and_nothing_else(tmp_path: Path, name: str) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "loop").symlink_to("loop")
    for call in (atomic.probe, lambda path: atomic.write_bytes(path, b"")):
        with pytest.raises(OSError, match=r"No such file|not a regular file|File name too long"):
            call(tmp_path / name)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["folder", "loop"]


def test_a_link_to_a_file_that_is_not_there_can_be_written(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("target")
    atomic.probe(tmp_path / "link")
    atomic.write_text(tmp_path / "link", "content")
    assert (tmp_path / "target").read_text() == "content"
