import copy
import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from smidgen import families, modelfile
from smidgen.graph import Network
from smidgen.modules import create, load, save
from smidgen.modules.saved import load_file
from smidgen.spec import ModelFileError


@pytest.fixture(scope="module")
def network() -> Network:
    net = families.network("shiftresnet20_e1", num_classes=3, resolution=16)
    return dataclasses.replace(net, classes=("a", "b", "c"))


@pytest.fixture
def model(network: Network) -> nn.Module:
    torch.manual_seed(0)
    module = create(network)
    module.train()
    for _ in range(3):  # statistics and counters that are not the initial ones
        module(torch.randn(4, 3, 16, 16))
    return module.eval()


def test_a_saved_model_answers_as_before_to_the_last_bit(
    tmp_path: Path, network: Network, model: nn.Module
) -> None:
    x = torch.randn(5, 3, 16, 16)
    size = save(tmp_path / "m", network, model, {"seed": 1})
    back, loaded = load(tmp_path / "m")
    assert size == (tmp_path / "m").stat().st_size
    assert back == loaded.network == network
    assert torch.equal(loaded(x), model(x))


def test_a_loaded_model_is_in_evaluation_mode_and_can_be_trained_on(
    tmp_path: Path, network: Network, model: nn.Module
) -> None:
    save(tmp_path / "m", network, model)
    loaded = load(tmp_path / "m")[1]
    assert not loaded.training
    assert all(parameter.requires_grad for parameter in loaded.parameters())
    assert not any(parameter.is_meta for parameter in [*loaded.parameters(), *loaded.buffers()])
    loaded.train()
    loaded(torch.randn(4, 3, 16, 16)).sum().backward()
    torch.optim.SGD(loaded.parameters(), 0.1).step()  # in place, into memory of its own


def test_counters_survive(tmp_path: Path, network: Network, model: nn.Module) -> None:
    save(tmp_path / "m", network, model)
    state = load(tmp_path / "m")[1].state_dict()
    counters = [value for name, value in state.items() if name.endswith("num_batches_tracked")]
    assert counters
    assert all(counter.dtype == torch.int64 and counter == 3 for counter in counters)


def test_saving_twice_gives_the_same_bytes(tmp_path: Path, network: Network, model: nn.Module) -> None:
    save(tmp_path / "a", network, model)
    save(tmp_path / "b", *load(tmp_path / "a"))
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_other_floating_types_are_written_as_float32(
    tmp_path: Path, network: Network, model: nn.Module, dtype: torch.dtype
) -> None:
    other = copy.deepcopy(model).to(dtype)
    save(tmp_path / "m", network, other)
    file = modelfile.read(tmp_path / "m")
    for name, tensor in other.state_dict().items():
        assert file.tensors[name].dtype == (np.float32 if tensor.is_floating_point() else np.int64)
        np.testing.assert_array_equal(file.tensors[name], tensor.to(torch.float64).numpy().astype(np.float32))


def test_weights_in_channels_last_are_written_in_their_order(
    tmp_path: Path, network: Network, model: nn.Module
) -> None:
    save(tmp_path / "a", network, model)
    save(tmp_path / "b", network, copy.deepcopy(model).to(memory_format=torch.channels_last))  # type: ignore[call-overload]
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_frozen_and_shared_parameters_are_saved_too(
    tmp_path: Path, network: Network, model: nn.Module
) -> None:
    for parameter in model.parameters():
        parameter.requires_grad_(False)
    save(tmp_path / "m", network, model)
    assert load(tmp_path / "m")[1].state_dict().keys() == model.state_dict().keys()


def test_a_module_of_another_network_is_not_saved(tmp_path: Path, network: Network) -> None:
    other = create("shiftresnet20_e3", num_classes=3, resolution=16)
    with pytest.raises(ModelFileError, match="has shape"):
        save(tmp_path / "m", network, other)
    with pytest.raises(ModelFileError, match="is missing"):
        save(tmp_path / "m", network, nn.Linear(2, 2))
    assert list(tmp_path.iterdir()) == []


def test_loading_draws_no_random_numbers(tmp_path: Path, network: Network, model: nn.Module) -> None:
    save(tmp_path / "m", network, model)
    before = torch.get_rng_state()
    load(tmp_path / "m")
    assert torch.equal(torch.get_rng_state(), before)


def test_the_provenance_comes_with_the_module(tmp_path: Path, network: Network, model: nn.Module) -> None:
    save(tmp_path / "m", network, model, {"seed": 1, "data": {"name": "x"}})
    loaded = load_file(tmp_path / "m")
    assert loaded.provenance == {"seed": 1, "data": {"name": "x"}}
    assert loaded.network == network
    assert not loaded.model.training
