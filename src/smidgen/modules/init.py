"""How convolutions and linear layers draw their first weights, each rule with its source."""

from __future__ import annotations

import math
from typing import assert_never

from torch import Tensor, nn

from smidgen.graph import Init

__all__ = ["initialise"]


def initialise(layer: nn.Conv2d | nn.Linear, rule: Init) -> None:
    """Draw the weights of `layer` from torch's generator; biases become 0, except by the rule "torch".

    torch              what torch's constructor does: U(±1/sqrt(fan_in)), biases too
    fan_out            N(0, sqrt(2 / (k k c_out / groups))); tensorflow/tpu's EfficientNet
    fan_out_ungrouped  N(0, sqrt(2 / (k k c_out))), small for depthwise; torchvision's EfficientNet
    he_uniform         U(±sqrt(6 / fan_in)); torchvision's SqueezeNet; He et al. 2015, arXiv:1502.01852
    xavier_uniform     U(±sqrt(3 / fan_in)); Caffe's "xavier" filler with its default variance norm
    normal_01          N(0, 0.01); last convolution of SqueezeNet, Caffe and torchvision
    uniform_fan_out    U(±1/sqrt(c_out)); last layer of EfficientNet, TensorFlow and torchvision
    """
    weight = layer.weight
    area = weight[0, 0].numel()
    fan_in, fan_out = area * weight.shape[1], area * weight.shape[0]
    match rule:
        case "torch":
            layer.reset_parameters()
            return
        case "fan_out":
            nn.init.normal_(weight, std=math.sqrt(2 / (fan_out // _groups(layer))))
        case "fan_out_ungrouped":
            nn.init.normal_(weight, std=math.sqrt(2 / fan_out))
        case "he_uniform":
            _uniform(weight, math.sqrt(6 / fan_in))
        case "xavier_uniform":
            _uniform(weight, math.sqrt(3 / fan_in))
        case "normal_01":
            nn.init.normal_(weight, std=0.01)
        case "uniform_fan_out":
            _uniform(weight, 1 / math.sqrt(weight.shape[0]))
        case _:
            assert_never(rule)
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)


def _groups(layer: nn.Conv2d | nn.Linear) -> int:
    return layer.groups if isinstance(layer, nn.Conv2d) else 1


def _uniform(weight: Tensor, bound: float) -> None:
    nn.init.uniform_(weight, -bound, bound)
