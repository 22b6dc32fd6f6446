"""Where each map lies: one arena for all that a picture needs on its way through the network."""

from __future__ import annotations

from bisect import insort
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from smidgen.program.program import Conv, Plan, Pointwise, Step, View, views_read, views_written

__all__ = ["Arena", "lay_out"]


class Arena(NamedTuple):
    """Places of the maps, in numbers (not bytes).

    at    the first element of each map; None for the input and the output, which are the caller's
    size  of the whole arena
    """

    at: tuple[int | None, ...]
    size: int


@dataclass(slots=True)
class _Life:
    """Moments between which memory is needed, both included, and how much.

    A step has two moments: it works, and then it leaves the means that it has counted.
    """

    first: int
    last: int
    size: int


def lay_out(plan: Plan) -> Arena:
    """Maps that are never needed at the same time share their places.

    A step writes over what it reads where nobody reads that later and every element is read before it is
    written: elementwise steps, and convolutions over the residual that they add.
    """
    lives = _lives(plan)
    home = _share(plan, lives)
    rooms = {number: lives[number] for number in lives if home[number] == number}
    both = [_place(order) for order in (_by_size(rooms), _by_time(rooms))]
    places, size = min(both, key=lambda found: found[1])
    return Arena(tuple(places.get(home[number]) for number in range(len(plan.maps))), size)


def _lives(plan: Plan) -> dict[int, _Life]:
    """Lifetime of each map in the arena."""
    lives: dict[int, _Life] = {}
    for index, step in enumerate(plan.steps):
        moments = [(view, 2 * index) for view in (step.y, *views_read(step))]
        moments += [(view, 2 * index + 1) for view in views_written(step) if view != step.y]
        for view, moment in moments:
            if view.map not in (plan.input, plan.output):
                life = lives.setdefault(view.map, _Life(moment, moment, plan.maps[view.map].numel))
                life.last = moment
    return lives


def _share(plan: Plan, lives: dict[int, _Life]) -> list[int]:
    """The map whose memory each map uses: mostly its own."""
    home = list(range(len(plan.maps)))
    for index, step in enumerate(plan.steps):
        over = _writes_over(step, plan)
        if over is None or over.map not in lives or step.y.map not in lives:
            continue
        old, new = lives[home[over.map]], lives[step.y.map]
        if old.last == new.first == 2 * index:
            home[step.y.map] = home[over.map]
            old.last = new.last
    return home


def _writes_over(step: Step, plan: Plan) -> View | None:
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
    whole = all(view.channels == plan.maps[view.map].channels for view in (candidate, step.y))
    return candidate if whole and plan.maps[candidate.map] == plan.maps[step.y.map] else None


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
