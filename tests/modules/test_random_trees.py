import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from random_trees import classifiers, maps
from smidgen.graph import Chain, Combinator, Concat, Gate, Node, cost, tensors
from smidgen.modules import TreeModule
from smidgen.spec import Shape


def run_by_path(model: nn.Module, node: Node, path: str, x: Tensor) -> Tensor:
    """Interpret the tree with the module's leaves, found by their dotted names, on copies of every input."""
    if not isinstance(node, Combinator):
        y: Tensor = model.get_submodule(path)(x.clone())
        return y
    children = [(f"{path}.{name}".strip(".") if name else path, child) for name, child in node.children]
    if isinstance(node, Chain | Gate):
        y = x
        for where, child in children:
            y = run_by_path(model, child, where, y)
        return x * y if isinstance(node, Gate) else y
    branches = [run_by_path(model, child, where, x) for where, child in children]
    return torch.cat(branches, 1) if isinstance(node, Concat) else sum(branches[1:], branches[0])


@st.composite
def cases(draw: st.DrawFn) -> tuple[Node, Shape, Shape]:
    shape = draw(maps())
    tree, out = draw(classifiers(shape))
    return tree, shape, out


@settings(deadline=None, max_examples=150)
@given(cases())
def test_any_tree_runs_as_it_reads_and_overwrites_no_input(case: tuple[Node, Shape, Shape]) -> None:
    tree, shape, out = case
    torch.manual_seed(0)
    model = TreeModule(tree).eval()
    x = torch.randn(2, *shape[:3])
    before = x.clone()
    with torch.no_grad():
        y = model(x)
        assert y.shape == (2, out.channels)
        torch.testing.assert_close(y, run_by_path(model, tree, "", before))
    assert torch.equal(x, before)
    state = [(name, tuple(value.shape)) for name, value in model.state_dict().items()]
    assert state == [(tensor.name, tensor.shape) for tensor in tensors(tree)]
    assert sum(p.numel() for p in model.parameters()) == cost(tree, shape).params


@settings(deadline=None, max_examples=40)
@given(cases())
def test_any_tree_trains(case: tuple[Node, Shape, Shape]) -> None:
    tree, shape, _ = case
    model = TreeModule(tree)
    for layer in model.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.eval()  # a batch of single pixels has no variance
    x = torch.randn(2, *shape[:3], requires_grad=True)
    torch.autograd.backward(model(x).square().sum())
    assert all(p.grad is None or p.grad.shape == p.shape for p in model.parameters())
