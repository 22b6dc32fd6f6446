"""Policies: which operation changes a picture, and how strongly.

Source   TrivialAugment: Müller and Hutter 2021, arXiv:2103.10158. AutoAugment: Cubuk et al. 2019,
         arXiv:1805.09501
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from smidgen.modules import uniform
from smidgen.train import colour, streams
from smidgen.train.strengths import Augment

__all__ = ["IMAGENET", "OPERATIONS", "Operation", "Step", "policy_steps", "recoloured"]


class Operation(NamedTuple):
    """What may be done to a picture.

    trivial  its largest strength in TrivialAugment: the paper's wide range
    auto     its largest strength in AutoAugment
    signed   whether it goes either way, with equal probability
    """

    name: str
    trivial: float
    auto: float
    signed: bool


# Müller and Hutter 2021, the wide ranges; Cubuk et al. 2019, table 6. Shears are tangents, translations parts
# of the side (32 of ImageNet's 224 pixels; 150 of 331), rotations degrees; brightness to sharpness are what a
# factor of 1 gains or loses, posterise takes bits away, solarise lowers its threshold from full.
OPERATIONS = (
    #         name            trivial       auto  signed
    Operation("identity",         0.0,       0.0, False),
    Operation("shear_x",         0.99,       0.3, True),
    Operation("shear_y",         0.99,       0.3, True),
    Operation("translate_x", 32 / 224, 150 / 331, True),
    Operation("translate_y", 32 / 224, 150 / 331, True),
    Operation("rotate",         135.0,      30.0, True),
    Operation("brightness",      0.99,       0.9, True),
    Operation("colour",          0.99,       0.9, True),
    Operation("contrast",        0.99,       0.9, True),
    Operation("sharpness",       0.99,       0.9, True),
    Operation("posterise",        6.0,       4.0, False),
    Operation("solarise",         1.0,       1.0, False),
    Operation("autocontrast",     0.0,       0.0, False),
    Operation("equalise",         0.0,       0.0, False),
    Operation("invert",           0.0,       0.0, False),
)  # fmt: skip
_NUMBERS = {operation.name: number for number, operation in enumerate(OPERATIONS)}
# TrivialAugment draws from all but the last.
_TRIVIAL = len(OPERATIONS) - 1
_WHOLE = ("autocontrast", "equalise")

Part = tuple[str, float, int]

# Cubuk et al. 2019, appendix, table 9: the sub-policies found on ImageNet. Operation, probability, and level
# of 0..9 between no strength and the largest; 0 where the operation has none.
IMAGENET: tuple[tuple[Part, Part], ...] = (
    (("posterise", 0.4, 8), ("rotate", 0.6, 9)),
    (("solarise", 0.6, 5), ("autocontrast", 0.6, 0)),
    (("equalise", 0.8, 0), ("equalise", 0.6, 0)),
    (("posterise", 0.6, 7), ("posterise", 0.6, 6)),
    (("equalise", 0.4, 0), ("solarise", 0.2, 4)),
    (("equalise", 0.4, 0), ("rotate", 0.8, 8)),
    (("solarise", 0.6, 3), ("equalise", 0.6, 0)),
    (("posterise", 0.8, 5), ("equalise", 1.0, 0)),
    (("rotate", 0.2, 3), ("solarise", 0.6, 8)),
    (("equalise", 0.6, 0), ("posterise", 0.4, 6)),
    (("rotate", 0.8, 8), ("colour", 0.4, 0)),
    (("rotate", 0.4, 9), ("equalise", 0.6, 0)),
    (("equalise", 0.0, 0), ("equalise", 0.8, 0)),
    (("invert", 0.6, 0), ("equalise", 1.0, 0)),
    (("colour", 0.6, 4), ("contrast", 1.0, 8)),
    (("rotate", 0.8, 8), ("colour", 1.0, 2)),
    (("colour", 0.8, 8), ("solarise", 0.8, 7)),
    (("sharpness", 0.4, 7), ("invert", 0.6, 0)),
    (("shear_x", 0.6, 5), ("equalise", 1.0, 0)),
    (("colour", 0.4, 0), ("equalise", 0.6, 0)),
    (("equalise", 0.4, 0), ("solarise", 0.2, 4)),
    (("solarise", 0.6, 5), ("autocontrast", 0.6, 0)),
    (("invert", 0.6, 0), ("equalise", 1.0, 0)),
    (("colour", 0.6, 4), ("contrast", 1.0, 8)),
    (("equalise", 0.8, 0), ("equalise", 0.6, 0)),
)
_LEVELS = 9

# What each operation does to colours; the others move pixels.
_COLOURS = {
    "brightness": colour.brightened,
    "colour": colour.saturated,
    "contrast": colour.contrasted,
    "sharpness": colour.sharpened,
    "posterise": colour.posterised,
    "solarise": colour.solarised,
    "autocontrast": colour.autocontrasted,
    "equalise": colour.equalised,
    "invert": colour.inverted,
}


class Step(NamedTuple):
    """One operation for each picture.

    operations  int64[N], numbers in OPERATIONS
    strengths   float32[N], with their signs
    """

    operations: Tensor
    strengths: Tensor

    def of(self, name: str) -> Tensor:
        """Strengths of those pictures that this operation is for, zero for all others: float32[N]."""
        return torch.where(self.operations == _NUMBERS[name], self.strengths, 0.0)


def policy_steps(keys: Tensor, strengths: Augment) -> list[Step]:
    """What the policies do to each picture, one step after the other."""
    steps = _auto_steps(keys, strengths.auto) if strengths.auto else []
    return [*steps, _trivial_step(keys, strengths.trivial)] if strengths.trivial else steps


def recoloured(pictures: Tensor, step: Step) -> Tensor:
    """The pictures after those of the step's operations that change colours."""
    changed = pictures.clone()
    for name, change in _COLOURS.items():
        places = (step.operations == _NUMBERS[name]).nonzero()[:, 0]
        if len(places):
            changed[places] = change(pictures[places], step.strengths[places])
    return changed


def _trivial_step(keys: Tensor, most: float) -> Step:
    """Any of the operations, at any strength up to a part of its largest.

    Operations that have no strength are done for that part of the pictures for which they are drawn.
    """
    draws = uniform(keys, streams.TRIVIAL, 3)
    operations = (draws[:, 0] * _TRIVIAL).long()
    whole = torch.tensor([_NUMBERS[name] for name in _WHOLE], device=keys.device)
    skipped = torch.isin(operations, whole) & (draws[:, 1] >= most)
    operations = torch.where(skipped, _NUMBERS["identity"], operations)
    largest = torch.tensor([operation.trivial for operation in OPERATIONS], device=keys.device)
    return _signed(operations, most * draws[:, 1] * largest[operations], draws[:, 2])


def _auto_steps(keys: Tensor, probability: float) -> list[Step]:
    """Both parts of any of the sub-policies, each with its probability."""
    draws = uniform(keys, streams.AUTO, 6)
    chosen = (draws[:, 0] * len(IMAGENET)).long()
    steps = []
    for part in (0, 1):
        rows = [sub[part] for sub in IMAGENET]
        numbers = torch.tensor([_NUMBERS[name] for name, _, _ in rows], device=keys.device)
        levels = [OPERATIONS[_NUMBERS[name]].auto * level / _LEVELS for name, _, level in rows]
        chances = torch.tensor([chance for _, chance, _ in rows], device=keys.device)
        done = (draws[:, 1] < probability) & (draws[:, 2 + part] < chances[chosen])
        operations = torch.where(done, numbers[chosen], _NUMBERS["identity"])
        steps.append(
            _signed(operations, torch.tensor(levels, device=keys.device)[chosen], draws[:, 4 + part])
        )
    return steps


def _signed(operations: Tensor, sizes: Tensor, draws: Tensor) -> Step:
    """Strengths either way, where an operation goes either way."""
    either = torch.tensor([operation.signed for operation in OPERATIONS], device=operations.device)
    return Step(operations, torch.where(either[operations] & (draws < 0.5), -sizes, sizes))
