"""HTML that is escaped by construction: plain text cannot become markup by being forgotten."""

from __future__ import annotations

import html

__all__ = ["Html", "join", "tag"]


class Html(str):
    """Text that is already markup; every other string is escaped on its way in."""

    __slots__ = ()


_VOID = frozenset({"br", "img", "meta", "wbr"})


def tag(element: str, *children: str, **attributes: str | int | None) -> Html:
    """Make one element; children that are not `Html` are escaped, attributes always are.

    An attribute's trailing underscore is dropped (`class_`), others become hyphens; None leaves it out.
    """
    written = "".join(
        f' {name.rstrip("_").replace("_", "-")}="{_escape(str(value))}"'
        for name, value in attributes.items()
        if value is not None
    )
    if element in _VOID:
        return Html(f"<{element}{written}>")
    return Html(f"<{element}{written}>{join(*children)}</{element}>")


def join(*children: str) -> Html:
    """Put pieces one after the other, escaping those that are not `Html`."""
    return Html("".join(child if isinstance(child, Html) else _escape(child) for child in children))


def _escape(text: str) -> str:
    # File names may hold bytes that are no text (lone surrogates) or control characters; a page may not.
    printable = "".join(
        char if char.isprintable() or char in " \n\t" or ord(char) > 0x9F else "\ufffd" for char in text
    )
    return html.escape(printable.encode("utf-8", "replace").decode("utf-8"))
