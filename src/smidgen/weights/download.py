"""Download a file once into the cache: hash checked, atomic, with progress, and honest when offline."""

from __future__ import annotations

import hashlib
import http.client
import os
import sys
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO, TypeAlias
from urllib.parse import urlsplit

from smidgen.atomic import replacing
from smidgen.spec import WeightsError

__all__ = ["Progress", "cache_folder", "download", "mirrored", "sha256"]

# Called with (bytes so far, bytes in all); the second is 0 where the server does not say.
Progress: TypeAlias = Callable[[int, int], None]

_CHUNK = 1 << 18
_TIMEOUT_SECONDS = 30
_MIRROR = "SMIDGEN_WEIGHTS_MIRROR"


def cache_folder() -> Path:
    """Say where downloads go: SMIDGEN_CACHE, or `smidgen` in the platform's cache folder."""
    if chosen := os.environ.get("SMIDGEN_CACHE"):
        return Path(chosen).expanduser()
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "smidgen"
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local") / "smidgen" / "Cache"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "smidgen"


def mirrored(url: str) -> str:
    """Replace scheme and host by SMIDGEN_WEIGHTS_MIRROR where that is set; the path stays.

    The mirror may carry a path of its own, and may be a `file:` URL.
    Raises   WeightsError when the mirror is no such URL.
    """
    mirror = os.environ.get(_MIRROR)
    if not mirror:
        return url
    if not mirror.startswith(("http://", "https://", "file:///")):
        raise WeightsError(f"{_MIRROR} is '{mirror}'; it must start with https://, http:// or file:///")
    return mirror.rstrip("/") + urlsplit(url).path


def download(url: str, sha256_prefix: str, progress: Progress | None = None) -> Path:
    """Path of the file in the cache, fetched if it is not there yet; the hash is checked in both cases.

    sha256_prefix  first hexadecimal digits of the file's SHA-256
    Raises         WeightsError when the file cannot be fetched or has another hash;
                   nothing is left behind then.
    """
    target = cache_folder() / "weights" / Path(urlsplit(url).path).name
    if target.exists():
        _check(sha256(target), sha256_prefix, f"{target}", "delete the file to download it again")
        return target
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        _fetch(mirrored(url), target, sha256_prefix, progress or _silent)
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise WeightsError(
            f"cannot download {mirrored(url)} ({_reason(error)}); "
            f"set {_MIRROR} to a host that has it, or put the file at {target}"
        ) from None
    return target


def sha256(path: Path) -> str:
    """Hexadecimal SHA-256 of a file.

    Raises   WeightsError when the file cannot be read.
    """
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise WeightsError(f"cannot read {path}: {error.strerror}") from error


def _silent(_done: int, _total: int) -> None:
    pass


def _fetch(url: str, target: Path, sha256_prefix: str, progress: Progress) -> None:
    """Download beside the target, and let it take the target's name only when it is whole and genuine."""
    with (
        replacing(target) as temporary,
        urllib.request.urlopen(url, timeout=_TIMEOUT_SECONDS) as response,
        temporary.open("wb") as file,
    ):
        digest = _copy(response, file, int(response.headers.get("Content-Length") or 0), progress)
        _check(digest, sha256_prefix, url, f"the download was deleted; try again, or another {_MIRROR}")


def _copy(response: BinaryIO, file: BinaryIO, total: int, progress: Progress) -> str:
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


def _check(digest: str, prefix: str, what: str, remedy: str) -> None:
    if not digest.startswith(prefix):
        raise WeightsError(f"{what}: its SHA-256 starts with {digest[: len(prefix)]}, not {prefix}; {remedy}")


def _reason(error: Exception) -> str:
    """Why it failed, on one line."""
    if isinstance(error, urllib.error.HTTPError):
        error.close()  # it holds the connection
        return f"HTTP {error.code} {error.reason}"
    cause = error.reason if isinstance(error, urllib.error.URLError) else error
    text = cause.strerror if isinstance(cause, OSError) and cause.strerror else str(cause)
    return " ".join(text.split()) or type(cause).__name__
