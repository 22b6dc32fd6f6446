"""The engine: networks on the native kernels, with numpy as the only companion."""

from smidgen.engine.engine import Engine, StepTime
from smidgen.engine.predictor import Picture, Prediction, Predictor

__all__ = ["Engine", "Picture", "Prediction", "Predictor", "StepTime"]
