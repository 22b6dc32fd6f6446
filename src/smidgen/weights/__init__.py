"""Published weights: what exists, where it comes from, and how it gets onto this machine; and what a NAME or
a FILE means, in one place for every command and for the engine. No torch.

A file in `sources/` is the registration of everything that one publisher offers.

Names are loaded when first used (PEP 562): who opens a model file waits for no table of weights.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from smidgen.lazy import loaded_from

if TYPE_CHECKING:
    from smidgen.imagenet import imagenet_classes
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
    from smidgen.weights.conversion import converted, keep_converted, published_model
    from smidgen.weights.download import Progress, cache_folder
    from smidgen.weights.leave import missing_news, wanted
    from smidgen.weights.opening import is_path, open_model, open_network, require_model

# File of this package -> what is public in it.
_FILES = {
    "catalogue": (
        "Package", "Published", "fetch", "find", "imagenet_classes", "names", "present",
        "published_network", "recognise", "rows",
    ),
    "conversion": ("converted", "keep_converted", "published_model"),
    "download": ("Progress", "cache_folder"),
    "leave": ("missing_news", "wanted"),
    "opening": ("is_path", "open_model", "open_network", "require_model"),
}  # fmt: skip
_HOMES = {name: file for file, names in _FILES.items() for name in names}

__all__ = [
    "Package",
    "Progress",
    "Published",
    "cache_folder",
    "converted",
    "fetch",
    "find",
    "imagenet_classes",
    "is_path",
    "keep_converted",
    "missing_news",
    "names",
    "open_model",
    "open_network",
    "present",
    "published_model",
    "published_network",
    "recognise",
    "require_model",
    "rows",
    "wanted",
]


__getattr__ = loaded_from(__name__, _HOMES)


def __dir__() -> list[str]:
    return sorted(__all__)
