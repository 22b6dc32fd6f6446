"""Download a file once into the cache: hash checked, atomic, with progress, and honest when offline."""

from __future__ import annotations

import hashlib
import http.client
import os
import sys
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, TypeAlias
from urllib.parse import urlsplit

from smidgen.atomic import replacing
from smidgen.spec import SmidgenError

__all__ = ["ByteProgress", "Store", "cache_folder"]

# Called with (bytes so far, bytes in all); the second is 0 where the server does not say.
ByteProgress: TypeAlias = Callable[[int, int], None]

_CHUNK = 1 << 18
_TIMEOUT_SECONDS = 30


def cache_folder() -> Path:
    """Say where downloads go: SMIDGEN_CACHE, or `smidgen` in the platform's cache folder."""
    if chosen := os.environ.get("SMIDGEN_CACHE"):
        return Path(chosen).expanduser()
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "smidgen"
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local") / "smidgen" / "Cache"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "smidgen"


@dataclass(frozen=True, slots=True)
class Store:
    """Downloads of one kind.

    name    of their folder below the cache folder
    mirror  environment variable that replaces scheme and host of every address
    error   what is raised
    """

    name: str
    mirror: str
    error: type[SmidgenError]

    @property
    def folder(self) -> Path:
        """Where the files lie."""
        return cache_folder() / self.name

    def mirrored(self, url: str) -> str:
        """Replace scheme and host by the mirror where that is set; the path stays.

        The mirror may carry a path of its own, and may be a `file:` URL.
        Raises   the store's error when the mirror is no such URL.
        """
        mirror = os.environ.get(self.mirror)
        if not mirror:
            return url
        if not mirror.startswith(("http://", "https://", "file:///")):
            needed = "it must start with https://, http:// or file:///"
            raise self.error(f"{self.mirror} is '{mirror}'; {needed}")
        return mirror.rstrip("/") + urlsplit(url).path

    def target(self, url: str) -> Path:
        """Where the file of that address lies once it is here."""
        return self.folder / Path(urlsplit(url).path).name

    def fetch(self, url: str, sha256_prefix: str, progress: ByteProgress | None = None) -> Path:
        """Path of the file in the cache, fetched if it is not there yet; its hash is checked in both cases.

        sha256_prefix  first hexadecimal digits of the file's SHA-256
        Raises         the store's error when the file cannot be fetched or has another hash;
                       nothing is left behind then.
        """
        target = self.target(url)
        if target.exists():
            self._check(
                self.sha256(target), sha256_prefix, f"{target}", "delete the file to download it again"
            )
            return target
        address = self.mirrored(url)
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            self._download(address, target, sha256_prefix, progress or _silent)
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise self.error(
                f"cannot download {address} ({_reason(error)}); "
                f"set {self.mirror} to a host that has it, or put the file at {target}"
            ) from None
        return target

    def sha256(self, path: Path) -> str:
        """Hexadecimal SHA-256 of a file.

        Raises   the store's error when the file cannot be read.
        """
        try:
            with path.open("rb") as file:
                return hashlib.file_digest(file, "sha256").hexdigest()
        except OSError as error:
            raise self.error(f"cannot read {path}: {error.strerror}") from error

    def _download(self, url: str, target: Path, sha256_prefix: str, progress: ByteProgress) -> None:
        """Download beside the target; it takes the target's name only when it is whole and genuine."""
        with (
            replacing(target) as temporary,
            urllib.request.urlopen(url, timeout=_TIMEOUT_SECONDS) as response,
            temporary.open("wb") as file,
        ):
            digest = _copy(response, file, int(response.headers.get("Content-Length") or 0), progress)
            remedy = f"the download was deleted; try again, or another {self.mirror}"
            self._check(digest, sha256_prefix, url, remedy)

    def _check(self, digest: str, prefix: str, what: str, remedy: str) -> None:
        if not digest.startswith(prefix):
            starts = digest[: len(prefix)]
            raise self.error(f"{what}: its SHA-256 starts with {starts}, not {prefix}; {remedy}")


def _silent(_done: int, _total: int) -> None:
    pass


def _copy(response: BinaryIO, file: BinaryIO, total: int, progress: ByteProgress) -> str:
    """Copy the response into the file and return its SHA-256; a connection cut short is an error."""
    digest, done = hashlib.sha256(), 0
    while chunk := response.read(_CHUNK):
        file.write(chunk)
        digest.update(chunk)
        done += len(chunk)
        progress(done, total)
    if total and done != total:
        raise ConnectionError(f"the connection ended after {done:,} of {total:,} bytes")
    return digest.hexdigest()


def _reason(error: Exception) -> str:
    """Why it failed, on one line."""
    if isinstance(error, urllib.error.HTTPError):
        error.close()  # it holds the connection
        return f"HTTP {error.code} {error.reason}"
    cause = error.reason if isinstance(error, urllib.error.URLError) else error
    text = cause.strerror if isinstance(cause, OSError) and cause.strerror else str(cause)
    return " ".join(text.split()) or type(cause).__name__
