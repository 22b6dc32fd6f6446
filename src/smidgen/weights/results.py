"""Published accuracy: what others report, each row with its source. Nothing here was measured by us."""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["RESULTS", "Result", "results_of"]


class Result(NamedTuple):
    """One published figure.

    top1    percent
    params  as published, in millions, where it differs from what the tree has; else None
    """

    network: str
    dataset: str
    top1: float
    source: str
    params: float | None = None


PAPER_V1 = "Tan & Le 2019, arXiv:1905.11946v5, Table 2"
LITE = "tensorflow/tpu lite README"
TORCHVISION = "torchvision 0.28 weights"
SQUEEZENET = "Iandola et al. 2016, arXiv:1602.07360"
BYPASS = "forresti/SqueezeNet README"
SLIDES = "Jeon & Kim 2018, Active Shift slides, p. 17"
SHIFT_CIFAR = "alvinwan/shiftresnet-cifar README"
AUTOML_V2 = "google/automl efficientnetv2/effnetv2_configs.py"
TIMM_B8 = "timm results, tf_efficientnet_b8.ap"
TIMM_L2 = "timm results, tf_efficientnet_l2.ns (extra data)"

RESULTS: tuple[Result, ...] = (
    Result("efficientnet_b0", "ImageNet", 77.1, PAPER_V1),
    Result("efficientnet_b1", "ImageNet", 79.1, PAPER_V1),
    Result("efficientnet_b2", "ImageNet", 80.1, PAPER_V1),
    Result("efficientnet_b3", "ImageNet", 81.6, PAPER_V1),
    Result("efficientnet_b4", "ImageNet", 82.9, PAPER_V1),
    Result("efficientnet_b5", "ImageNet", 83.6, PAPER_V1),
    Result("efficientnet_b6", "ImageNet", 84.0, PAPER_V1),
    Result("efficientnet_b7", "ImageNet", 84.3, PAPER_V1),
    Result("efficientnet_b8", "ImageNet", 85.358, TIMM_B8),
    Result("efficientnet_l2", "ImageNet", 88.36, TIMM_L2),
    Result("efficientnet_lite0", "ImageNet", 75.1, LITE),
    Result("efficientnet_lite1", "ImageNet", 76.7, LITE),
    Result("efficientnet_lite2", "ImageNet", 77.6, LITE),
    Result("efficientnet_lite3", "ImageNet", 79.8, LITE),
    Result("efficientnet_lite4", "ImageNet", 81.5, LITE),
    Result("efficientnet_v2_b0", "ImageNet", 78.7, AUTOML_V2),
    Result("efficientnet_v2_b1", "ImageNet", 79.8, AUTOML_V2),
    Result("efficientnet_v2_b2", "ImageNet", 80.5, AUTOML_V2),
    Result("efficientnet_v2_b3", "ImageNet", 82.1, AUTOML_V2),
    Result("efficientnet_v2_s", "ImageNet", 84.228, TORCHVISION),
    Result("efficientnet_v2_m", "ImageNet", 85.112, TORCHVISION),
    Result("efficientnet_v2_l", "ImageNet", 85.808, TORCHVISION),
    Result("squeezenet1_0", "ImageNet", 57.5, SQUEEZENET),
    Result("squeezenet1_0_bypass", "ImageNet", 60.38, BYPASS),
    Result("squeezenet1_1", "ImageNet", 58.178, TORCHVISION),
    Result("shiftnet_a", "ImageNet", 70.1, SLIDES, params=4.1),
    Result("shiftnet_b", "ImageNet", 61.2, SLIDES, params=1.1),
    Result("shiftnet_c", "ImageNet", 58.8, SLIDES, params=0.78),
    *(
        Result(f"shiftresnet{layers}_e{expand}", "CIFAR-10", top1, SHIFT_CIFAR)
        for layers, row in (
            (20, (85.78, 89.56, 91.07, 91.79)),
            (56, (89.69, 92.48, 93.49, 93.17)),
            (110, (90.67, 92.42, 93.03, 93.36)),
        )
        for expand, top1 in zip((1, 3, 6, 9), row, strict=True)
    ),
    Result("resnet20", "CIFAR-10", 91.35, SHIFT_CIFAR),
    Result("resnet56", "CIFAR-10", 92.01, SHIFT_CIFAR),
    Result("resnet110", "CIFAR-10", 92.46, SHIFT_CIFAR),
)


def results_of(network: str) -> Result | None:
    """The published figure of a network, or None."""
    return next((row for row in RESULTS if row.network == network), None)
