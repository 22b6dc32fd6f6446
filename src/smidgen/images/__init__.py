"""Pictures: the one way from a file to a network's input, for training, prediction and export.

    decode  ->  resize  ->  normalise
    uint8[H,W,C]  uint8[h,w,C]  float32[N,C,h,w]

Torch-free: numpy and Pillow.
"""

from smidgen.images.appearance import drop_equal_channels
from smidgen.images.decode import MAX_PIXELS, decode, decode_plain
from smidgen.images.filetypes import SUFFIXES, is_picture_name
from smidgen.images.normalise import normalise
from smidgen.images.pixels import Pixels
from smidgen.images.resize import resize

__all__ = [
    "MAX_PIXELS",
    "SUFFIXES",
    "Pixels",
    "decode",
    "decode_plain",
    "drop_equal_channels",
    "is_picture_name",
    "normalise",
    "resize",
]
