"""Published weights in the cache: what `smidgen.download` does, with weights' own words."""

from __future__ import annotations

from pathlib import Path
from typing import TypeAlias

from smidgen.download import ByteProgress, Store, cache_folder
from smidgen.spec import WeightsError

__all__ = ["Progress", "cache_folder", "download", "folder", "is_here", "mirrored", "sha256"]

# Called with (bytes so far, bytes in all); the second is 0 where the server does not say.
Progress: TypeAlias = ByteProgress

_STORE = Store("weights", "SMIDGEN_WEIGHTS_MIRROR", WeightsError)


def mirrored(url: str) -> str:
    """Replace scheme and host by SMIDGEN_WEIGHTS_MIRROR where that is set; the path stays.

    Raises   WeightsError when the mirror is no URL.
    """
    return _STORE.mirrored(url)


def download(url: str, sha256_prefix: str, progress: Progress | None = None) -> Path:
    """Path of the file in the cache, fetched if it is not there yet; the hash is checked in both cases.

    sha256_prefix  first hexadecimal digits of the file's SHA-256
    Raises         WeightsError when the file cannot be fetched or has another hash;
                   nothing is left behind then.
    """
    return _STORE.fetch(url, sha256_prefix, progress)


def folder() -> Path:
    """Where downloaded weights lie."""
    return _STORE.folder


def is_here(url: str) -> bool:
    """Whether the file of that address is in the cache already."""
    return _STORE.target(url).is_file()


def sha256(path: Path) -> str:
    """Hexadecimal SHA-256 of a file.

    Raises   WeightsError when the file cannot be read.
    """
    return _STORE.sha256(path)
