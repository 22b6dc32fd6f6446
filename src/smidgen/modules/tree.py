"""The one tree-driven module: any tree of nodes as an `nn.Module`.

Named children become attributes; children of an unnamed combinator live in its parent's namespace, so
combinators cannot all be modules. Each is planned once, at construction, as a step that knows its
children by name only: a copied module therefore runs its own children.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import count
from typing import Protocol, assert_never

import torch
from torch import Tensor, nn

from smidgen import graph
from smidgen.graph import is_identity
from smidgen.graph.leaves import has_no_window
from smidgen.kernels.shift import fused
from smidgen.modules.joined import NormAnd, is_pointwise, listened_to
from smidgen.modules.leaves import Shift, leaf_module
from smidgen.modules.randomness import SampleKeyed
from smidgen.spec import TreeError

__all__ = ["Child", "Runnable", "Series", "TreeModule"]


class Runnable(Protocol):
    """One node, ready to run in the namespace of the module that owns it."""

    def __call__(self, owner: TreeModule, x: Tensor) -> Tensor:  # noqa: D102
        ...


class TreeModule(SampleKeyed):
    """Module of a tree: children carry the tree's names, leaves are torch's own modules.

    node    the tree that it was built from
    Raises  TreeError when that is a single leaf.
    """

    def __init__(self, node: graph.Node) -> None:
        super().__init__()
        if not isinstance(node, graph.Combinator):
            raise TreeError(
                f"a module is built from a Chain, Sum, Gate or Concat, not a {type(node).__name__}"
            )
        self.node = node
        streams = count()
        self._step = _plan(self, node, streams)
        self._streams = next(streams)

    def forward(self, x: Tensor) -> Tensor:
        """Run the tree: float[N, C, H, W] -> what the tree makes of it."""
        return self._step(self, x)

    def extra_repr(self) -> str:
        """Name the way in which the children are combined, where it is not one after the other."""
        return "" if isinstance(self.node, graph.Chain) else type(self.node).__name__


@dataclass(frozen=True, slots=True)
class Child:
    """The owner's attribute of this name."""

    name: str

    def __call__(self, owner: TreeModule, x: Tensor) -> Tensor:  # noqa: D102
        y: Tensor = getattr(owner, self.name)(x)
        return y


@dataclass(frozen=True, slots=True)
class _ShiftAnd:
    """A shift and what follows it: one kernel with a 1x1 convolution, also with one that begins a chain.

    One after the other where somebody listens to either, or has put another module in its place: only the
    very modules that were planned do nothing but what the kernel does.
    """

    shift: str
    then: str = ""

    def __call__(self, owner: TreeModule, x: Tensor) -> Tensor:
        shift = getattr(owner, self.shift)
        then = getattr(owner, self.then) if self.then else None
        if then is not None and type(shift) is Shift and not listened_to(shift):
            return _after_shift(shift, then, x)
        y: Tensor = shift(x)
        return y if then is None else then(y)


def _after_shift(shift: Shift, module: nn.Module, x: Tensor) -> Tensor:
    """What the module makes of the shifted map, which is not written where a convolution can read past it."""
    y: Tensor
    if not listened_to(module):
        if is_pointwise(module):
            return fused(x, shift.flat_runs, module.weight, module.bias, module.stride[0])
        if type(module) is TreeModule and isinstance(module._step, Series):
            first, *rest = module._step.joined
            if isinstance(first, Child):
                y = _after_shift(shift, getattr(module, first.name), x)
                for step in rest:
                    y = step(module, y)
                return y
    y = module(shift(x))
    return y


@dataclass(frozen=True, slots=True)
class Series:
    """One step after the other.

    steps   one for each child of the node
    joined  the same, where two that can be done at once are one
    """

    steps: tuple[Runnable, ...]
    joined: tuple[Runnable, ...]

    def __call__(self, owner: TreeModule, x: Tensor) -> Tensor:  # noqa: D102
        for step in self.joined:
            x = step(owner, x)
        return x


@dataclass(frozen=True, slots=True)
class _Total:
    """Sum of branches; those with a stream lose samples with probability `drop_path` while training."""

    branches: tuple[tuple[Runnable, int | None], ...]
    drop_path: float

    def __call__(self, owner: TreeModule, x: Tensor) -> Tensor:
        (step, stream), *others = self.branches
        total = self._branch(owner, x, step, stream)
        for step, stream in others:
            total = total + self._branch(owner, x, step, stream)
        return total

    def _branch(self, owner: TreeModule, x: Tensor, step: Runnable, stream: int | None) -> Tensor:
        y = step(owner, x)
        if stream is None or not owner.training:
            return y
        # Huang et al. 2016, arXiv:1603.09382; scaled while training, so that inference needs no change.
        keep = 1 - self.drop_path
        dropped = owner._draw(x, stream, 1).reshape(-1, *(1,) * (y.dim() - 1)) < self.drop_path
        return torch.where(dropped, 0.0, y / keep)


@dataclass(frozen=True, slots=True)
class _Product:
    factor: Runnable

    def __call__(self, owner: TreeModule, x: Tensor) -> Tensor:
        return x * self.factor(owner, x)


@dataclass(frozen=True, slots=True)
class _SideBySide:
    branches: tuple[Runnable, ...]

    def __call__(self, owner: TreeModule, x: Tensor) -> Tensor:
        return torch.cat([branch(owner, x) for branch in self.branches], 1)


def _plan(owner: TreeModule, node: graph.Combinator, streams: count[int]) -> Runnable:
    """Register the children of `node` in `owner` and return the step that runs them."""
    match node:
        case graph.Chain(children=children):
            return _series(owner, children, streams)
        case graph.Gate(children=children):
            return _Product(_series(owner, children, streams))
        case graph.Sum(children=children, drop_path=drop_path):
            branches = []
            for name, child in children:
                stays = drop_path == 0 or is_identity(child)
                branches.append((_child(owner, name, child, streams), None if stays else next(streams)))
            return _Total(tuple(branches), drop_path)
        case graph.Concat(children=children):
            return _SideBySide(tuple(_child(owner, name, child, streams) for name, child in children))
        case _:
            assert_never(node)


def _series(owner: TreeModule, children: graph.Children, streams: count[int]) -> Series:
    """Plan a chain; an activation overwrites its input where a layer of this chain has just made it."""
    previous = (None, *(child for _, child in children))
    steps = [
        _child(owner, name, child, streams, isinstance(before, graph.Conv | graph.BatchNorm | graph.Linear))
        for before, (name, child) in zip(previous, children, strict=False)
    ]
    return Series(tuple(steps), _joined(children, steps))


def _joined(children: graph.Children, steps: list[Runnable]) -> tuple[Runnable, ...]:
    """The steps of a chain, where two that can be done at once are one."""
    joined: list[Runnable] = []
    for (name, child), step in zip(children, steps, strict=True):
        match (joined[-1] if joined else None), child:
            case _, graph.Shift():
                joined.append(_ShiftAnd(name))
            case _, graph.BatchNorm():
                joined.append(NormAnd(name))
            case _ShiftAnd(shift, ""), _ if isinstance(step, Child) and _begins_pointwise(child):
                joined[-1] = _ShiftAnd(shift, name)
            case NormAnd(norm, ""), graph.Activation():
                joined[-1] = NormAnd(norm, name)
            case _:
                joined.append(step)
    return tuple(joined)


def _begins_pointwise(node: graph.Node) -> bool:
    """Whether a 1x1 convolution is the first to read what comes in."""
    match node:
        case graph.Conv(groups=1):
            return has_no_window(node)
        case graph.Chain(children=((_, first), *_)):
            return _begins_pointwise(first)
        case _:
            return False


def _child(
    owner: TreeModule, name: str, child: graph.Node, streams: count[int], inplace: bool = False
) -> Runnable:
    module: nn.Module
    if not isinstance(child, graph.Combinator):
        module = leaf_module(child, inplace)
    elif name:
        module = TreeModule(child)
    else:
        return _plan(owner, child, streams)
    owner.add_module(name, module)
    return Child(name)
