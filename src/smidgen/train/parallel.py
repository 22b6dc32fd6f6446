"""Several processes that train one network as if they were one, each on its share of every batch.

Gradients are summed after the backward pass, all in one message: these networks' are a few megabytes at
most. (torch's DistributedDataParallel would send them while it computes, but whoever holds such a model, an
error's traceback too, holds the process group beyond its end.)
BatchNorm takes its mean and variance over the whole batch: torch's SyncBatchNorm refuses CPU tensors, so
`SharedBatchNorm` sums over the processes with an all-reduce that gradients flow through. What one process
computes, several compute too, to rounding.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
import torch.distributed as dist
import torch.distributed.nn
from torch import Tensor, nn

__all__ = ["ALONE", "SharedBatchNorm", "World", "world"]


@dataclass(frozen=True, slots=True)
class World:
    """The processes of one training: this one's number and how many there are."""

    rank: int = 0
    size: int = 1
    device: str = "cpu"

    @property
    def leads(self) -> bool:
        """Whether this process is the one that writes and speaks."""
        return self.rank == 0

    def share(self, model: nn.Module) -> nn.Module:
        """The model, with the first process's values in all of them and BatchNorm over the whole batch."""
        if self.size > 1:
            for value in model.state_dict().values():
                dist.broadcast(value, 0)
            _share_norms(model)
        return model

    def sum_gradients(self, model: nn.Module) -> None:
        """Make every gradient the sum of those of all processes, in one message."""
        if self.size == 1:
            return
        gradients = [weight.grad for weight in model.parameters() if weight.grad is not None]
        total = torch.cat([gradient.flatten() for gradient in gradients])
        dist.all_reduce(total)
        parts = torch.split(total, [gradient.numel() for gradient in gradients])
        for gradient, part in zip(gradients, parts, strict=True):
            gradient.copy_(part.view(gradient.shape))

    def part(self, count: int) -> slice:
        """Samples of a batch of so many that this process works on: nearly equal parts, in order."""
        return slice(count * self.rank // self.size, count * (self.rank + 1) // self.size)

    def sum(self, value: Tensor) -> Tensor:
        """The sum over all processes."""
        if self.size == 1:
            return value
        total = value.clone()
        dist.all_reduce(total)
        return total

    def agree(self, word: str) -> str:
        """The first process's word, in all of them."""
        if self.size == 1:
            return word
        sent = torch.tensor(list(word.encode()), dtype=torch.uint8, device=self.device)
        length = torch.tensor(len(sent), device=self.device)
        dist.broadcast(length, 0)
        if not self.leads:
            sent = torch.empty(int(length.item()), dtype=torch.uint8, device=self.device)
        dist.broadcast(sent, 0)
        return bytes(sent.tolist()).decode()

    def any(self, flag: bool) -> bool:
        """Whether it holds in any process."""
        if self.size == 1:
            return flag
        return bool(self.sum(torch.tensor(int(flag), device=self.device)).item())


ALONE = World()


@contextmanager
def world(device: str) -> Iterator[World]:
    """The processes that torchrun started, joined; alone where it did not.

    Nothing may hold on to the group: its threads abort the process where they outlive the interpreter.
    Functions of `torch.distributed.nn` take the group of the moment of their import as a default, and
    optimisers import them: hence the import above, while there is none.
    """
    size = int(os.environ.get("WORLD_SIZE") or "1")
    if size == 1:
        yield ALONE
        return
    if device == "cuda":
        torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", "0")))
    dist.init_process_group("nccl" if device == "cuda" else "gloo")
    try:
        yield World(dist.get_rank(), size, device)
    finally:
        dist.destroy_process_group()


class _Sum(torch.autograd.Function):
    """The sum over all processes; its gradient is the sum of their gradients."""

    @staticmethod
    def forward(_context: Any, value: Tensor) -> Tensor:
        """Any shape -> the same."""
        total = value.clone()
        dist.all_reduce(total)
        return total

    @staticmethod
    def backward(_context: Any, *gradients: Tensor) -> Tensor:
        """As forward."""
        return _summed(gradients[0])


def _summed(value: Tensor) -> Tensor:
    total: Tensor = _Sum.apply(value)  # type: ignore[no-untyped-call]
    return total


class SharedBatchNorm(nn.BatchNorm2d):
    """BatchNorm whose training statistics are those of the batch in all processes together."""

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002 (torch's own name)
        """float[n, C, h, w] -> the same shape."""
        if not self.training:
            return super().forward(input)
        assert self.running_mean is not None
        assert self.running_var is not None
        assert self.num_batches_tracked is not None
        kind, input = input.dtype, input.float()  # noqa: A001 (sums in half precision would lose counts)
        # Statistics in float64, as the kernel of a process alone has them: in maps of one value, numbers that
        # are the mean must be exactly zero, or rounding decides what a ReLU behind lets through.
        count = input.new_tensor([input.numel() / input.shape[1]], dtype=torch.float64)
        total = _summed(torch.cat([input.sum((0, 2, 3), dtype=torch.float64), count]))
        values = total[-1].detach()
        mean = (total[:-1] / values).float()
        centred = input - mean[:, None, None]
        variance = _summed(centred.square().sum((0, 2, 3), dtype=torch.float64)) / values
        with torch.no_grad():
            self.num_batches_tracked += 1
            momentum = 1 / self.num_batches_tracked if self.momentum is None else self.momentum
            self.running_mean.lerp_(mean, momentum)
            self.running_var.lerp_((variance * values / (values - 1)).float(), momentum)
        scale: Tensor = self.weight * torch.rsqrt(variance + self.eps).float()
        result: Tensor = centred * scale[:, None, None] + self.bias[:, None, None]
        return result.to(kind)


def _share_norms(model: nn.Module) -> None:
    """Let every BatchNorm of the model share; parameters, buffers and their names stay."""
    for module in model.modules():
        if type(module) is nn.BatchNorm2d:
            module.__class__ = SharedBatchNorm
