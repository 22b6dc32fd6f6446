"""The architecture: a module imports only from layers above its own, and torch only below the line."""

from __future__ import annotations

import ast
import importlib
import json
import pkgutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import smidgen
from smidgen import families, graph, train
from smidgen.families.family import Family

ABOVE = (
    "spec", "download", "graph", "draw", "families", "modelfile", "images", "data", "weights", "program",
    "native", "predict", "engine", "scaling", "compress", "gate", "export",
    "report",
)  # fmt: skip
BELOW = ("kernels", "modules", "train", "run", "search", "bench", "models", "cli", "__main__")
LAYERS = ABOVE + BELOW
TORCH = ("torch", "kornia", "torchvision", "triton")

ROOT = Path(smidgen.__file__).parent
FILES = sorted(path for path in ROOT.rglob("*.py") if path != ROOT / "__init__.py")
STANDARD_LIBRARY = set(sys.stdlib_module_names)
# Tools without a layer of their own, that any layer may use: they import nothing of smidgen's but `spec` and
# what stands behind them here.
FREE = ("fresh", "lazy", "watch", "machine", "cgroups", "forks", "atomic", "seal", "imagenet")


def layer_of(path: Path) -> str:
    return path.relative_to(ROOT).parts[0].removesuffix(".py")


def imports(path: Path) -> Iterator[str]:
    """Dotted names of every import in a file, wherever it stands."""
    package = ("smidgen", *path.relative_to(ROOT).parts[:-1])
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            start = ".".join(package[: len(package) - node.level + 1]) if node.level else ""
            module = ".".join(filter(None, (start, node.module)))
            yield module
            yield from (f"{module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Call) and "import" in ast.unparse(node.func):
            yield from (
                arg.value for arg in node.args if isinstance(arg, ast.Constant) and isinstance(arg.value, str)
            )


def layers_imported(path: Path) -> set[str]:
    parts = [name.split(".") for name in imports(path)]
    return {name[1] for name in parts if name[0] == "smidgen" and len(name) > 1}


def name(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("path", FILES, ids=name)
def test_file_belongs_to_a_layer_of_the_design(path: Path) -> None:
    assert layer_of(path) in {*LAYERS, *FREE}


def test_every_layer_is_there() -> None:
    assert {layer_of(path) for path in FILES} == {*LAYERS, *FREE}


@pytest.mark.parametrize("path", FILES, ids=name)
def test_file_imports_only_from_its_own_layer_and_those_above(path: Path) -> None:
    own = layer_of(path)
    if own in FREE:
        assert layers_imported(path) <= {"spec", *FREE[FREE.index(own) :]}
        return
    allowed = {*LAYERS[: LAYERS.index(own) + 1], *FREE}
    assert layers_imported(path) & ({*LAYERS, *FREE}) <= allowed


@pytest.mark.parametrize("path", [p for p in FILES if layer_of(p) in {*ABOVE, *FREE}], ids=name)
def test_file_above_the_line_never_imports_torch(path: Path) -> None:
    assert not {module.split(".")[0] for module in imports(path)} & set(TORCH)


def test_spec_and_graph_need_nothing_but_the_standard_library() -> None:
    for path in FILES:
        if layer_of(path) in ("spec", "download", "graph", "draw", "families"):
            roots = {module.split(".")[0] for module in imports(path)}
            assert roots <= STANDARD_LIBRARY | {"smidgen"}, name(path)


def test_package_itself_imports_its_parts_for_type_checkers_only() -> None:
    tree = ast.parse((ROOT / "__init__.py").read_text("utf-8"))
    for statement in tree.body:
        if isinstance(statement, ast.ImportFrom):
            assert not (statement.module or "").startswith("smidgen")


def test_public_names_and_their_homes_are_the_same() -> None:
    assert set(smidgen.__all__) == {*smidgen._HOMES, "__version__"}


def test_unknown_attribute_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'efficientnet'"):
        smidgen.__getattr__("efficientnet")
    with pytest.raises(AttributeError, match=r"module 'smidgen\.train' has no attribute 'nosuch'"):
        train.nosuch  # noqa: B018


@pytest.mark.parametrize("layer", [one for one in LAYERS if (ROOT / one).is_dir()])
def test_a_layer_says_what_is_public_and_has_it(layer: str) -> None:
    package = importlib.import_module(f"smidgen.{layer}")
    assert package.__doc__
    assert package.__all__
    assert all(hasattr(package, public) for public in package.__all__)


# ── what a fresh process really loads ────────────────────────────────────────────────────────────────


def loaded_by(code: str) -> set[str]:
    """Top-level modules that a fresh interpreter has loaded after `code`."""
    script = (
        f"{code}\nimport json, sys\nprint(json.dumps(sorted({{name.split('.')[0] for name in sys.modules}})))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    found: list[str] = json.loads(done.stdout.splitlines()[-1])
    return set(found)


COUNTING = """
import smidgen
from smidgen import graph
for name in smidgen.names("*b0") + smidgen.names("s*"):
    net = smidgen.network(name, num_classes=10)
    net.cost(), graph.layers(net.tree, net.input), graph.from_json(graph.to_json(net))
smidgen.Budget.parse("params=1k")
"""


@pytest.mark.parametrize("code", ["import smidgen", COUNTING], ids=["import", "counting"])
def test_counting_loads_neither_torch_nor_numpy(code: str) -> None:
    assert not loaded_by(code) & {*TORCH, "numpy", "PIL", "rich", "click"}


def modules_above() -> list[str]:
    found = [info.name for info in pkgutil.walk_packages(smidgen.__path__, "smidgen.")]
    # The native library is no module, though its name ends like one.
    return [
        module for module in found if module.split(".")[1] in ABOVE and not module.endswith(".libsmidgen")
    ]


def test_everything_above_the_line_loads_without_torch() -> None:
    code = "\n".join(f"import {module}" for module in modules_above())
    assert not loaded_by(code) & set(TORCH)


def family_files() -> list[str]:
    return [info.name for info in pkgutil.iter_modules(families.__path__) if info.name != "family"]


@pytest.mark.parametrize("file", family_files())
def test_every_family_file_is_a_registration(file: str) -> None:
    module = importlib.import_module(f"smidgen.families.{file}")
    family = module.FAMILY
    assert isinstance(family, Family)
    assert families.families()[family.name] is family
    assert family.variants
    for variant in family.variants:
        assert families.family_of(variant) is family
    row = family.scaled(0.5, 0.5, 32)
    request = families.Request(num_classes=7, c_in=1, resolution=32)
    net = families.realise(family, row, "scaled", request)
    graph.validate(net.tree, net.input)
    assert net.num_classes == 7
    assert (row.resolution, net.family) == (32, family.name)


def test_no_name_belongs_to_two_families() -> None:
    found = [name for family in families.families().values() for name in family.variants]
    assert len(found) == len(set(found))
    assert set(found) == set(families.names())


def test_without_torch_what_needs_it_says_what_to_install() -> None:
    code = "import sys; sys.modules['torch'] = None\nimport smidgen\nsmidgen.create('resnet20')"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == (
        "smidgen.spec.DependencyError: smidgen.create needs torch: pip install 'smidgen[train]'"
    )
