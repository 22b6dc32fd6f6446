"""Smaller networks with weights, made of larger ones: (network, tensors) -> (network, tensors). No torch.

`cut` keeps the first blocks under a new head.
"""

from smidgen.compress.cut import Place, cut, kept, places

__all__ = ["Place", "cut", "kept", "places"]
