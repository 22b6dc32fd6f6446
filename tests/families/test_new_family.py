"""A family is one file: MobileNet V1 is put into a folder of its own, and everything finds it there."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import smidgen
from command_line import smidgen as command
from smidgen import families, graph, modelfile, models
from smidgen.families import Request
from smidgen.modelfile import ModelFile
from smidgen.program.drawn import draw_weights
from smidgen.spec import Budget, Shape, SmidgenError
from staircase import Setting, largest, staircase

FILE = Path(__file__).with_name("mobilenet_v1.py")
NAME = "mobilenet_v1"

# Howard et al. 2017, Tables 5, 6 and 7: millions of multiply-adds and of parameters.
#    name              options          MACs params
PUBLISHED: tuple[tuple[str, dict[str, Any], int, float], ...] = (
    ("mobilenet_v1", {}, 569, 4.2),
    ("mobilenet_v1_075", {}, 325, 2.6),
    ("mobilenet_v1_050", {}, 149, 1.3),
    ("mobilenet_v1_025", {}, 41, 0.5),
    ("mobilenet_v1_192", {}, 418, 4.2),
    ("mobilenet_v1", {"removed": 5}, 307, 2.9),
)


def forget() -> None:
    families.families.cache_clear()
    families._variants.cache_clear()
    sys.modules.pop(f"smidgen.families.{FILE.stem}", None)


@pytest.fixture(scope="module", autouse=True)
def family(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    folder = tmp_path_factory.mktemp("families")
    shutil.copy(FILE, folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(families, "__path__", [*families.__path__, str(folder)])
        forget()
        yield
    forget()


def done(*arguments: object) -> str:
    outcome = command(*arguments)
    assert (outcome.code, outcome.err) == (0, "")
    return outcome.out


def test_it_stands_among_the_others_until_its_file_is_gone() -> None:
    assert "mobilenet" in families.families()
    assert NAME in smidgen.names()
    assert families.family_of(NAME) is families.families()["mobilenet"]


@pytest.mark.parametrize(("name", "options", "macs", "params"), PUBLISHED)
def test_its_costs_are_those_of_the_paper(
    name: str, options: dict[str, Any], macs: int, params: float
) -> None:
    network = smidgen.network(name, **options)
    assert round(network.cost().macs / 1e6) == macs
    assert round(network.cost().params / 1e6, 1) == params
    assert graph.from_json(graph.to_json(network)) == network


def test_its_parameters_are_those_of_keras() -> None:
    # keras.applications.MobileNet counts 4,253,864, of which 21,888 are the BatchNorms' running statistics.
    assert smidgen.network(NAME).cost().params == 4_253_864 - 21_888


def test_it_scales_and_is_solved_for_every_budget() -> None:
    assert smidgen.scale("mobilenet", 0).tree == smidgen.network(NAME).tree
    assert smidgen.scale("mobilenet", -1e9, num_classes=2).num_classes == 2
    assert smidgen.scale("mobilenet", 1).cost().macs > 1.6 * smidgen.network(NAME).cost().macs
    setting = Setting("mobilenet", 224)
    treads = staircase(setting, 0)
    for tread in treads[len(treads) // 2 : -1 : len(treads) // 8]:
        used = tread.costs
        budget = Budget(params=used["params"], macs=2 * used["macs"], peak_bytes=used["peak_bytes"])
        expected = largest(treads, budget)
        assert expected is not None
        solution = smidgen.solve(setting.family, budget, **setting.arguments())  # type: ignore[arg-type]
        assert solution.network.tree == expected.network.tree


def test_small_pictures_drop_its_first_strides() -> None:
    net = smidgen.network(NAME, resolution=16, num_classes=10)
    assert net.dropped_strides == 3
    assert graph.trunk_end(net.tree, net.input)[1:3] == (4, 4)


def test_commands_show_count_draw_and_scale_it(tmp_path: Path) -> None:
    assert "mobilenet_v1     4,231,976 568.7 M" in done("models", "mobilenet*")
    shown = json.loads(done("show", NAME, "--json"))
    assert (shown["family"], shown["params"]) == ("mobilenet", 4_231_976)
    assert len(done("show", NAME).splitlines()) < 40
    assert done("count", NAME).splitlines()[-1] == "4231976"
    done("draw", NAME, "mobilenet_v1_025", "-o", tmp_path / "two.svg")
    assert "mobilenet_v1_025" in (tmp_path / "two.svg").read_text()
    solved = json.loads(done("scale", "mobilenet", "--budget", "params=200k", "--classes", 10, "--json"))
    assert 150_000 < solved["params"] <= 200_000


def test_its_option_is_one_of_the_command_line() -> None:
    shallow = json.loads(done("show", NAME, "--removed", 5, "--json"))
    assert shallow["params"] == smidgen.network(NAME, removed=5).cost().params
    for verb in ("show", "count", "draw", "scale"):
        assert "Of mobilenet: blocks of 512 channels" in " ".join(done(verb, "--help").split())
    refused = command("show", "resnet20", "--removed", 5)
    assert (refused.code, refused.out) == (2, "")
    assert refused.err == "--removed: resnet has no such option; it has no options of its own\n"
    with pytest.raises(SmidgenError, match="0 to 5 blocks"):
        smidgen.network(NAME, removed=6)


def test_the_engine_answers_as_torch_does(tmp_path: Path) -> None:
    torch.manual_seed(0)
    network = smidgen.network(NAME, num_classes=5, resolution=32)
    module = smidgen.create(network).eval()
    x = np.random.default_rng(0).standard_normal((2, 3, 32, 32), np.float32)
    expected = module(torch.from_numpy(x)).detach().numpy()
    smidgen.save(tmp_path / "m.safetensors", network, module)
    answers = smidgen.Engine(tmp_path / "m.safetensors")(x)
    np.testing.assert_allclose(answers, expected, rtol=0, atol=1e-4 * np.abs(expected).max())


def test_torch_has_it_as_a_function_of_its_name() -> None:
    module = models.__getattr__("mobilenet_v1_025")(num_classes=3)
    assert module.network == smidgen.network("mobilenet_v1_025", num_classes=3)
    assert "mobilenet_v1_025" in dir(models)


def test_a_file_of_it_opens_where_the_family_is_unknown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    network = smidgen.network("mobilenet_v1_025", num_classes=2, resolution=32)
    modelfile.write(tmp_path / "m.safetensors", ModelFile(network, draw_weights(network)))
    shutil.copytree(families.__path__[0], tmp_path / "without", ignore=shutil.ignore_patterns(FILE.name))
    monkeypatch.setattr(families, "__path__", [str(tmp_path / "without")])
    forget()
    try:
        assert NAME not in smidgen.names()
        assert modelfile.read(tmp_path / "m.safetensors").network == network
        assert smidgen.Engine(tmp_path / "m.safetensors").network == network
    finally:
        monkeypatch.undo()
        forget()


def test_its_baseline_takes_what_every_family_must() -> None:
    family = families.families()["mobilenet"]
    net = families.realise(family, family.scaled(0.5, 0.5, 32), "x", Request(7, 1, 32))
    assert (net.num_classes, net.input) == (7, Shape(1, 32, 32))
