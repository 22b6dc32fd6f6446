"""Operations that torch lacks, registered so that autograd, compile and export know them.

`shift2d` and `shift_conv` take offsets; `norm_act` is BatchNorm while training, with its activation;
`decompositions` turns the shifts into operators that every runtime knows.
"""

from smidgen.kernels.decompose import decompositions
from smidgen.kernels.norm import norm_act
from smidgen.kernels.shift import shift2d, shift_conv

__all__ = ["decompositions", "norm_act", "shift2d", "shift_conv"]
