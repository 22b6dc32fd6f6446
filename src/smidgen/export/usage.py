"""What whoever runs an exported file must know: input, output, how pictures are prepared, classes."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, assert_never

from smidgen.graph import Network, Preprocess
from smidgen.graph.cost import output_shape
from smidgen.spec import Shape

__all__ = ["INPUT", "OUTPUT", "text", "usage"]

INPUT, OUTPUT = "x", "logits"  # names in every exported file

_COLOURS = {1: "grey", 3: "RGB"}


def usage(network: Network, batch: Sequence[str | int] = ()) -> dict[str, Any]:
    """A document for JSON.

    batch  the axis before those of a picture: a number, or a letter for any; none where there is no such axis
    """
    channels, height, width = network.input[:3]
    out, how = output_shape(network.tree, network.input), network.preprocess
    return {
        "network": network.name,
        "input": {"name": INPUT, "type": "float32", "shape": [*batch, channels, height, width]},
        "output": {
            "name": OUTPUT,
            "type": "float32",
            "shape": [*batch, *(out[:1] if out.flat else out[:3])],
        },
        "preprocess": {
            "colour": _COLOURS.get(channels, f"{channels} channels"),
            **_sizes(how, network.input),
            "divide_by": 255,
            "subtract_mean": list(how.mean),
            "divide_by_std": list(how.std),
        },
        "classes": list(network.classes),
    }


def _sizes(how: Preprocess, shape: Shape) -> dict[str, Any]:
    """How a picture comes to the input's height and width: each way has a key that no other has."""
    size = [shape.height, shape.width]
    match how.aspect:
        case "crop":
            return {
                "resize_shorter_side": how.resize,
                "interpolation": how.interpolation,
                "centre_crop": size,
            }
        case "squash":
            return {"squash_to": size, "interpolation": how.interpolation}
        case "pad":
            return {"pad_to": size, "interpolation": how.interpolation, "fill": list(how.fill)}
        case unknown:
            assert_never(unknown)


def text(document: Any, indent: int | None = None) -> str:
    """JSON that a person can read in any language; half characters of foreign names are escaped."""
    found = json.dumps(document, indent=indent, ensure_ascii=False, allow_nan=False)
    return found.encode(errors="backslashreplace").decode()
