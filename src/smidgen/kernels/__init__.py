"""Operations that torch lacks, registered so that autograd, compile and export know them."""

from smidgen.kernels.shift2d import shift2d

__all__ = ["shift2d"]
