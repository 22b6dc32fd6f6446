"""Networks as their training finds them: new, or with what they keep of published weights."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import Any

import torch
from numpy.typing import NDArray

from smidgen import families, weights
from smidgen.compress import inside, made
from smidgen.forks import Guard
from smidgen.graph import Network
from smidgen.modules import NetworkModule, create, pretrained
from smidgen.modules.published import published_tensors
from smidgen.run.plan import Start, Trial
from smidgen.spec import SmidgenError

__all__ = ["at_start", "cuts_within"]


# Initial weights come from torch's one generator: networks are built one after another.
_BUILDING = Guard()


def at_start(trial: Trial, seed: int) -> NetworkModule:
    """The trial's network before its training, the same for the same seed, which draws what is new.

    Raises   WeightsError where the published weights are gone.
    """
    with _BUILDING.lock, torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return _built(trial)


def _built(trial: Trial) -> NetworkModule:
    start = trial.start
    if start is None:
        return create(trial.network)
    if start.cutting is None:
        return pretrained(trial.network, start.key)
    small, tensors = made(_whole(trial.network, start), _tensors(start.network, start.key), start.cutting)
    if small.tree != trial.network.tree:
        raise SmidgenError(
            f"{start.network} is cut in another way now than {trial.network.name} was; fit anew"
        )
    model = create(trial.network)
    state = {name: torch.from_numpy(array) for name, array in tensors.items()}
    missing, unexpected = model.load_state_dict(state, strict=False)
    assert not unexpected, "what was cut has no other layers"
    assert all(name.startswith("classifier.") for name in missing), "the head alone is new"
    return model


def cuts_within(
    whole: Network, key: str, fits: Callable[[Network], bool], most: int
) -> list[tuple[Network, Start]]:
    """Cuts of a published network that obey limits, those that use them best, with how they begin.

    whole   the published network, for the data's pictures and classes
    Raises  BudgetError where none fits.
    """
    tensors = _tensors(whole.name, key)
    found = inside(whole, tensors, fits, most)
    return [(made(whole, tensors, cutting)[0], Start(whole.name, key, cutting)) for cutting in found]


def _whole(network: Network, start: Start) -> Network:
    """The published network that this one was cut from, for the same pictures and classes."""
    return families.network(
        start.network,
        num_classes=network.num_classes,
        c_in=network.input.channels,
        resolution=network.input.height,
        dropped_strides=network.dropped_strides,
    )


@functools.lru_cache(maxsize=4)
def _tensors(name: str, key: str) -> Mapping[str, NDArray[Any]]:
    """Published weights under our names."""
    return weights.published_model(weights.find(name, key), read=published_tensors).tensors
