"""torchvision's models as an independent implementation, and statistics that let differences show."""

import warnings
from types import ModuleType

import pytest
import torch
from torch import Tensor, nn

_library: torch.library.Library | None = None


def torchvision_models() -> ModuleType:
    """`torchvision.models` without the compiled half of the package; skips the test where it is absent."""
    global _library
    if _library is None:
        # torchvision registers fake kernels for two operators of its own library, which needs CUDA's torch.
        _library = torch.library.Library("torchvision", "DEF")  # type: ignore[no-untyped-call]
        for name in ("nms", "qnms"):
            _library.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")  # type: ignore[no-untyped-call]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return pytest.importorskip("torchvision").models  # type: ignore[no-any-return]


@torch.no_grad()
def randomise(model: nn.Module, seed: int) -> None:
    """Draw weights that keep the signal alive, and BatchNorm statistics that are far from 0 and 1.

    With torchvision's own initialisation the logits vanish (depthwise weights are tenfold too small), and
    with fresh statistics a wrong eps or a swapped norm would not show.
    """
    generator = torch.Generator().manual_seed(seed)

    def uniform(tensor: Tensor, low: float, high: float) -> None:
        tensor.copy_(torch.rand(tensor.shape, generator=generator) * (high - low) + low)

    for module in model.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            fan_in = module.weight[0].numel()
            module.weight.copy_(torch.randn(module.weight.shape, generator=generator) * (2 / fan_in) ** 0.5)
            if module.bias is not None:
                uniform(module.bias, -0.2, 0.2)
        elif isinstance(module, nn.BatchNorm2d):
            assert module.running_mean is not None
            assert module.running_var is not None
            uniform(module.weight, 0.6, 1.4)
            uniform(module.bias, -0.3, 0.3)
            uniform(module.running_mean, -0.3, 0.3)
            uniform(module.running_var, 0.4, 1.2)


def relative_difference(ours: Tensor, theirs: Tensor) -> float:
    """Largest difference over the spread of the values."""
    return float((ours - theirs).abs().max() / theirs.std())
