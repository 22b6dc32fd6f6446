"""ncnn on the processor, in fp32: left to itself it takes fp16 or bf16 where the processor has them.

Its axis for batches, new in 2026, is left alone: with it, every network that was tried took as long as one
picture after the other, or up to twice as long.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from smidgen.bench.plain import read
from smidgen.bench.rivals import Call, absent
from smidgen.bench.shift_forms import FORMS, form

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["PACKAGE", "PRECISION", "artefact", "available", "prepare", "read", "settings"]

PACKAGE, PRECISION = "ncnn", "fp32"


def available() -> str:
    """Why it cannot run."""
    return absent("ncnn", extra="export")


def settings(shifts: bool) -> tuple[str, ...]:
    """All threads on one picture after the other, or a picture for each; and the form of the shifts.

    A single picture has all threads in both.
    """
    return tuple(f"{order} {shift}".strip() for order in ("in turn", "abreast") for shift in FORMS[shifts])


def artefact(model: Path, setting: str, batch: int, folder: Path) -> Path:  # noqa: ARG001 (for any batch)
    """The .param; its .bin lies beside it."""
    from smidgen import modelfile
    from smidgen.export.ncnn import to_ncnn

    shift = form(setting)
    path = folder / f"{shift}.param"
    if not path.exists():
        file = modelfile.read(model)
        to_ncnn(file.network, file.tensors, shift=shift).write(path)
    return path


def prepare(artefact: Path, threads: int, setting: str) -> Call:
    """A net with all that is fast in fp32: packed layouts and Winograd's way are its own default."""
    from concurrent.futures import ThreadPoolExecutor
    from functools import cache

    import ncnn
    import numpy as np

    pool = ThreadPoolExecutor(threads)

    @cache
    def net(workers: int) -> ncnn.Net:
        made = ncnn.Net()
        for narrow in ("fp16_packed", "fp16_storage", "fp16_arithmetic", "bf16_packed", "bf16_storage"):
            setattr(made.opt, f"use_{narrow}", False)
        made.opt.num_threads = workers
        if made.load_param(str(artefact)) or made.load_model(str(artefact.with_suffix(".bin"))):
            raise RuntimeError(f"{artefact}: ncnn does not load it")
        return made

    def answer(using: ncnn.Net, picture: NDArray[np.float32]) -> NDArray[np.float32]:
        extractor = using.create_extractor()
        # A copy: ncnn works in place on what it is lent, and reads planes up to a boundary of 16 bytes.
        extractor.input("x", ncnn.Mat(picture).clone())
        status, found = extractor.extract("logits")
        if status:
            raise RuntimeError(f"{artefact}: ncnn stops with {status}")
        return np.array(found)

    def call(x: NDArray[np.float32]) -> NDArray[np.float32]:
        if "abreast" in setting and len(x) > 1:
            using = net(1)
            return np.stack(list(pool.map(lambda picture: answer(using, picture), x)))
        using = net(threads)
        return np.stack([answer(using, picture) for picture in x])

    return call
