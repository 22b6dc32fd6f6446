"""Smidgen: image classifiers that fit a budget of parameters, multiply-adds, bytes or milliseconds.

    import smidgen
    net = smidgen.network("efficientnet_b0", num_classes=10, resolution=64)
    net.cost()                         # exact, from the tree, without torch
    model = smidgen.create(net)        # torch.nn.Module

Names are loaded when first used (PEP 562): counting, drawing and scaling never import torch.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from smidgen import export, kernels, models, modules
    from smidgen.engine import Engine
    from smidgen.families import names, network
    from smidgen.graph import Network, Preprocess
    from smidgen.modules.create import create
    from smidgen.modules.parameters import count_parameters
    from smidgen.modules.saved import load, save
    from smidgen.scaling.compound import scale
    from smidgen.scaling.solve import Solution, solve
    from smidgen.spec import Budget, Cost, Shape, SmidgenError

# Public name -> module that defines it; a module is its own home.
_HOMES = {
    "Budget": "smidgen.spec",
    "Cost": "smidgen.spec",
    "Engine": "smidgen.engine",
    "Network": "smidgen.graph",
    "Preprocess": "smidgen.graph",
    "Shape": "smidgen.spec",
    "SmidgenError": "smidgen.spec",
    "Solution": "smidgen.scaling",
    "count_parameters": "smidgen.modules",
    "create": "smidgen.modules",
    "export": "smidgen.export",
    "kernels": "smidgen.kernels",
    "load": "smidgen.modules",
    "models": "smidgen.models",
    "modules": "smidgen.modules",
    "names": "smidgen.families",
    "network": "smidgen.families",
    "save": "smidgen.modules",
    "scale": "smidgen.scaling",
    "solve": "smidgen.scaling",
}

__all__ = [
    "Budget",
    "Cost",
    "Engine",
    "Network",
    "Preprocess",
    "Shape",
    "SmidgenError",
    "Solution",
    "__version__",
    "count_parameters",
    "create",
    "export",
    "kernels",
    "load",
    "models",
    "modules",
    "names",
    "network",
    "save",
    "scale",
    "solve",
]


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'smidgen' has no attribute '{name}'")
    try:
        module = importlib.import_module(home)
    except ModuleNotFoundError as error:
        if error.name != "torch":
            raise
        from smidgen.spec import DependencyError

        raise DependencyError(f"smidgen.{name} needs torch: pip install 'smidgen[train]'") from None
    value = module if home == f"smidgen.{name}" else getattr(module, name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
