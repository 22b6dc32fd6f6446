"""Smaller networks with weights, made of larger ones: (network, tensors) -> (network, tensors). No torch.

`cut` keeps the first blocks under a new head. `prune` takes channels out; `importance` says which matter.
`inside` finds the cuts that obey limits, `made` makes them.
"""

from smidgen.compress.cut import Place, cut, kept, places
from smidgen.compress.importance import importance, made_good
from smidgen.compress.inside import Cutting, inside, made
from smidgen.compress.prune import prune
from smidgen.compress.share import Share, chosen
from smidgen.compress.wiring import Group, Keep, Tensors, Wiring, wire

__all__ = [
    "Cutting",
    "Group",
    "Keep",
    "Place",
    "Share",
    "Tensors",
    "Wiring",
    "chosen",
    "cut",
    "importance",
    "inside",
    "kept",
    "made",
    "made_good",
    "places",
    "prune",
    "wire",
]
