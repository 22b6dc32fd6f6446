"""From a recipe to torch's own optimiser and to the learning rate of every step."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, assert_never

import torch
from torch import Tensor, nn

from smidgen.train.head import last_linear
from smidgen.train.recipe import Decayed, Recipe

__all__ = ["FUSED", "learning_rate", "load_state", "optimiser", "set_rate", "state"]

# Optimisers whose step is one kernel, which reads its learning rate from memory where that is a tensor.
FUSED = ("adamw", "sgd")

_NORMS = (nn.modules.batchnorm._NormBase, nn.LayerNorm, nn.GroupNorm)


def optimiser(model: nn.Module, recipe: Recipe, *, recorded: bool = False) -> torch.optim.Optimizer:
    """The recipe's optimiser over all trainable parameters, in its fastest form.

    recorded  whether its step is to be repeated without Python, which holds for those that are FUSED: the
              learning rate is a tensor on the device
    """
    groups, rate = _groups(model, recipe), recipe.learning_rate
    device = next(model.parameters()).device
    if recorded:
        for group in groups:  # a tensor each: their rates differ
            group["lr"] = torch.tensor(rate, device=device)
    match recipe.optimiser:
        case "adamw":
            capturable = recorded and device.type == "cuda"  # elsewhere torch knows no such thing
            return torch.optim.AdamW(
                groups, rate, recipe.betas, recipe.eps, fused=True, capturable=capturable
            )
        case "sgd":
            nesterov = recipe.nesterov and recipe.momentum > 0
            return torch.optim.SGD(groups, rate, recipe.momentum, nesterov=nesterov, fused=True)
        case "rmsprop":
            return torch.optim.RMSprop(
                groups, rate, recipe.alpha, recipe.eps, momentum=recipe.momentum, foreach=True
            )
        case _:
            assert_never(recipe.optimiser)


def set_rate(optimiser: torch.optim.Optimizer, rate: float) -> None:
    """Learn at this rate from the next step on, the head at so many times that as the recipe says."""
    for group in optimiser.param_groups:
        own = rate * group["times"]
        if isinstance(group["lr"], Tensor):
            group["lr"].fill_(own)
        else:
            group["lr"] = own


def learning_rate(recipe: Recipe, step: int, steps_per_epoch: int) -> float:
    """Learning rate of the step with this number, counted from 0 over the whole training."""
    warmup = round(recipe.warmup_epochs * steps_per_epoch)
    if step < warmup:
        return recipe.learning_rate * (step + 1) / (warmup + 1)
    epoch, total = step / steps_per_epoch, recipe.epochs * steps_per_epoch
    done = (step - warmup) / max(1, total - warmup)
    match recipe.schedule:
        case "cosine":
            return recipe.learning_rate * (1 + math.cos(math.pi * done)) / 2
        case "linear":
            return recipe.learning_rate * (1 - done)
        case "steps":
            passed = sum(epoch >= milestone for milestone in recipe.milestones)
            return recipe.learning_rate * recipe.decay_rate**passed
        case "exponential":
            return recipe.learning_rate * recipe.decay_rate ** int(epoch / recipe.decay_epochs)
        case _:
            assert_never(recipe.schedule)


def state(optimiser: torch.optim.Optimizer) -> dict[str, Tensor]:
    """Its moments and counters, named by the number of their parameter: `3.exp_avg`."""
    return {
        f"{number}.{key}": value
        for number, parameter in enumerate(_parameters(optimiser))
        for key, value in optimiser.state[parameter].items()
        if value is not None  # momentum before the first step
    }


def load_state(optimiser: torch.optim.Optimizer, tensors: Mapping[str, Tensor]) -> None:
    """Put back what `state` gave; moments lie in memory as their parameters do, so that no bit differs."""
    parameters = _parameters(optimiser)
    fused = any(group.get("fused") for group in optimiser.param_groups)  # such count on the device
    for name, tensor in tensors.items():
        number, _, key = name.partition(".")
        if not number.isdigit():
            continue
        parameter = parameters[int(number)]
        like = tensor.shape == parameter.shape
        counter = tensor.to(parameter.device) if key == "step" and fused else tensor.clone()
        own = torch.empty_like(parameter).copy_(tensor) if like and key != "step" else counter
        optimiser.state[parameter][key] = own.detach()


def _parameters(optimiser: torch.optim.Optimizer) -> list[nn.Parameter]:
    return [parameter for group in optimiser.param_groups for parameter in group["params"]]


def _groups(model: nn.Module, recipe: Recipe) -> list[dict[str, Any]]:
    """Parameters with and without weight decay; those of the head apart where it learns at its own rate."""
    head = last_linear(model) if recipe.head_rate != 1 else None
    groups: dict[tuple[float, float], list[nn.Parameter]] = {}
    for decay in (recipe.weight_decay, 0.0):
        for times in (1.0, recipe.head_rate):
            groups[decay, times] = []
    for module in model.modules():
        times = recipe.head_rate if module is head else 1.0
        for name, parameter in module.named_parameters(recurse=False):
            if parameter.requires_grad:
                decay = recipe.weight_decay if _decays(module, name, recipe.decayed) else 0.0
                groups[decay, times].append(parameter)
    return [
        {"params": params, "weight_decay": decay, "times": times}
        for (decay, times), params in groups.items()
        if params
    ]


def _decays(module: nn.Module, name: str, decayed: Decayed) -> bool:
    match decayed:
        case "all":
            return True
        case "weights and biases":
            return not isinstance(module, _NORMS)
        case "weights":
            return not isinstance(module, _NORMS) and not name.endswith("bias")
        case _:
            assert_never(decayed)
