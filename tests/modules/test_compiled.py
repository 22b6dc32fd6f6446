"""torch.compile, torch.export, channels_last and autocast on small networks."""

import pytest
import torch

from smidgen.families.efficientnet import mbconv
from smidgen.families.shiftnet import csc
from smidgen.families.squeezenet import fire
from smidgen.graph import Chain, Conv, Dropout, Flatten, GlobalPool, Linear, Pool, Shift, Sum
from smidgen.modules import TreeModule, create, sample_keys, set_sample_keys

# Importing torch's compiler warns about torch's own use of TorchScript.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")

NAMES = [
    "mixed",
    "squeezenet1_1_complex_bypass",
    *(
        pytest.param(name, marks=pytest.mark.slow)
        for name in ("efficientnet_b0", "efficientnet_lite0", "shiftnet_c")
    ),
]


def mixed() -> Chain:
    """One of every node, in few layers."""
    steps = (
        ("stem", Conv(3, 8, 3, 2, "same", init="fan_out")),
        ("0", mbconv(8, 8, drop_path=0.5)),
        ("1", fire(8, 2, 5, 5)),
        ("pool", Pool("max", 3, 2, ceil_mode=True)),
        ("2", csc(10, 20, pool=True, stride=2)),
        ("3", csc(20, 20, layout="interleaved")),
        ("4", Conv(20, 6, 2, padding=((0, 1), (1, 0)))),
        ("mean", GlobalPool()),
        ("flatten", Flatten()),
        ("drop", Dropout(0.3)),
        ("linear", Linear(6, 3)),
    )
    return Chain(steps)


def small(name: str) -> tuple[TreeModule, torch.Tensor]:
    torch.manual_seed(0)
    model = TreeModule(mixed()) if name == "mixed" else create(name, num_classes=3, resolution=32)
    return model, torch.randn(4, 3, 32, 32)


@pytest.mark.parametrize("name", NAMES)
def test_exported_program_equals_the_module_at_any_batch_size(name: str) -> None:
    model, x = small(name)
    model.eval()
    batch = torch.export.Dim("batch", min=2)
    program = torch.export.export(model, (x,), dynamic_shapes={"x": {0: batch}})
    for size in (2, 3):
        torch.testing.assert_close(program.module()(x[:size]), model(x[:size]))
    assert set(program.state_dict) == set(model.state_dict())


@pytest.mark.parametrize("name", NAMES)
def test_channels_last_changes_no_value_and_stays(name: str) -> None:
    model, x = small(name)
    model.eval()
    with torch.no_grad():
        expected = model(x)
        model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        x = x.to(memory_format=torch.channels_last)
        seen: list[bool] = []
        for layer in model.modules():
            if isinstance(layer, torch.nn.Conv2d) and min(layer.kernel_size) > 1:
                layer.register_forward_hook(
                    lambda _m, args, _y: seen.append(args[0].is_contiguous(memory_format=torch.channels_last))
                )
        torch.testing.assert_close(model(x), expected, rtol=1e-3, atol=1e-5)
    assert all(seen)


@pytest.mark.parametrize("name", NAMES)
def test_autocast_trains_in_bfloat16_with_finite_gradients(name: str) -> None:
    model, x = small(name)
    with torch.autocast("cpu", torch.bfloat16):
        y = model(x)
    y.float().square().mean().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters())


@pytest.mark.parametrize("name", NAMES)
def test_whole_graph_is_captured_and_recaptured_for_no_new_keys(name: str) -> None:
    model, x = small(name)
    graphs: list[torch.fx.GraphModule] = []

    def keep(graph: torch.fx.GraphModule, _inputs: object) -> torch.fx.GraphModule:
        graphs.append(graph)
        return graph

    torch.compiler.reset()
    compiled = torch.compile(model, fullgraph=True, backend=keep)
    for epoch in range(3):
        set_sample_keys(model, sample_keys(0, epoch, torch.arange(4)))
        torch.testing.assert_close(compiled(x), model(x), rtol=1e-3, atol=1e-5)
    assert len(graphs) == 1


@pytest.mark.slow
def test_compiled_code_draws_and_shifts_as_the_plain_one_and_so_do_its_gradients() -> None:
    branch = Sum((("", Chain()), ("conv", Conv(4, 4))), drop_path=0.5)
    shift = Shift(((2, 0, 1), (2, -1, 0)))
    model = TreeModule(Chain((("0", branch), ("shift", shift), ("drop", Dropout(0.3)))))
    set_sample_keys(model, sample_keys(0, 0, torch.arange(16)))
    x = torch.randn(16, 4, 6, 6)
    torch.compiler.reset()
    results = []
    for run in (torch.compile(model, fullgraph=True), model):
        model.zero_grad()
        y = run(x)
        y.square().mean().backward()
        results.append((y.detach(), model.get_parameter("0.conv.weight").grad))
    torch.testing.assert_close(*results)
