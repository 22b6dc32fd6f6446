"""Steps recorded once and replayed: what a network so small that launches set its pace needs on a GPU.

A training step of a tiny network is hundreds of kernels of some microseconds each, and Python takes longer
to ask for one than the device to run it. A CUDA graph asks for all of them at once. It repeats what was
recorded, on the same addresses: whatever changes from step to step must therefore lie in tensors that stay
where they are. Of these, `Replayed` looks after the step's inputs.

Source   https://docs.pytorch.org/docs/stable/notes/cuda.html#cuda-graphs
"""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Callable
from typing import Protocol, TypeAlias

import torch
from torch import Tensor, nn

from smidgen.spec import SmidgenWarning
from smidgen.train.optimiser import FUSED
from smidgen.train.parallel import World
from smidgen.train.recipe import Recipe
from smidgen.train.stopwatch import Timer

__all__ = ["TINY", "WARM", "CudaGraphs", "Recorder", "Replayed", "recorder"]

# Parameters up to which a network counts as tiny. A recording keeps its activations beside what validation
# needs, which for larger networks may be more than there is, and they gain less. Not yet timed on a GPU.
TINY = 2_000_000
# Steps as usual before the first that is recorded, one at least of each number and shapes: they choose and
# load kernels and make the optimiser's state.
WARM = 3

Key: TypeAlias = tuple[object, ...]


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
    """Recordings as CUDA graphs, all of which share their memory: one is replayed at a time.

    works   whether none has failed in this process, which may leave torch's allocator in the middle of it
    """

    works = True

    def __init__(self, device: torch.device) -> None:
        self._stream = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
        self._pool = torch.cuda.graph_pool_handle()

    def warm(self, step: Callable[[], None]) -> None:
        """On a stream of its own, as a recording will be: gradients remember the stream they were made on."""
        self._stream.wait_stream(torch.cuda.current_stream(self._stream.device))
        with torch.cuda.stream(self._stream), warnings.catch_warnings():
            # Optimisers that could be recorded complain where they are not.
            warnings.filterwarnings("ignore", message=".*capturable")
            step()
        torch.cuda.current_stream(self._stream.device).wait_stream(self._stream)

    def record(self, step: Callable[[], None]) -> Callable[[], None]:
        """Capture without running, then replay once."""
        graph, before = torch.cuda.CUDAGraph(), torch.cuda.current_stream(self._stream.device)
        try:
            with torch.cuda.graph(graph, pool=self._pool, stream=self._stream):
                step()
        except RuntimeError:
            type(self).works = False
            torch.cuda.set_stream(before)  # where the end of the capture fails, torch stays on the other
            raise
        graph.replay()
        return graph.replay


class Replayed:
    """A step that is recorded for each number and set of shapes that it is called with, after some as usual.

    recorder  how; None: never
    timer     told the time of replays as that of the stage "replay"
    settled   whether the last step took as long as most of those to come
    """

    def __init__(self, recorder: Recorder | None, timer: Timer) -> None:
        self.recorder, self.timer = recorder, timer
        self.settled = False
        self._taken: Counter[Key] = Counter()
        self._recordings: dict[Key, tuple[list[Tensor], Callable[[], None]]] = {}

    def __call__(self, step: Callable[..., None], number: int, *inputs: Tensor) -> None:
        """Take the step, of a number and tensors, one way or the other.

        step   the same in every call; works, in place, on further tensors that keep their addresses
        """
        key: Key = number, *(value.shape for value in inputs)
        if key in self._recordings:
            buffers, replay = self._recordings[key]
            with self.timer("replay"):
                for buffer, value in zip(buffers, inputs, strict=True):
                    buffer.copy_(value)
                replay()
            self.settled = True
        elif self.recorder is None:
            step(number, *inputs)
            self.settled = True
        elif self._taken[key] == 0 or self._taken.total() < WARM:
            self.recorder.warm(lambda: step(number, *inputs))
            self._taken[key] += 1
            self.settled = False
        else:
            buffers = [value.clone() for value in inputs]
            try:
                self._recordings[key] = buffers, self.recorder.record(lambda: step(number, *buffers))
            except RuntimeError as error:
                self._give_up(error)
                step(number, *inputs)
            self.settled = False

    def forget(self) -> None:
        """Record anew: tensors that the step works on have moved."""
        self._recordings.clear()
        self._taken.clear()

    def _give_up(self, error: RuntimeError) -> None:
        reason = str(error).split("\n")[0]
        warnings.warn(f"steps are not recorded for the GPU, which costs time: {reason}", SmidgenWarning, 3)
        self.recorder = None
        self._recordings.clear()


def recorder(model: nn.Module, recipe: Recipe, device: torch.device, world: World) -> Recorder | None:
    """CUDA graphs for a tiny network that trains alone on a GPU; None for all others."""
    if device.type != "cuda" or world.size > 1 or recipe.optimiser not in FUSED or not CudaGraphs.works:
        return None
    tiny = sum(parameter.numel() for parameter in model.parameters()) <= TINY
    return CudaGraphs(device) if tiny else None
