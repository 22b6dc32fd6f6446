"""Foreign files: what is read, what is refused, and that the renamed weights compute the same."""

from __future__ import annotations

import os
import pickle
import warnings
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from smidgen import families, weights
from smidgen.graph import BatchNorm, Conv
from smidgen.graph.layers import leaves, tensors
from smidgen.modules.convert import adapt, convert, load_pth
from smidgen.modules.tree import TreeModule
from smidgen.spec import ModelFileError


def random_state(name: str, **options: Any) -> dict[str, Tensor]:
    """Tensors of the right names and shapes for a network."""
    tree = families.network(name, **options).tree
    return {tensor.name: torch.rand(tensor.shape) for tensor in tensors(tree)}


def saved(path: Path, content: object) -> Path:
    torch.save(content, path)
    return path


def refusal(path: Path) -> str:
    with pytest.raises(ModelFileError) as error:
        load_pth(path)
    text = str(error.value)
    assert "\n" not in text
    assert text.startswith(str(path))
    return text


class Payload:
    """A pickle that runs a command when it is loaded the careless way."""

    def __init__(self, marker: Path) -> None:
        self.command = f"touch '{marker}'"

    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return os.system, (self.command,)


@pytest.mark.parametrize("zipped", [True, False])
def test_code_in_a_checkpoint_is_refused_and_never_run(tmp_path: Path, zipped: bool) -> None:
    marker, path = tmp_path / "ran", tmp_path / "evil.pth"
    torch.save({"weight": Payload(marker)}, path, _use_new_zipfile_serialization=zipped)
    text = refusal(path)
    assert not marker.exists()
    assert "holds code (posix.system)" in text
    assert "weights_only" not in text  # torch's advice would run it
    torch.load(path, weights_only=False)
    assert marker.exists()  # so the payload was a live one


@pytest.mark.parametrize("protocol", [2, 5])
def test_code_in_a_plain_pickle_is_refused_and_never_run(tmp_path: Path, protocol: int) -> None:
    marker, path = tmp_path / "ran", tmp_path / "evil.pkl"
    path.write_bytes(pickle.dumps({"weight": Payload(marker)}, protocol))
    assert "not run" in refusal(path)
    assert not marker.exists()


def test_pickled_module_is_refused_with_its_class(tmp_path: Path) -> None:
    path = saved(tmp_path / "module.pth", nn.Linear(2, 2))
    assert "holds code (torch.nn.modules.linear.Linear)" in refusal(path)


def test_torchscript_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "script.pth"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.jit.save(torch.jit.script(nn.ReLU()), path)
    assert "TorchScript" in refusal(path)


@pytest.mark.parametrize("keep", [0, 1, 100, 5_000, -1])
def test_truncated_file_is_one_line(tmp_path: Path, keep: int) -> None:
    path = saved(tmp_path / "cut.pth", {"weight": torch.rand(64, 64)})
    path.write_bytes(path.read_bytes()[:keep])
    assert "truncated" in refusal(path)


@pytest.mark.parametrize("content", [b"hello", b"\x89PNG" + bytes(9), b"PK\x03\x04" + bytes(9), b"\x80\x02."])
def test_foreign_file_is_one_line(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "foreign.pth"
    path.write_bytes(content)
    assert "is no file of torch.save" in refusal(path)


def test_missing_file_and_folder_are_one_line(tmp_path: Path) -> None:
    assert "No such file" in refusal(tmp_path / "none.pth")
    assert "directory" in refusal(tmp_path)


@pytest.mark.parametrize("content", [[1, 2], {}, {"epoch": 3}, torch.rand(2)])
def test_file_without_a_state_dict_is_refused(tmp_path: Path, content: object) -> None:
    assert "holds no state dict" in refusal(saved(tmp_path / "other.pth", content))


def test_checkpoint_that_contains_itself_is_refused(tmp_path: Path) -> None:
    loop: dict[str, Any] = {}
    loop["model"] = loop
    assert "holds no state dict" in refusal(saved(tmp_path / "loop.pth", loop))


@pytest.mark.parametrize("key", ["state_dict", "model", "model_state_dict"])
def test_wrappers_and_prefixes_are_taken_off(tmp_path: Path, key: str) -> None:
    weight = torch.rand(3)
    path = saved(tmp_path / "wrapped.pth", {"epoch": 3, key: {"module.a.weight": weight, "module.b": weight}})
    assert list(load_pth(path)) == ["a.weight", "b"]
    assert torch.equal(load_pth(path)["b"], weight)


def test_prefix_of_some_names_only_stays(tmp_path: Path) -> None:
    state = {"module.a": torch.rand(1), "b": torch.rand(1)}
    assert list(load_pth(saved(tmp_path / "some.pth", state))) == ["module.a", "b"]


def test_counters_of_thop_are_left_out(tmp_path: Path) -> None:
    state = {"a.weight": torch.rand(1), "a.total_ops": torch.rand(1), "total_params": torch.rand(1)}
    assert list(load_pth(saved(tmp_path / "thop.pth", state))) == ["a.weight"]


def test_torchvision_names_pass_unchanged() -> None:
    state = random_state("squeezenet1_1")
    adapted = adapt(state, families.network("squeezenet1_1"))
    assert list(adapted) == list(state)
    assert all(torch.equal(adapted[name], state[name]) for name in state)


def test_adapted_weights_are_float32_and_contiguous() -> None:
    state = {name: value.double() for name, value in random_state("squeezenet1_1").items()}
    state["features.0.weight"] = state["features.0.weight"].to(memory_format=torch.channels_last).half()
    adapted = adapt(state, families.network("squeezenet1_1"))
    assert {value.dtype for value in adapted.values()} == {torch.float32}
    assert all(value.is_contiguous() for value in adapted.values())


def test_counters_of_batchnorm_that_old_files_lack_start_at_zero() -> None:
    state = random_state("efficientnet_b0")
    counters = {name for name in state if name.endswith("num_batches_tracked")}
    kept = {name: value for name, value in state.items() if name not in counters}
    adapted = adapt(kept, families.network("efficientnet_b0"))
    assert {int(adapted[name]) for name in counters} == {0}


def test_misfit_names_the_first_tensor_of_each_kind_and_how_many() -> None:
    state = random_state("squeezenet1_1")
    del state["features.0.weight"], state["features.0.bias"]
    state |= {"extra": torch.rand(1), "classifier.1.bias": torch.rand(7)}
    with pytest.raises(ModelFileError) as error:
        adapt(state, families.network("squeezenet1_1"))
    assert str(error.value) == (
        "the weights do not fit squeezenet1_1: of 52 tensors 2 missing (first features.0.weight), "
        "1 unexpected (first extra), 1 of another shape (first classifier.1.bias: (7,), not (1000,))"
    )


def test_other_networks_file_is_one_line(tmp_path: Path) -> None:
    path = saved(tmp_path / "b0.pth", random_state("squeezenet1_0"))
    with pytest.raises(ModelFileError, match="do not fit efficientnet_b0") as error:
        convert(path, "efficientnet_b0")
    assert "\n" not in str(error.value)
    with pytest.raises(ModelFileError, match="do not fit squeezenet1_0"):
        convert(weights.fetch(weights.find("efficientnet_lite0")), "squeezenet1_0")


def test_classes_and_channels_are_read_off_the_file(tmp_path: Path) -> None:
    path = saved(tmp_path / "mine.pth", random_state("squeezenet1_1", num_classes=7, c_in=1))
    network, state = convert(path, "squeezenet1_1", resolution=96)
    assert (network.num_classes, network.input.channels, network.input.height) == (7, 1, 96)
    assert len(state) == 52


def test_options_that_contradict_the_file_are_refused(tmp_path: Path) -> None:
    path = saved(tmp_path / "mine.pth", random_state("squeezenet1_1", num_classes=7))
    with pytest.raises(ModelFileError, match="of another shape"):
        convert(path, "squeezenet1_1", num_classes=8)


def test_published_file_brings_its_preprocessing_and_class_names() -> None:
    path = weights.fetch(weights.find("efficientnet_lite0"))
    network, _ = convert(path, "efficientnet_lite0")
    assert network == weights.published_network("efficientnet_lite0")


def lively(model: nn.Module) -> nn.Module:
    """Statistics far from those of a fresh network, so that every tensor matters."""
    generator = torch.Generator().manual_seed(0)
    for name, tensor in model.state_dict().items():
        if "running" in name or ("_bn" in name and tensor.is_floating_point()):
            tensor.copy_(0.5 + torch.rand(tensor.shape, generator=generator))
    return model.eval()


def test_efficientnet_pytorch_file_gets_tensorflows_padding_and_norms(tmp_path: Path) -> None:
    from efficientnet_lite_pytorch import EfficientNet

    oracle = lively(EfficientNet.from_name("efficientnet-b0", num_classes=10))
    network, state = convert(saved(tmp_path / "b0.pth", oracle.state_dict()), "efficientnet_b0")
    norms = [leaf for _, leaf in leaves(network.tree) if isinstance(leaf, BatchNorm)]
    strided = [leaf for _, leaf in leaves(network.tree) if isinstance(leaf, Conv) and leaf.stride == 2]
    assert {(norm.eps, norm.momentum) for norm in norms} == {(1e-3, 0.01)}
    assert {conv.padding for conv in strided} == {"same"}

    ours = TreeModule(network.tree).eval()
    ours.load_state_dict(state)
    x = torch.randn(2, 3, 224, 224, generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        expected, actual = oracle(x), ours(x)
    assert expected.std() > 1e-3
    assert (actual - expected).abs().max() <= 1e-4 * expected.abs().max()
