"""Pictures in, names out."""

from smidgen.predict.predictor import Picture, Prediction, Predictor

__all__ = ["Picture", "Prediction", "Predictor"]
