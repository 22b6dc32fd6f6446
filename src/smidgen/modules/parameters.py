"""Count what an optimiser would train."""

from __future__ import annotations

from torch import nn

from smidgen.graph.table import parameter_table

__all__ = ["count_parameters"]


def count_parameters(model: nn.Module) -> int:
    """Print one row per trainable parameter, in order, then the total; frozen ones are left out.

    model    any module
    returns  the total
    """
    rows = [(name, value.numel()) for name, value in model.named_parameters() if value.requires_grad]
    print(parameter_table(rows))
    return sum(number for _, number in rows)
