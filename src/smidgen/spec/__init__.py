"""The words every layer shares: shapes, costs, units, budgets and the errors a user meets.

Standard library only.
"""

from smidgen.spec.budget import Budget, Excess
from smidgen.spec.costs import Cost, Shape
from smidgen.spec.errors import (
    BudgetError,
    DataError,
    DependencyError,
    ModelFileError,
    PictureError,
    ShapeError,
    SmidgenError,
    SmidgenWarning,
    StoppedError,
    TreeError,
    UnknownNameError,
    WeightsError,
)
from smidgen.spec.quantities import milliseconds, quantity
from smidgen.spec.units import LATENCY, UNITS, Costed, Number, Unit
from smidgen.spec.words import about, closest, counted, first, shown

__all__ = [
    "LATENCY",
    "UNITS",
    "Budget",
    "BudgetError",
    "Cost",
    "Costed",
    "DataError",
    "DependencyError",
    "Excess",
    "ModelFileError",
    "Number",
    "PictureError",
    "Shape",
    "ShapeError",
    "SmidgenError",
    "SmidgenWarning",
    "StoppedError",
    "TreeError",
    "Unit",
    "UnknownNameError",
    "WeightsError",
    "about",
    "closest",
    "counted",
    "first",
    "milliseconds",
    "quantity",
    "shown",
]

# Tracebacks and pickles name the place that people import from.
for _name in __all__:
    if isinstance(_value := globals()[_name], type):
        _value.__module__ = __name__
del _name, _value
