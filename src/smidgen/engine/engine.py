"""The engine: a network and its weights, ready for numbers."""

from __future__ import annotations

import math
import os
import warnings
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from smidgen import modelfile, native, weights
from smidgen.engine.compiled import Compiled
from smidgen.engine.packing import Packed
from smidgen.engine.passes import for_engine
from smidgen.forks import Guard
from smidgen.graph import Network
from smidgen.machine import cores
from smidgen.modelfile import ModelFile
from smidgen.predict import Picture, Prediction, Predictor, require_sensible
from smidgen.program import Array, Program, Weights, lower
from smidgen.spec import DependencyError, ModelFileError, PictureError, Shape, ShapeError, SmidgenWarning

if TYPE_CHECKING:
    from smidgen.engine.profile import StepTime

__all__ = ["Engine"]

# Programs for so many resolutions are kept, the latest ones.
KEPT = 4
# Multiply-adds below which a call that may choose works alone, about 0.1 ms of one thread. A second one would
# save at most a fifth of it where calls follow one another; elsewhere, waking it takes longer than that.
ALONE = 4_000_000


class _Ready(NamedTuple):
    """A program, its multiply-adds, and memory for it: as many pieces as there have been calls at once."""

    program: Program
    macs: int
    compiled: Compiled | None
    free: list[Array]


class Engine:
    """Runs a network on the native kernels, or on the numpy interpreter where these are missing.

    One engine may be called from several threads, and in forked children. With the same instruction set, the
    same picture gives the same bits, whatever the batch around it and however many threads.

    It can be pickled and copied: the copy has the same model and asks for the same threads, its own programs
    and memory.

    model     path of a model file, a name with published weights, the content of a model file, or network and
              weights by state-dict name
    threads   that a call uses. Default: the cores that this process may use when the engine is made, or made
              anew from a pickle, and one where the call has little to do. A forked child keeps the parent's.
    download  leave to fetch published weights that are not on this machine
    Raises    ModelFileError, also where weights are no numbers. With a name also UnknownNameError;
              WeightsError where it has none, or they are not here; DependencyError where they must be read,
              once, and torch is not installed.
    """

    def __init__(
        self,
        model: str | os.PathLike[str] | ModelFile | tuple[Network, Mapping[str, NDArray[Any]]],
        threads: int | None = None,
        *,
        download: bool = False,
    ) -> None:
        if threads is not None and threads < 1:
            raise ValueError(f"{threads} threads; at least 1 is needed")
        if isinstance(model, str | os.PathLike):
            file, source = weights.open_model(model, download=download), str(model)
        else:
            file = ModelFile(*model) if isinstance(model, tuple) else model
            source = file.network.name
            found = {name: array.shape for name, array in file.tensors.items()}
            modelfile.check_tensors(file.network, found, source)
        with np.errstate(over="ignore", invalid="ignore"):
            damaged = next((name for name, array in file.tensors.items() if not _finite(array)), None)
        if damaged is not None:  # a kernel's max(0, NaN) would make plausible answers of it
            raise ModelFileError(f"{source}: {damaged} holds what is no number; its weights are damaged")
        self.network, self.provenance, self._tensors = file.network, file.provenance, file.tensors
        self._asked, self._threads = threads, threads or cores()
        self._weights, self._packed = Weights(file.tensors), Packed()
        self._programs: OrderedDict[Shape, _Ready] = OrderedDict()
        # Of programs and memory. Neither is ever half made: a program is kept when it is whole, and memory in
        # use is no longer `free`.
        self._guard = Guard()
        missing = native.missing()
        self.backend = "numpy" if missing else native.isa()
        if missing:
            warnings.warn(f"{missing}; the slow interpreter runs instead", SmidgenWarning, stacklevel=2)
        try:
            self._ready(self.network.input)
        except (ModelFileError, ShapeError) as error:
            raise ModelFileError(f"{source}: {error}") from None
        except MemoryError:
            raise ModelFileError(f"{source}: there is not enough memory for its weights") from None

    @property
    def threads(self) -> int:
        """Most that one call uses."""
        return self._threads

    def threads_of(self, pictures: int = 1) -> int:
        """What a call with so many pictures of the network's own size uses."""
        return self._useful(self._ready(self.network.input), pictures)

    def __reduce__(self) -> tuple[type[Engine], tuple[ModelFile, int | None]]:
        model = ModelFile(self.network, dict(self._tensors), dict(self.provenance))
        return type(self), (model, self._asked)

    def __call__(self, x: NDArray[Any]) -> Array:
        """float[N, C, H, W] -> float32[N, num_classes]: the network's outputs, before any softmax.

        Raises   ShapeError on an array that the network cannot take, PictureError where it holds NaN or
                 infinity.
        """
        x = self._checked(x)
        ready = self._ready(Shape(*x.shape[1:]))
        y = np.empty((len(x), ready.program.maps[ready.program.output].numel), np.float32)
        if ready.compiled is None:
            from smidgen.program import interpret

            for row in range(len(x)):  # one by one: all maps of a picture are in memory
                y[row] = interpret(ready.program, x[row : row + 1])[0]
        else:
            self._run(ready, ready.compiled, x, y, self._useful(ready, len(x)))
        return y

    def predict(
        self, pictures: Picture | Iterable[Picture], top: int | None = None
    ) -> list[list[Prediction]]:
        """The classes of each picture with their probabilities, most probable first.

        pictures  one or many: paths, PIL pictures, uint8[H, W] or [H, W, C]; uint8[N, H, W, C] is N pictures
        top       how many classes; default: all
        Raises    PictureError at the first picture that cannot be used; ModelFileError where the network is
                  not for pictures, or too large for any.
        """
        require_sensible(self.network, self.network.name)
        return Predictor(self.network, self, self.provenance).predict(pictures, top=top)

    def profile(self, x: NDArray[Any] | None = None, repeats: int = 20) -> list[StepTime]:
        """The time of every fused step, in the order in which they run: the median over repeated calls; and
        what the machine could do at most.

        x        as a call takes it, at least one picture; default: one of zeros at the network's size
        repeats  calls that are timed, after one that is not
        Raises   as a call; ShapeError on no picture; DependencyError without the native kernels.
        """
        from smidgen.engine.profile import times

        if repeats < 1:
            raise ValueError(f"{repeats} repeats; at least 1 is needed")
        x = self._checked(np.zeros((1, *self.network.input[:3]), np.float32) if x is None else x)
        if not len(x):
            raise ShapeError("no picture came; at least 1 is needed to time the steps")
        ready = self._ready(Shape(*x.shape[1:]))
        compiled, threads = ready.compiled, self._useful(ready, len(x))
        if compiled is None:
            raise DependencyError(f"steps are timed on the native kernels only; {native.missing()}")
        y = np.empty((len(x), compiled.outputs), np.float32)
        seconds = np.zeros((repeats, len(compiled.steps)))
        self._run(ready, compiled, x, y, threads)
        for row in seconds:
            self._run(ready, compiled, x, y, threads, row)
        return times(ready.program, compiled.steps, 1000 * seconds / len(x), native.arithmetic(threads))

    def arena_bytes(self, height: int | None = None, width: int | None = None) -> int:
        """Bytes of the maps that one picture needs at once; at most the `peak_bytes` of its cost."""
        shape = self.network.input
        ready = self._ready(Shape(shape.channels, height or shape.height, width or shape.width))
        return 0 if ready.compiled is None else ready.compiled.arena_bytes

    def _useful(self, ready: _Ready, pictures: int) -> int:
        """Threads for a call: all that were asked for, or as many as pay."""
        if self._asked is None and pictures * ready.macs < ALONE:
            return 1
        return self.threads

    def _run(
        self,
        ready: _Ready,
        compiled: Compiled,
        x: Array,
        y: Array,
        threads: int,
        seconds: NDArray[np.float64] | None = None,
    ) -> None:
        with self._guard.lock:
            memory = ready.free.pop() if ready.free else None
        if memory is None:
            try:
                memory = compiled.memory(self.threads)
            except MemoryError:
                picture = ready.program.maps[ready.program.input].shape
                needed = f"{self.threads} threads for pictures of {picture}"
                raise ShapeError(f"there is not enough memory for {needed}") from None
        try:
            compiled.run(x, y, memory, threads, seconds)
        finally:
            with self._guard.lock:
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
        # What float32 cannot hold becomes infinite, and is refused.
        with np.errstate(over="ignore", invalid="ignore"):
            x = np.ascontiguousarray(x, np.float32)
            finite = _finite(x)
        if not finite:
            raise PictureError(f"an array {list(x.shape)} with NaN or infinity came; numbers are needed")
        return x

    def _ready(self, shape: Shape) -> _Ready:
        with self._guard.lock:
            ready = self._programs.get(shape)
            if ready is None:
                # What float32 cannot hold becomes infinite, and so do the answers: no warning helps.
                with np.errstate(all="ignore"):
                    program = for_engine(lower(self.network, self._weights, shape))
                    compiled = None if self.backend == "numpy" else Compiled(program, self._packed)
                ready = self._programs[shape] = _Ready(program, program.macs, compiled, [])
                if len(self._programs) > KEPT:
                    self._programs.popitem(last=False)
            self._programs.move_to_end(shape)
            return ready


def _finite(array: NDArray[Any]) -> bool:
    """Whether all are numbers; their sum tells at a fraction of the cost. numpy warns where it overflows."""
    return math.isfinite(array.sum()) or bool(np.isfinite(array).all())
