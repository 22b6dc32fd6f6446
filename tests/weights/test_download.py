"""Downloads against a real server on the loopback interface."""

from __future__ import annotations

import hashlib
import http.server
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from smidgen.spec import WeightsError
from smidgen.weights.download import cache_folder, download, mirrored

BODY = bytes(range(256)) * 4000
PREFIX = hashlib.sha256(BODY).hexdigest()[:8]
PUBLISHED_AT = "https://weights.invalid/models/net-00000000.pth"


class Server:
    """What the handler does next, and what it was asked for."""

    def __init__(self) -> None:
        self.status = 200
        self.body = BODY
        self.announced: int | None = len(BODY)
        self.paths: list[str] = []
        self.url = ""


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SMIDGEN_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("no_proxy", "*")
    monkeypatch.delenv("SMIDGEN_WEIGHTS_MIRROR", raising=False)
    return tmp_path / "cache" / "weights"


@pytest.fixture
def server(cache: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    state = Server()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            state.paths.append(self.path)
            self.send_response(state.status)
            if state.announced is not None:
                self.send_header("Content-Length", str(state.announced))
            self.end_headers()
            self.wfile.write(state.body)

        def log_message(self, *args: object) -> None:
            pass

    class Quiet(http.server.ThreadingHTTPServer):
        def handle_error(self, *args: object) -> None:
            pass  # a client that hangs up is what some tests want

    with Quiet(("127.0.0.1", 0), Handler) as running:
        thread = threading.Thread(target=running.serve_forever, args=(0.01,))
        thread.start()
        state.url = f"http://127.0.0.1:{running.server_port}/mirror/"
        monkeypatch.setenv("SMIDGEN_WEIGHTS_MIRROR", state.url)
        yield state
        running.shutdown()
        thread.join()


def left_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir()) if folder.exists() else []


def message(error: pytest.ExceptionInfo[WeightsError]) -> str:
    text = str(error.value)
    assert "\n" not in text
    return text


def test_mirror_replaces_scheme_and_host_and_keeps_the_path(server: Server, cache: Path) -> None:
    path = download(PUBLISHED_AT, PREFIX)
    assert server.paths == ["/mirror/models/net-00000000.pth"]
    assert path == cache / "net-00000000.pth"
    assert path.read_bytes() == BODY
    assert left_in(cache) == ["net-00000000.pth"]


def test_second_call_asks_no_server(server: Server) -> None:
    first = download(PUBLISHED_AT, PREFIX)
    assert download(PUBLISHED_AT, PREFIX) == first
    assert len(server.paths) == 1


def test_progress_rises_to_the_announced_size(server: Server) -> None:
    seen: list[tuple[int, int]] = []
    download(PUBLISHED_AT, PREFIX, lambda done, total: seen.append((done, total)))
    assert seen[-1] == (len(BODY), len(BODY))
    assert [done for done, _ in seen] == sorted({done for done, _ in seen})


def test_size_that_nobody_announced_is_no_obstacle(server: Server) -> None:
    server.announced = None
    seen: list[int] = []
    assert download(PUBLISHED_AT, PREFIX, lambda _, total: seen.append(total)).read_bytes() == BODY
    assert set(seen) == {0}


def test_other_hash_is_refused_and_nothing_stays(server: Server, cache: Path) -> None:
    with pytest.raises(WeightsError) as error:
        download(PUBLISHED_AT, "deadbeef")
    assert f"{PREFIX}, not deadbeef" in message(error)
    assert left_in(cache) == []


def test_missing_file_on_the_server_names_status_mirror_and_place(server: Server, cache: Path) -> None:
    server.status = 404
    with pytest.raises(WeightsError) as error:
        download(PUBLISHED_AT, PREFIX)
    for part in ("HTTP 404", server.url, "SMIDGEN_WEIGHTS_MIRROR", str(cache / "net-00000000.pth")):
        assert part in message(error)
    assert left_in(cache) == []


def test_cut_connection_is_refused_and_nothing_stays(server: Server, cache: Path) -> None:
    server.body = BODY[:700_000]
    with pytest.raises(WeightsError, match="700,000 of 1,024,000 bytes") as error:
        download(PUBLISHED_AT, PREFIX)
    message(error)
    assert left_in(cache) == []


def test_refused_port_is_one_line(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
    monkeypatch.setenv("SMIDGEN_WEIGHTS_MIRROR", f"http://127.0.0.1:{port}")
    with pytest.raises(WeightsError, match="refused") as error:
        download(PUBLISHED_AT, PREFIX)
    message(error)
    assert left_in(cache) == []


def test_interrupted_download_leaves_nothing(server: Server, cache: Path) -> None:
    def stop(done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        download(PUBLISHED_AT, PREFIX, stop)
    assert left_in(cache) == []


def test_damaged_file_in_the_cache_is_not_used(server: Server, cache: Path) -> None:
    path = download(PUBLISHED_AT, PREFIX)
    path.write_bytes(b"damaged")
    with pytest.raises(WeightsError, match="delete the file"):
        download(PUBLISHED_AT, PREFIX)
    assert path.read_bytes() == b"damaged"
    assert len(server.paths) == 1


def test_file_put_there_by_hand_needs_no_network(cache: Path) -> None:
    cache.mkdir(parents=True)
    (cache / "net-00000000.pth").write_bytes(BODY)
    assert download(PUBLISHED_AT, PREFIX).read_bytes() == BODY


def test_a_folder_serves_as_mirror(cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "net-00000000.pth").write_bytes(BODY)
    monkeypatch.setenv("SMIDGEN_WEIGHTS_MIRROR", tmp_path.as_uri())
    assert download(PUBLISHED_AT, PREFIX).read_bytes() == BODY


def test_cache_that_cannot_be_written_is_one_line(server: Server, tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("a file where the folder should be")
    with pytest.raises(WeightsError) as error:
        download(PUBLISHED_AT, PREFIX)
    message(error)


@pytest.mark.parametrize("mirror", ["ftp://host", "host/path", "file://host/share"])
def test_mirror_that_is_no_url_is_refused(mirror: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SMIDGEN_WEIGHTS_MIRROR", mirror)
    with pytest.raises(WeightsError, match="must start with"):
        mirrored(PUBLISHED_AT)


def test_without_a_mirror_the_url_stays(cache: Path) -> None:
    assert mirrored(PUBLISHED_AT) == PUBLISHED_AT


def test_cache_folder_follows_the_platform(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("SMIDGEN_CACHE", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr("sys.platform", "linux")
    assert cache_folder() == tmp_path / "smidgen"
    monkeypatch.setattr("sys.platform", "darwin")
    assert cache_folder() == Path.home() / "Library" / "Caches" / "smidgen"
