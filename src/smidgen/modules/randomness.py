"""Random numbers as a function of (seed, epoch, index of the sample), never of batches or devices.

A counter-based hash in plain int64 tensor operations: the finaliser of SplitMix64 (Steele, Lea and Flood
2014, "Fast splittable pseudorandom number generators", doi:10.1145/2660193.2660195), whose unsigned
64-bit arithmetic is written here in wrapping signed integers.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from smidgen.spec import ShapeError

__all__ = ["SampleKeyed", "sample_keys", "set_sample_keys", "uniform"]


def _signed(unsigned: int) -> int:
    """Read 64 bits as a signed integer."""
    unsigned %= 1 << 64
    return unsigned - (1 << 64) if unsigned >> 63 else unsigned


_GAMMA = _signed(0x9E3779B97F4A7C15)
_FIRST = _signed(0xBF58476D1CE4E5B9)
_SECOND = _signed(0x94D049BB133111EB)


def _shifted_right(bits: Tensor, places: int) -> Tensor:
    """Shift zeros in from the left; `>>` alone would repeat the sign."""
    return (bits >> places) & ((1 << (64 - places)) - 1)


def _mix(bits: Tensor) -> Tensor:
    """Spread every input bit over all 64 output bits, one to one."""
    bits = (bits ^ _shifted_right(bits, 30)) * _FIRST
    bits = (bits ^ _shifted_right(bits, 27)) * _SECOND
    return bits ^ _shifted_right(bits, 31)


def sample_keys(seed: int, epoch: int, indices: Tensor) -> Tensor:
    """Hash each sample's place in a run to a key for `uniform`.

    seed, epoch  any integers; their lowest 64 bits count
    indices      int64[N], numbers of the samples in the data set
    returns      int64[N] on the device of `indices`
    """
    key = torch.zeros((), dtype=torch.int64, device=indices.device)
    for number in (seed, epoch):
        key = _mix(key + _signed(number) + _GAMMA)
    return _mix(key + indices * _GAMMA)


def uniform(keys: Tensor, stream: int, count: int) -> Tensor:
    """Draw numbers that depend on nothing but their key, stream and position.

    keys     int64[N], from `sample_keys`
    stream   number of the place that draws; other streams give independent numbers
    returns  float32[N, count] in [0, 1), multiples of 2**-24
    """
    start = _mix(_mix(keys) + stream)
    steps = torch.arange(1, count + 1, device=keys.device) * _GAMMA
    bits = _mix(start[:, None] + steps)
    return _shifted_right(bits, 40).to(torch.float32) * 2.0**-24


class SampleKeyed(nn.Module):
    """Module that draws while training: from its sample keys, or without them from torch's generator."""

    def __init__(self, streams: int = 0) -> None:
        super().__init__()
        self._streams = streams
        self._first_stream = 0
        self._sample_keys: Tensor | None = None

    def _draw(self, x: Tensor, stream: int, count: int) -> Tensor:
        """float32[N, count] in [0, 1) for the N samples of x."""
        keys = self._sample_keys
        if keys is None:
            return torch.rand((x.shape[0], count), device=x.device)
        if keys.shape[0] != x.shape[0]:
            raise ShapeError(f"{keys.shape[0]} sample keys meet a batch of {x.shape[0]}; one key a sample")
        return uniform(keys, self._first_stream + stream, count)


def set_sample_keys(model: nn.Module, keys: Tensor | None) -> None:
    """Let Dropout and drop-path of the next batches draw from `keys`.

    keys     int64[N] on the model's device, from `sample_keys`; None returns to torch's generator
    Raises   ShapeError unless keys are int64[N].
    """
    if keys is not None and (keys.dtype != torch.int64 or keys.dim() != 1):
        raise ShapeError(f"sample keys are {keys.dtype}{list(keys.shape)}; int64[N] is needed")
    stream = 0
    for module in model.modules():
        if isinstance(module, SampleKeyed):
            module._sample_keys, module._first_stream = keys, stream
            stream += module._streams
