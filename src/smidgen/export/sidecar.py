"""A JSON file beside an export that has no room of its own: how it is used, and the hashes of its files."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from smidgen.export.usage import text

__all__ = ["SUFFIX", "added", "knows"]

SUFFIX = ".json"

_HASHES = "sha256"


def added(content: Mapping[str, bytes], usage: Mapping[str, Any]) -> dict[str, bytes]:
    """The content with one file more.

    usage  what the file says
    """
    hashes = {suffix: _digest(found) for suffix, found in content.items()}
    return {**content, SUFFIX: _sealed(usage, hashes)}


def knows(path: Path, suffixes: Collection[str]) -> bool:
    """Whether the file is as it was written, and the one beside it as well that says so.

    suffixes  of the files of its target: another target's may have the same name
    """
    beside = path.with_suffix(SUFFIX)
    try:
        found = beside.read_bytes()
        document = json.loads(found)
        hashes = document.pop(_HASHES)
        if hashes.keys() != {*suffixes}:
            return False
        hashes.pop(SUFFIX)
        if _sealed(document, hashes) != found:
            return False
    except (OSError, ValueError, TypeError, AttributeError, KeyError, RecursionError):
        return False
    return path.suffix == SUFFIX or hashes.get(path.suffix) == _digest(path.read_bytes())


def _sealed(usage: Mapping[str, Any], hashes: Mapping[str, str]) -> bytes:
    """The document; its own hash is that of the document without it."""
    bare = _text({**usage, _HASHES: hashes})
    return _text({**usage, _HASHES: {**hashes, SUFFIX: _digest(bare)}})


def _text(document: Mapping[str, Any]) -> bytes:
    return f"{text(document, indent=1)}\n".encode()


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
