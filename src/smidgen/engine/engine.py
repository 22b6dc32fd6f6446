"""The engine: a network and its weights, ready for numbers."""

from __future__ import annotations

import os
import threading
import warnings
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from smidgen import modelfile, native
from smidgen.engine.compiled import Compiled, Packed
from smidgen.engine.interpreter import interpret
from smidgen.engine.lower import Weights, lower
from smidgen.engine.plan import Array, Plan
from smidgen.graph import Network
from smidgen.spec import Shape, ShapeError

__all__ = ["Engine", "StepTime"]

# Plans for so many resolutions are kept, the latest ones.
PLANS = 4


@dataclass(frozen=True, slots=True)
class StepTime:
    """What one fused step took for one picture.

    name   state-dict prefix of the layer whose name the step bears
    kind   of step
    ms     milliseconds
    macs   multiply-adds; 0 for steps without any
    """

    name: str
    kind: str
    ms: float
    macs: int


@dataclass(slots=True)
class _Ready:
    """A plan and memory for it, as many pieces as there have been calls at the same time."""

    plan: Plan
    compiled: Compiled | None
    free: list[Array]


class Engine:
    """Runs a network on the native kernels, or on the numpy interpreter where these are missing.

    One engine may be called from several threads. With the same instruction set, the same picture gives the
    same bits, whatever the batch around it and however many threads.

    model    path of a model file, or network and weights by state-dict name
    threads  most that one call uses; default: the cores that this process may use
    Raises   ModelFileError
    """

    def __init__(
        self,
        model: str | os.PathLike[str] | tuple[Network, Mapping[str, NDArray[Any]]],
        threads: int | None = None,
    ) -> None:
        if isinstance(model, tuple):
            self.network, tensors = model
            modelfile.check_tensors(
                self.network, {name: array.shape for name, array in tensors.items()}, self.network.name
            )
        else:
            file = modelfile.read(Path(model))
            self.network, tensors = file.network, file.tensors
        if threads is not None and threads < 1:
            raise ValueError(f"{threads} threads; at least 1 is needed")
        self.threads = threads or len(os.sched_getaffinity(0))
        self._weights, self._packed = Weights(tensors), Packed()
        self._plans: OrderedDict[Shape, _Ready] = OrderedDict()
        self._lock = threading.Lock()
        missing = native.missing()
        self.backend = "numpy" if missing else native.isa()
        if missing:
            warnings.warn(f"{missing}; the slow interpreter runs instead", RuntimeWarning, stacklevel=2)
        self._ready(self.network.input)

    def __call__(self, x: NDArray[Any]) -> Array:
        """float[N, C, H, W] -> float32[N, num_classes]: the network's outputs, before any softmax.

        Raises   ShapeError on an array that the network cannot take.
        """
        x = self._checked(x)
        ready = self._ready(Shape(*x.shape[1:]))
        if ready.compiled is None:
            return interpret(ready.plan, x)
        y = np.empty((len(x), ready.compiled.outputs), np.float32)
        self._run(ready, ready.compiled, x, y)
        return y

    def arena_bytes(self, height: int | None = None, width: int | None = None) -> int:
        """Bytes of the maps that one picture needs at once; at most the `peak_bytes` of its cost."""
        shape = self.network.input
        ready = self._ready(Shape(shape.channels, height or shape.height, width or shape.width))
        return 0 if ready.compiled is None else ready.compiled.arena_bytes

    def _run(
        self,
        ready: _Ready,
        compiled: Compiled,
        x: Array,
        y: Array,
        seconds: NDArray[np.float64] | None = None,
    ) -> None:
        with self._lock:
            memory = ready.free.pop() if ready.free else None
        if memory is None:
            memory = compiled.memory(self.threads)
        try:
            compiled.run(x, y, memory, self.threads, seconds)
        finally:
            with self._lock:
                ready.free.append(memory)

    def _checked(self, x: NDArray[Any]) -> Array:
        """The array as float32, dense."""
        needed = f"float[N, {self.network.input.channels}, H, W]"
        if not isinstance(x, np.ndarray):
            raise ShapeError(f"a {type(x).__name__} came; an array {needed} is needed")
        if x.ndim != 4 or x.shape[1] != self.network.input.channels:
            raise ShapeError(f"an array {x.dtype}{list(x.shape)} came; {needed} is needed")
        if not np.issubdtype(x.dtype, np.floating):
            raise ShapeError(
                f"an array of {x.dtype} came; normalised floats are needed, `predict` takes pictures"
            )
        return np.ascontiguousarray(x, np.float32)

    def _ready(self, shape: Shape) -> _Ready:
        with self._lock:
            ready = self._plans.get(shape)
            if ready is None:
                plan = lower(self.network.tree, shape, self._weights)
                compiled = None if self.backend == "numpy" else Compiled(plan, self._packed)
                ready = self._plans[shape] = _Ready(plan, compiled, [])
                if len(self._plans) > PLANS:
                    self._plans.popitem(last=False)
            self._plans.move_to_end(shape)
            return ready
