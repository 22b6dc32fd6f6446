"""Trees as torch modules.

`create` builds the module of a network, with published weights where wanted; `save` and `load` are the model
file; blocks such as `Fire` and `MBConv` stand on their own; `convert` reads other people's weights.
"""

from smidgen.modules.blocks import CSC, SC2, Fire, MBConv, ShiftConv, SqueezeExcite, SqueezeNet
from smidgen.modules.convert import convert, load_pth
from smidgen.modules.create import NetworkModule, create, pretrained
from smidgen.modules.feature_maps import feature_maps
from smidgen.modules.leaves import Conv2dPadded, Conv2dSame, Dropout, Shift
from smidgen.modules.parameters import count_parameters
from smidgen.modules.published import published_state
from smidgen.modules.randomness import sample_keys, set_sample_keys, uniform
from smidgen.modules.saved import load, load_file, save
from smidgen.modules.tree import TreeModule

__all__ = [
    "CSC",
    "SC2",
    "Conv2dPadded",
    "Conv2dSame",
    "Dropout",
    "Fire",
    "MBConv",
    "NetworkModule",
    "Shift",
    "ShiftConv",
    "SqueezeExcite",
    "SqueezeNet",
    "TreeModule",
    "convert",
    "count_parameters",
    "create",
    "feature_maps",
    "load",
    "load_file",
    "load_pth",
    "pretrained",
    "published_state",
    "sample_keys",
    "save",
    "set_sample_keys",
    "uniform",
]
