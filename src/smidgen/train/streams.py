"""Streams of random numbers that belong to training; layers of a network count theirs from zero."""

from __future__ import annotations

__all__ = ["AFFINE", "AUTO", "COLOUR", "CROP", "ERASE", "MIXING", "SHUFFLE", "TRIVIAL"]

SHUFFLE = -1
AFFINE = -2
COLOUR = -3
ERASE = -4
CROP = -5
TRIVIAL = -6
AUTO = -7
MIXING = -8
