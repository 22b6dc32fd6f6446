"""Published weights: what exists, where it comes from, and how it gets onto this machine. No torch.

A file in `sources/` is the registration of everything that one publisher offers.
"""

from smidgen.weights.catalogue import (
    Package,
    Published,
    fetch,
    find,
    names,
    present,
    published_network,
    recognise,
    rows,
)
from smidgen.weights.classes import imagenet_classes
from smidgen.weights.converted import converted, keep_converted
from smidgen.weights.download import Progress, cache_folder

__all__ = [
    "Package",
    "Progress",
    "Published",
    "cache_folder",
    "converted",
    "fetch",
    "find",
    "imagenet_classes",
    "keep_converted",
    "names",
    "present",
    "published_network",
    "recognise",
    "rows",
]
