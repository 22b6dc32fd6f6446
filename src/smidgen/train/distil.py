"""Distillation: a small network learns from the probabilities of a larger one.

Source   Hinton, Vinyals and Dean 2015, arXiv:1503.02531, section 2; that teacher and pupil see the same
         augmented picture: Beyer et al. 2022, arXiv:2106.05237
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

import safetensors
import safetensors.torch
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from smidgen import atomic
from smidgen.forks import Guard
from smidgen.graph import Preprocess
from smidgen.train.checkpoint import CheckpointError
from smidgen.train.errors import Interrupted
from smidgen.train.footprint import MOST_PREDICTED
from smidgen.train.pixels import normalise
from smidgen.train.views import Views

__all__ = ["TEMPERATURE", "VIEWS", "Teacher", "distilled"]

# Softens both sides; gradients shrink by its square, which `distilled` gives back.
TEMPERATURE = 2.0

# Augmented views of each picture that pupils see in turn, epoch by epoch. The teacher answers each once,
# which costs as much as so many epochs of its predictions, however long its pupils learn.
VIEWS = 8

_KEY, _DIGEST = "answers", "sha256"


class Teacher:
    """A trained network that has looked at every view of the pupils' pictures, at its own size and scale.

    batch  pictures that it looks at at once; the same in every session, for equal bits
    """

    def __init__(
        self, model: nn.Module, size: tuple[int, int], preprocess: Preprocess, batch: int = MOST_PREDICTED
    ) -> None:
        self.model = model.eval().requires_grad_(False)
        self.size, self.preprocess, self.batch = size, preprocess, batch
        self._tables: dict[Views, Tensor] = {}
        self._guard = Guard()  # held while the first pupil's thread works the answers out

    def answers(
        self,
        views: Views,
        *,
        kept: Path | None = None,
        advance: Callable[[int], None] = lambda _pictures: None,
        stopping: Callable[[], bool] = lambda: False,
    ) -> Tensor:
        """Logits for the first VIEWS of all pictures, float32[VIEWS, N, classes], from the first call on.

        Always in the same batches, so that they are equal in every bit after a resume, too.

        kept      path that files of finished views begin with; they are read instead of worked out again
        advance   called with the number of pictures that were looked at
        stopping  asked after every batch; then Interrupted is raised, and what is finished stays in its files
        Raises    CheckpointError where the disk refuses
        """
        with self._guard.lock:
            if views not in self._tables:
                answers = []
                for view in range(VIEWS):
                    place = None if kept is None else kept.with_name(f"{kept.name}-{view + 1}.safetensors")
                    found = None if place is None else _read(place, len(views.data))
                    if found is None:
                        found = self._view(views, view, advance, stopping)
                        if place is not None:
                            _keep(place, found)
                    else:
                        advance(len(views.data))
                    answers.append(found.to(views.device))
                self._tables[views] = torch.stack(answers)
            return self._tables[views]

    @torch.no_grad()
    def __call__(self, unit: Tensor) -> Tensor:
        """Logits float32[n, classes] for pictures on the 0..1 scale, float32[n, C, h, w]."""
        if unit.shape[2:] != self.size:
            unit = F.interpolate(unit, self.size, mode="bilinear", align_corners=False, antialias=True)
        logits: Tensor = self.model(normalise(unit, self.preprocess))
        return logits.float()

    def _view(
        self, views: Views, view: int, advance: Callable[[int], None], stopping: Callable[[], bool]
    ) -> Tensor:
        answers: list[Tensor] = []
        for places in torch.split(torch.arange(len(views.data)), self.batch):
            if stopping():
                raise Interrupted(view, VIEWS)
            answers.append(self(views.unit(places, views.keys(view, places))))
            advance(len(places))
        return torch.cat(answers)


def _read(path: Path, pictures: int) -> Tensor | None:
    """The answers in a file; None where it is not there, or not as it was written."""
    try:
        with safetensors.safe_open(path, "pt") as file:
            found, digest = file.get_tensor(_KEY), (file.metadata() or {}).get(_DIGEST)
    except (OSError, safetensors.SafetensorError):
        return None
    whole = isinstance(found, Tensor) and len(found) == pictures and _digest(found) == digest
    return found if whole else None


def _keep(path: Path, answers: Tensor) -> None:
    answers = answers.cpu().contiguous()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        atomic.write_bytes(path, safetensors.torch.save({_KEY: answers}, {_DIGEST: _digest(answers)}))
    except OSError as error:
        raise CheckpointError(
            f"{path}: a lesson cannot be kept ({error.strerror or error}); make room, then resume"
        ) from error


def _digest(answers: Tensor) -> str:
    return hashlib.sha256(answers.numpy().tobytes()).hexdigest()


def distilled(logits: Tensor, teacher: Tensor, temperature: float = TEMPERATURE) -> Tensor:
    """Kullback-Leibler divergence from the teacher times the temperature squared, float[n]."""
    target = (teacher / temperature).log_softmax(1)
    own = (logits / temperature).log_softmax(1)
    return F.kl_div(own, target, log_target=True, reduction="none").sum(1) * temperature**2
