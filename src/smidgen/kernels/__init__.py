"""Operations that torch lacks, registered so that autograd, compile and export know them."""

from smidgen.kernels.shift import shift2d, shift_conv

__all__ = ["shift2d", "shift_conv"]
