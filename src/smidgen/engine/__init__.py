"""The engine: a program on the native kernels, with numpy as the only companion."""

from smidgen.engine.engine import Engine, StepTime

__all__ = ["Engine", "StepTime"]
