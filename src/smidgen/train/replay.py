"""Steps recorded once and replayed: what a network so small that launches set its pace needs on a GPU.

A training step of a tiny network is hundreds of kernels of some microseconds each, and Python takes longer
to ask for one than the device to run it. A CUDA graph asks for all of them at once. It repeats what was
recorded, on the same addresses: whatever changes from step to step must therefore lie in tensors that stay
where they are. Of these, `Replayed` looks after the step's inputs.

Source   https://docs.pytorch.org/docs/stable/notes/cuda.html#cuda-graphs
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Protocol

import torch
from torch import Tensor, nn

from smidgen.train.optimiser import FUSED
from smidgen.train.parallel import World
from smidgen.train.recipe import Recipe

__all__ = ["TINY", "WARM", "CudaGraphs", "Recorder", "Replayed", "recorder"]

# Parameters up to which a network counts as tiny. A recording keeps its activations beside what validation
# needs, which for larger networks may be more than there is, and they gain less. Not yet timed on a GPU.
TINY = 2_000_000
# Steps as usual before the one that is recorded: they choose kernels and make the optimiser's state.
WARM = 3


class Recorder(Protocol):
    """A way to repeat a function that works on tensors in place."""

    def warm(self, step: Callable[[], None]) -> None:
        """Do it once as usual, as what comes before a recording."""
        ...

    def record(self, step: Callable[[], None]) -> Callable[[], None]:
        """Do it once, and return what does it again on the same tensors without any Python of its own.

        Raises   RuntimeError where the step does what cannot be recorded, such as waiting for the device.
        """
        ...


class CudaGraphs:
    """Recordings as CUDA graphs, all of which share their memory: one is replayed at a time."""

    def __init__(self) -> None:
        self._stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        self._pool = torch.cuda.graph_pool_handle()

    def warm(self, step: Callable[[], None]) -> None:
        """On a stream of its own, as a recording will be: gradients remember the stream they were made on."""
        self._stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(self._stream):
            step()
        torch.cuda.current_stream().wait_stream(self._stream)

    def record(self, step: Callable[[], None]) -> Callable[[], None]:
        """Capture without running, then replay once."""
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, pool=self._pool, stream=self._stream):
            step()
        graph.replay()
        return graph.replay


class Replayed:
    """A step that is recorded for each number and set of shapes that it is called with, after some as usual.

    step      of a number and tensors; works, in place, on further tensors that keep their addresses
    recorder  how; None: never
    """

    def __init__(self, step: Callable[..., None], recorder: Recorder | None) -> None:
        self.step, self.recorder = step, recorder
        self.taken = 0
        self._recordings: dict[tuple[object, ...], tuple[list[Tensor], Callable[[], None]]] = {}

    @property
    def settled(self) -> bool:
        """Whether the next step takes as long as those after it."""
        return self.taken > (WARM if self.recorder else 0)

    def __call__(self, number: int, *inputs: Tensor) -> None:
        """Take the step, one way or the other."""
        self.taken += 1
        if self.recorder is None:
            self.step(number, *inputs)
        elif self.taken <= WARM:
            self.recorder.warm(lambda: self.step(number, *inputs))
        else:
            self._replay(self.recorder, number, inputs)

    def forget(self) -> None:
        """Record anew: tensors that the step works on have moved."""
        self._recordings.clear()
        self.taken = 0

    def _replay(self, recorder: Recorder, number: int, inputs: tuple[Tensor, ...]) -> None:
        key: tuple[object, ...] = number, *(value.shape for value in inputs)
        if key in self._recordings:
            buffers, replay = self._recordings[key]
            for buffer, value in zip(buffers, inputs, strict=True):
                buffer.copy_(value)
            replay()
            return
        buffers = [value.clone() for value in inputs]
        try:
            self._recordings[key] = buffers, recorder.record(lambda: self.step(number, *buffers))
        except RuntimeError as error:
            reason = str(error).split("\n")[0]
            warnings.warn(f"steps are not recorded for the GPU, which costs time: {reason}", stacklevel=2)
            self.recorder = None
            self.step(number, *inputs)


def recorder(model: nn.Module, recipe: Recipe, device: torch.device, world: World) -> Recorder | None:
    """CUDA graphs for a tiny network that trains alone on a GPU; None for all others."""
    if device.type != "cuda" or world.size > 1 or recipe.optimiser not in FUSED:
        return None
    tiny = sum(parameter.numel() for parameter in model.parameters()) <= TINY
    return CudaGraphs() if tiny else None
