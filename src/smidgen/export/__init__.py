"""Networks for other people's runtimes: a file a target in `targets/`.

    from smidgen.export import write
    write(network, tensors, "onnx", Path("model.onnx"))     # as `smidgen export` does
    to_onnx(network, tensors)                               # the model as a value

A target of one's own also finds `sidecar` (the JSON beside files that have no room for it) and `usage` (what
their user must know) here. Other names are loaded when first used (PEP 562): onnx, which one of them needs,
may not be there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from smidgen.export import sidecar, usage
from smidgen.lazy import loaded_from

if TYPE_CHECKING:
    from smidgen.export.depthwise import ShiftForm, has_shifts, without_shifts
    from smidgen.export.ncnn import NcnnModel, to_ncnn
    from smidgen.export.onnx import to_onnx
    from smidgen.export.targets import Options, Target
    from smidgen.export.writing import write

# Public name -> module that defines it.
_HOMES = {
    "NcnnModel": "ncnn",
    "Options": "targets",
    "ShiftForm": "depthwise",
    "Target": "targets",
    "has_shifts": "depthwise",
    "to_ncnn": "ncnn",
    "to_onnx": "onnx",
    "without_shifts": "depthwise",
    "write": "writing",
}

__all__ = [
    "NcnnModel",
    "Options",
    "ShiftForm",
    "Target",
    "has_shifts",
    "sidecar",
    "to_ncnn",
    "to_onnx",
    "usage",
    "without_shifts",
    "write",
]


__getattr__ = loaded_from(__name__, _HOMES)


def __dir__() -> list[str]:
    return sorted(__all__)
