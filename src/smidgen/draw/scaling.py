"""A network and its larger sisters as stacks of plates: what scaling width, depth and resolution does."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from smidgen.draw.blocks import Block
from smidgen.draw.cut import blocks
from smidgen.draw.svg import Canvas, clip, text_width
from smidgen.draw.terms import compact, map_size, ratio
from smidgen.graph.network import Network
from smidgen.spec import SmidgenError

__all__ = ["scaling"]

_MARGIN, _APART = 24.0, 30.0
_WIDEST, _DEEPEST = 140.0, 92.0  # pixels of the most channels, and of the largest map's side
_SLANT = (0.62, -0.42)  # where a pixel of depth goes
_TALLEST, _PITCH = 400.0, 17.0
_FACTOR = 34.0  # width of the column of factors
_SIZE = 11.0


@dataclass(frozen=True, slots=True)
class _Stack:
    network: Network
    title: str
    plates: tuple[Block, ...]

    @property
    def widest(self) -> int:
        return max(block.out.channels for block in self.plates)

    @property
    def depth(self) -> int:
        """Blocks; of a network without any, its convolutions."""
        count = sum(block.kind != "conv" for block in self.plates)
        return count or len(self.plates)

    def facts(self) -> tuple[tuple[str, str, float], ...]:
        """Name, text and value of what is compared."""
        total, side = self.network.cost(), max(self.network.input[1:3])
        return (
            ("width", f"{self.widest} channels", self.widest),
            ("depth", f"{self.depth} blocks", self.depth),
            ("resolution", map_size(self.network.input), side),
            ("parameters", compact(total.params), total.params),
            ("MACs", compact(total.macs), total.macs),
        )


@dataclass(frozen=True, slots=True)
class _Scale:
    """Pixels per channel, per pixel of a map's side, and per plate."""

    width: float
    depth: float
    pitch: float


def scaling(networks: Sequence[Network], titles: Sequence[str] | None = None) -> str:
    """Drawing of networks as stacks of plates in SVG, the first of them the baseline.

    A plate is a block of the real tree, the first at the bottom: its width is that of the channels, its
    depth the side of its map. Dashes repeat the baseline; factors under a stack are relative to it.
    titles   over the stacks; default: the networks' names
    Raises   SmidgenError without networks, or without a title for each.
    Source   the comparison follows Tan & Le 2019, arXiv:1905.11946, Figure 2
    """
    names = [network.name for network in networks] if titles is None else list(titles)
    if not networks or len(names) != len(networks):
        raise SmidgenError(
            f"{len(networks)} networks and {len(names)} titles; give one title for each network"
        )
    stacks = [_Stack(network, name, _plates(network)) for network, name in zip(networks, names, strict=True)]
    scale = _fit(stacks)
    slot = _slot(stacks, scale)
    floor = _MARGIN + 46 + max(_height(stack, scale) for stack in stacks)
    left = _MARGIN + 82
    canvas = Canvas()
    for index, stack in enumerate(stacks):
        x = left + index * (slot + _APART)
        _draw_stack(canvas, stack, stacks[0], scale, x, slot, floor)
        _draw_facts(canvas, stack, stacks[0], x, slot, floor + 40)
    for index, (name, _, _) in enumerate(stacks[0].facts()):
        canvas.text(_MARGIN, floor + 40 + index * 19, name, "muted", _SIZE)
    right = left + len(stacks) * (slot + _APART) - _APART
    y = floor + 40 + 5 * 19 + 8
    for note in (
        "a plate is a block: as wide as its channels, as deep as its map",
        "dashes: the first network",
    ):
        canvas.text(_MARGIN, y, clip(note, right - _MARGIN, 10.5), "muted", 10.5)
        y += 16
    return canvas.finish(right + _MARGIN, y - 8 + _MARGIN, f"Scaling: {', '.join(names)}")


def _plates(network: Network) -> tuple[Block, ...]:
    """Blocks up to the last one; of a network without blocks its convolutions. The head is left out."""
    kinds = ("conv", "block", "shift")
    found = [block for block in blocks(network.tree, network.input) if block.kind in kinds]
    last = max((index for index, block in enumerate(found) if block.kind != "conv"), default=len(found) - 1)
    plates = tuple(block for block in found[: last + 1] if block.channels or block.kind != "conv")
    if not plates:
        raise SmidgenError(f"{network.name} has no convolutions to draw")
    return plates


def _fit(stacks: Sequence[_Stack]) -> _Scale:
    channels = max(stack.widest for stack in stacks)
    side = max(max(block.out[1:3]) for stack in stacks for block in stack.plates)
    count = max(len(stack.plates) for stack in stacks)
    return _Scale(_WIDEST / channels, _DEEPEST / side, min(_PITCH, _TALLEST / count))


def _height(stack: _Stack, scale: _Scale) -> float:
    """Pixels from the floor to the highest corner of any plate."""
    return max(
        (index + 1) * scale.pitch - max(block.out[1:3]) * scale.depth * _SLANT[1]
        for index, block in enumerate(stack.plates)
    )


def _slot(stacks: Sequence[_Stack], scale: _Scale) -> float:
    """Width of the place that every stack gets: plates and their slant, or the text under them."""
    drawn = max(
        block.out.channels * scale.width / 2 + max(block.out[1:3]) * scale.depth * _SLANT[0]
        for stack in stacks
        for block in stack.plates
    )
    text = max(text_width(fact, _SIZE) for stack in stacks for _, fact, _ in stack.facts()) + 8 + _FACTOR
    return max(
        _WIDEST / 2 + max(drawn, _WIDEST / 2), text, max(text_width(s.title, 13, bold=True) for s in stacks)
    )


# ── drawing ──────────────────────────────────────────────────────────────────────────────────────


def _draw_stack(
    canvas: Canvas, stack: _Stack, baseline: _Stack, scale: _Scale, x: float, slot: float, floor: float
) -> None:
    centre = x + _WIDEST / 2
    canvas.text(x, _MARGIN + 8, clip(stack.title, slot, 13, bold=True), "ink", 13, bold=True)
    for index, block in enumerate(stack.plates):
        _draw_plate(canvas, block, centre, floor - index * scale.pitch, scale)
    if stack is not baseline:
        _draw_outline(canvas, baseline, centre, floor, scale)
    canvas.arrow([(centre, floor + 22), (centre, floor + 4)])


def _draw_plate(canvas: Canvas, block: Block, centre: float, bottom: float, scale: _Scale) -> None:
    """Box in oblique view: front, top, and right side."""
    half = max(block.out.channels * scale.width, 1.5) / 2
    depth = max(block.out[1:3]) * scale.depth
    dx, dy = depth * _SLANT[0], depth * _SLANT[1]
    top = bottom - scale.pitch * 0.62
    left, right = centre - half, centre + half
    kind = block.kind
    canvas.open(f"{block.path}: {block.title()}, output {block.out}")
    canvas.polygon([(left, top), (left + dx, top + dy), (right + dx, top + dy), (right, top)], f"{kind}-side")
    canvas.polygon(
        [(right, top), (right + dx, top + dy), (right + dx, bottom + dy), (right, bottom)], f"{kind}-side"
    )
    canvas.rect(left, top, right - left, bottom - top, kind)
    canvas.close()


def _draw_outline(canvas: Canvas, baseline: _Stack, centre: float, floor: float, scale: _Scale) -> None:
    """Contour of the baseline's front faces."""
    side: list[tuple[float, float]] = []
    for index, block in enumerate(baseline.plates):
        half = block.out.channels * scale.width / 2
        side += [(half, floor - index * scale.pitch), (half, floor - (index + 1) * scale.pitch)]
    right = [(centre + half, y) for half, y in side]
    left = [(centre - half, y) for half, y in reversed(side)]
    canvas.polyline([*right, *left], "outline")


def _draw_facts(canvas: Canvas, stack: _Stack, baseline: _Stack, x: float, slot: float, y: float) -> None:
    for (_, text, value), (_, _, reference) in zip(stack.facts(), baseline.facts(), strict=True):
        canvas.text(x, y, text, "ink", _SIZE)
        if stack is not baseline:
            same = value == reference
            factor = f"×{ratio(round(value / reference, 2 if value < 10 * reference else 0))}"
            canvas.text(x + slot, y, factor, "muted" if same else "skip-ink", _SIZE, "end", bold=not same)
        y += 19
