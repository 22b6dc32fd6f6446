"""Which models can see pictures."""

from __future__ import annotations

from smidgen.graph import Network
from smidgen.images import MAX_PIXELS
from smidgen.spec import ModelFileError

__all__ = ["MEMORY_LIMIT", "require_sensible"]

# Activation bytes of one picture above which a model file is refused: over ten times what the largest
# published network needs, and no invitation to fill the machine.
MEMORY_LIMIT = 4 * 2**30


def require_sensible(network: Network, source: str) -> None:
    """Refuse what a hostile file may ask for, before anything is allocated.

    Raises   ModelFileError where the network cannot see pictures, or needs more memory than any sensible one.
    """
    channels, height, width = network.input[:3]
    if channels not in (1, 3):
        raise ModelFileError(
            f"{source}: its input has {channels:,} channels; pictures have 1 (grey) or 3 (colour)"
        )
    if height * width > MAX_PIXELS:
        size = f"its input of {height:,} x {width:,} is {height * width:,} pixels"
        raise ModelFileError(f"{source}: {size}, above the limit of {MAX_PIXELS:,}")
    needed = network.cost().peak_bytes
    if needed > MEMORY_LIMIT:
        raise ModelFileError(
            f"{source}: one picture takes {needed / 2**30:,.1f} GiB of memory in its network, "
            f"above the limit of {MEMORY_LIMIT / 2**30:g} GiB"
        )
