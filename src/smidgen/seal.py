"""A mark at the end of a text that we write, by which we know later whether anybody has changed it."""

from __future__ import annotations

import hashlib
import re

__all__ = ["is_sealed", "sealed"]

# A comment in Markdown, in HTML and in SVG.
_SEAL = re.compile(rb"<!-- written by smidgen, sha256 ([0-9a-f]{64}) -->\n\Z")


def sealed(text: str) -> str:
    """The text with the hash of its UTF-8 bytes in a comment at its end; half characters are escaped."""
    digest = hashlib.sha256(text.encode(errors="backslashreplace")).hexdigest()
    return f"{text}<!-- written by smidgen, sha256 {digest} -->\n"


def is_sealed(content: bytes) -> bool:
    """Whether a file is as it was written, byte by byte."""
    found = _SEAL.search(content)
    if found is None:
        return False
    return hashlib.sha256(content[: found.start()]).hexdigest().encode() == found[1]
