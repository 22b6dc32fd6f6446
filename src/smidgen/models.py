"""Every network as a function of its name, as torchvision has them: `models.efficientnet_b0()`."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from smidgen import families
from smidgen.modules.blocks import Fire, SqueezeNet
from smidgen.modules.create import NetworkModule, create
from smidgen.spec import closest

__all__ = ["Fire", "SqueezeNet"]


def __getattr__(name: str) -> Callable[..., NetworkModule]:
    if name not in families.names():
        raise AttributeError(f"no model '{name}'; {closest(name, __dir__())}dir(smidgen.models) lists all")
    return _builder(name)


def __dir__() -> list[str]:
    return sorted([*__all__, *families.names()])


@functools.cache
def _builder(name: str) -> Callable[..., NetworkModule]:
    def build(pretrained: bool = False, *, weights: str | None = None, **options: Any) -> NetworkModule:
        return create(name, weights=weights or ("imagenet" if pretrained else None), **options)

    build.__name__ = build.__qualname__ = name
    build.__doc__ = f"""Build {name}.

    pretrained  whether to load its published ImageNet weights; the same as weights="imagenet"
    options     of `smidgen.create`
    """
    return build
