"""What a run is asked to do."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

from smidgen.data import from_anywhere
from smidgen.graph import Aspect
from smidgen.spec import SmidgenError

__all__ = ["Job"]


@dataclass(frozen=True, slots=True)
class Job:
    """What is asked for.

    group_by      regular expression: pictures whose names match alike stay in one part of the split
    aspect        how pictures become squares; default: by the pictures, as `train.chosen_aspect` says
    epochs        of the full training; default: as many as the data and the time allow
    time_limit    seconds for the whole job; default: none
    out           run folder to create
    base          without `out`, the first free of BASE-1, BASE-2, … is created; default: runs/ and the
                  data's name
    threads       of the processor for each training; default: one where steps are too small to share, else
                  torch's choice
    workers       candidates that train at the same time; default: as many as there are processors for
    every         seconds between checkpoints
    train_on      "cpu" or "cuda"; default: cuda where there is one
    device        file of the device that will predict; default: this machine, where its time is limited
    from_scratch  use no published weights, neither to start from nor to learn from
    download  leave to fetch published weights that are not on this machine
    no_flip  mirror no picture in training
    class_weights  let the classes count alike, however many pictures they have
    learning_rate  instead of the recipe's
    dropped_strides  of every candidate: strides, first ones first, that become 1; default: the numbers that
                  are worth trying
    """

    data: str
    resolution: int | None = None
    seed: int = 0
    epochs: int | None = None
    skip_bad: bool = False
    group_by: str | None = None
    aspect: Aspect | None = None
    time_limit: float | None = None
    out: Path | None = None
    base: Path | None = None
    threads: int | None = None
    workers: int | None = None
    every: float = 30.0
    train_on: str | None = None
    device: Path | None = None
    from_scratch: bool = False
    download: bool = False
    no_flip: bool = False
    class_weights: bool = False
    learning_rate: float | None = None
    dropped_strides: int | None = None
    command: str = ""

    def __post_init__(self) -> None:
        if self.time_limit is not None and not (math.isfinite(self.time_limit) and self.time_limit > 0):
            raise SmidgenError(f"time={self.time_limit}: a time above 0 is needed, such as 10m")
        if self.learning_rate is not None and not 0 < self.learning_rate < math.inf:
            raise SmidgenError(
                f"learning-rate={self.learning_rate}: a number above 0 is needed, such as 0.001"
            )
        if self.aspect not in (None, *get_args(Aspect)):
            raise SmidgenError(f"aspect={self.aspect}: one of {', '.join(get_args(Aspect))} is needed")
        if self.from_scratch and self.download:
            raise SmidgenError("--from-scratch uses no published weights, so --download has nothing to fetch")
        if not self.every > 0:
            raise SmidgenError(f"checkpoint-every={self.every}: seconds above 0 are needed")

    def to_json(self) -> dict[str, Any]:
        """The job, ready for JSON."""
        document = dataclasses.asdict(self)
        document["data"] = from_anywhere(self.data)  # a run may be taken up from another folder
        return {key: str(value) if isinstance(value, Path) else value for key, value in document.items()}

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Job:
        """Read what `to_json` wrote."""
        known = {field.name for field in dataclasses.fields(cls)}
        values = {key: value for key, value in document.items() if key in known}
        for key in ("out", "base", "device"):
            if values.get(key) is not None:
                values[key] = Path(values[key])
        return cls(**values)
