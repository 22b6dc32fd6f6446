"""Where each map lies: one arena for all that a picture needs on its way through the network."""

from __future__ import annotations

from bisect import insort
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from smidgen.program.program import Program
from smidgen.program.steps import Conv, Pointwise, Step, View, views_read, views_written
from smidgen.program.values import Map

__all__ = ["ALIGNMENT", "Arena", "lay_out"]

ALIGNMENT = 4  # bytes, of the largest dtype that a map has: bytes and floats lie side by side


class Arena(NamedTuple):
    """Places of the maps of one picture.

    at     first byte of each map, a multiple of ALIGNMENT; None for the input and the output, which are the
           caller's
    bytes  of the whole arena
    """

    at: tuple[int | None, ...]
    bytes: int


@dataclass(slots=True)
class _Life:
    """Moments between which memory is needed, both included, and how many bytes.

    A step has two moments: it works, and then it leaves the means that it has counted.
    """

    first: int
    last: int
    size: int


def lay_out(program: Program) -> Arena:
    """Maps that are never needed at the same time share their places.

    A step writes over what it reads where nobody reads that later and every element is read before it is
    written: elementwise steps, and convolutions over the residual that they add.
    """
    lives = _lives(program)
    home = _share(program, lives)
    rooms = {number: lives[number] for number in lives if home[number] == number}
    both = [_place(order) for order in (_by_size(rooms), _by_time(rooms))]
    places, size = min(both, key=lambda found: found[1])
    return Arena(tuple(places.get(home[number]) for number in range(len(program.maps))), size)


def _lives(program: Program) -> dict[int, _Life]:
    """Lifetime of each map in the arena."""
    lives: dict[int, _Life] = {}
    for index, step in enumerate(program.steps):
        moments = [(view, 2 * index) for view in (step.y, *views_read(step))]
        moments += [(view, 2 * index + 1) for view in views_written(step) if view != step.y]
        for view, moment in moments:
            if view.map not in (program.input, program.output):
                life = lives.setdefault(view.map, _Life(moment, moment, _room(program.maps[view.map])))
                life.last = moment
    return lives


def _room(one: Map) -> int:
    return -(-one.bytes // ALIGNMENT) * ALIGNMENT


def _share(program: Program, lives: dict[int, _Life]) -> list[int]:
    """The map whose memory each map uses: mostly its own."""
    home = list(range(len(program.maps)))
    for index, step in enumerate(program.steps):
        over = _writes_over(step, program)
        if over is None or over.map not in lives or step.y.map not in lives:
            continue
        old, new = lives[home[over.map]], lives[step.y.map]
        if old.last == new.first == 2 * index:
            home[step.y.map] = home[over.map]
            old.last = new.last
    return home


def _writes_over(step: Step, program: Program) -> View | None:
    """What the step may overwrite, where that is a whole map and as large as what it writes."""
    match step:
        case Pointwise(runs=()):
            candidate: View | None = step.x
        case Conv():
            candidate = step.after.add
            if candidate is not None and candidate.map == step.x.map:
                return None
        case _:
            return None
    if candidate is None:
        return None
    whole = all(view.channels == program.maps[view.map].shape.channels for view in (candidate, step.y))
    return candidate if whole and program.maps[candidate.map] == program.maps[step.y.map] else None


def _by_size(rooms: dict[int, _Life]) -> list[tuple[int, _Life]]:
    return sorted(rooms.items(), key=lambda item: (-item[1].size, item[1].first))


def _by_time(rooms: dict[int, _Life]) -> list[tuple[int, _Life]]:
    return sorted(rooms.items(), key=lambda item: (item[1].first, -item[1].size))


def _place(order: Sequence[tuple[int, _Life]]) -> tuple[dict[int, int], int]:
    """Each in the lowest gap that those placed before it, and alive with it, leave free."""
    placed: list[tuple[int, _Life]] = []
    places: dict[int, int] = {}
    for number, life in order:
        at = 0
        for other_at, other in placed:
            apart = other.last < life.first or life.last < other.first
            if apart or other_at + other.size <= at:
                continue
            if other_at >= at + life.size:
                break
            at = other_at + other.size
        insort(placed, (at, life), key=lambda item: item[0])
        places[number] = at
    return places, max((at + life.size for at, life in placed), default=0)
