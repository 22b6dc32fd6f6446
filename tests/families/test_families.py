"""What every buildable name has in common: options, dropped strides, errors."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from smidgen import families
from smidgen.graph import Conv, Dropout, Layer, Linear, Network, Pool, layers, leaves, tensors, validate
from smidgen.spec import Shape, ShapeError, SmidgenError, UnknownNameError

NAMES = families.names()


def test_every_published_variant_has_its_name() -> None:
    expected = {f"efficientnet_b{i}" for i in range(9)} | {"efficientnet_l2"}
    expected |= {f"efficientnet_lite{i}" for i in range(5)}
    expected |= {f"efficientnet_v2_{size}" for size in ("b0", "b1", "b2", "b3", "s", "m", "l")}
    for version in ("1_0", "1_1"):
        expected |= {f"squeezenet{version}{suffix}" for suffix in ("", "_bypass", "_complex_bypass")}
    expected |= {"squeezenet_design", "shiftnet_a", "shiftnet_b", "shiftnet_c"}
    for depth in (20, 56, 110):
        expected |= {f"resnet{depth}", *(f"shiftresnet{depth}_e{expand}" for expand in (1, 3, 6, 9))}
    assert expected <= set(NAMES)


def test_names_match_shell_patterns() -> None:
    assert families.names("shiftnet_?") == ("shiftnet_a", "shiftnet_b", "shiftnet_c")
    assert families.names("nothing*") == ()
    assert len(set(NAMES)) == len(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_every_name_takes_the_common_options(name: str) -> None:
    net = families.network(name, num_classes=7, c_in=1, resolution=48, dropout=0.125)
    validate(net.tree, net.input)
    assert (net.num_classes, net.input, net.name) == (7, Shape(1, 48, 48), name)
    found = [leaf.p for _, leaf in leaves(net.tree) if isinstance(leaf, Dropout)]
    assert found == [0.125]
    assert net.preprocess.resize == 48
    assert len(net.preprocess.mean) == 1


@pytest.mark.parametrize("name", NAMES)
def test_dropout_can_be_switched_off(name: str) -> None:
    tree = families.network(name, dropout=0.0).tree
    assert [leaf.p for _, leaf in leaves(tree) if isinstance(leaf, Dropout)] == [0.0]


@pytest.mark.parametrize("name", NAMES)
def test_networks_of_the_same_request_are_equal(name: str) -> None:
    assert families.network(name, num_classes=3) == families.network(name, num_classes=3)


@pytest.mark.parametrize("name", NAMES)
def test_initialisation_changes_nothing_but_the_rule(name: str) -> None:
    default, other = families.network(name), families.network(name, init="torchvision")
    assert default.cost() == other.cost()
    assert list(tensors(default.tree)) == list(tensors(other.tree))


# ── dropped strides ──────────────────────────────────────────────────────────────────────────────────

ARCHITECTURES = dict.fromkeys((
    *(next(iter(family.variants)) for family in families.families().values()),
    "efficientnet_b0", "efficientnet_lite0", "efficientnet_v2_s", "squeezenet1_0", "squeezenet1_1",
    "squeezenet1_0_bypass", "shiftnet_a", "shiftnet_c", "shiftresnet20_e3",
    "resnet20", "resnet20_depthwise_e3",
))  # fmt: skip


def rows(net: Network) -> list[Layer]:
    return layers(net.tree, net.input)


def last_map(net: Network) -> Shape:
    """Map that the last global pool sees; gates come earlier."""
    return [row for row in rows(net) if type(row.node).__name__ == "GlobalPool"][-1].in_shape


def strided(net: Network) -> list[str]:
    return [row.path for row in rows(net) if isinstance(row.node, Conv | Pool) and row.node.stride > 1]


@pytest.mark.parametrize("name", NAMES)
def test_nothing_is_dropped_at_a_variants_own_resolution(name: str) -> None:
    assert families.network(name).dropped_strides == 0


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_small_pictures_keep_a_last_map_of_four_and_drop_no_stride_more(name: str) -> None:
    for resolution in range(8, 65):
        net = families.network(name, resolution=resolution)
        end = last_map(net)
        assert min(end.height, end.width) >= 4
        assert end.height <= resolution
        if net.dropped_strides == 0:
            continue
        try:
            fewer = families.network(name, resolution=resolution, dropped_strides=net.dropped_strides - 1)
            end = last_map(fewer)
        except SmidgenError:
            continue  # the picture vanished
        assert min(end.height, end.width) < 4


@pytest.mark.parametrize("name", NAMES)
def test_first_strides_go_first_and_names_stay(name: str) -> None:
    whole = families.network(name, resolution=64, dropped_strides=0)
    before = whole
    for dropped in range(1, 4):
        try:
            net = families.network(name, resolution=64, dropped_strides=dropped)
        except SmidgenError:
            break
        remaining = strided(net)
        assert remaining == strided(whole)[len(strided(whole)) - len(remaining) :]
        assert len(remaining) < len(strided(before)) or strided(before) == []
        assert [t.name for t in tensors(net.tree)] == [t.name for t in tensors(whole.tree)]
        assert net.cost().params == whole.cost().params
        before = net


@pytest.mark.parametrize("name", NAMES)
def test_one_dropped_stride_halves_the_step_of_the_last_map(name: str) -> None:
    steps = [
        rows(families.network(name, resolution=64, dropped_strides=dropped))[-1].stride
        for dropped in (0, 1, 2)
    ]
    assert steps[0] == 2 * steps[1] == 4 * steps[2]


@pytest.mark.parametrize("name", NAMES)
def test_every_number_of_dropped_strides_has_a_tree_of_its_own(name: str) -> None:
    most = 2 if "resnet" in name else 4 if name.startswith("squeezenet") else 5
    trees = [families.network(name, dropped_strides=dropped).tree for dropped in range(most + 1)]
    assert len(set(trees)) == most + 1
    assert not strided(families.network(name, dropped_strides=most))
    for dropped in (most + 1, families.MOST_STRIDES):
        with pytest.raises(ShapeError) as caught:
            families.network(name, dropped_strides=dropped)
        assert str(caught.value) == f"{name} has {most} strides; dropped_strides={dropped} is more"


def test_tiny_pictures_stay_whole() -> None:
    for resolution in (1, 2, 3):
        net = families.network("efficientnet_b0", resolution=resolution)
        assert last_map(net)[1:3] == (resolution, resolution)


def test_number_of_dropped_strides_is_kept_in_the_network() -> None:
    net = families.network("efficientnet_b0", resolution=32)
    assert net.dropped_strides == 2  # 32 -> 4 leaves three of five strides
    assert families.network("efficientnet_b0", resolution=32, dropped_strides=1).dropped_strides == 1


def test_more_pixels_never_drop_more_strides() -> None:
    for name in ARCHITECTURES:
        found = [families.network(name, resolution=side).dropped_strides for side in range(8, 97, 4)]
        assert found == sorted(found, reverse=True), name


# ── errors ───────────────────────────────────────────────────────────────────────────────────────────


def test_unknown_name_is_answered_with_the_nearest() -> None:
    with pytest.raises(UnknownNameError) as caught:
        families.network("efficientnt_b0")
    assert (
        str(caught.value) == "no 'efficientnt_b0'; did you mean efficientnet_b0? `smidgen models` lists all"
    )


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"num_classes": 0}, "num_classes=0"),
        ({"num_classes": 2.5}, "integer"),
        ({"num_classes": "10"}, "num_classes='10' is not an integer"),
        ({"dropped_strides": "2"}, "dropped_strides='2' is not an integer"),
        ({"dropped_strides": 6}, "efficientnet_b0 has 5 strides; dropped_strides=6 is more"),
        ({"dropout": "0.5"}, "dropout='0.5'"),
        ({"padding": 1}, "padding=1: text is needed"),
        ({"c_in": 0}, "c_in=0"),
        ({"resolution": 0}, "resolution=0"),
        ({"resolution": -224}, "resolution=-224"),
        ({"resolution": 224.0}, "integer"),
        ({"resolution": 1 << 20}, "resolution="),
        ({"dropout": 1.0}, "dropout=1.0"),
        ({"dropout": -0.1}, "dropout"),
        ({"dropout": float("nan")}, "dropout"),
        ({"dropped_strides": -1}, "dropped_strides=-1"),
        ({"dropped_strides": 99}, "dropped_strides=99"),
        ({"init": "best"}, "paper and torchvision"),
        ({"num_clases": 3}, "did you mean num_classes?"),
        ({"layout": "contiguous"}, "efficientnet has no option 'layout'"),
        ({"padding": "valid"}, "same and symmetric"),
    ],
)
def test_options_that_cannot_be_met_are_one_line(options: dict[str, object], says: str) -> None:
    with pytest.raises(SmidgenError) as caught:
        families.network("efficientnet_b0", **options)  # type: ignore[arg-type]
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


def test_pictures_too_small_for_their_strides_are_refused() -> None:
    with pytest.raises(SmidgenError, match="leaves nothing"):
        families.network("squeezenet1_0", resolution=8, dropped_strides=0).cost()


@pytest.mark.parametrize("name", NAMES)
def test_last_layer_has_the_number_of_classes_of_its_data_set(name: str) -> None:
    net = families.network(name)
    assert (net.num_classes, net.input == Shape(3, 32, 32)) in ((10, True), (1000, False))
    assert net.input.height in (32, *range(160, 801))
    last = [leaf for _, leaf in leaves(net.tree) if isinstance(leaf, Conv | Linear)][-1]
    assert last.c_out == net.num_classes


# ── options of single families ───────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("name", "options", "says"),
    [
        ("squeezenet_design", {"frequency": "x"}, "frequency='x': an integer is needed"),
        ("squeezenet_design", {"frequency": True}, "frequency=True: an integer is needed"),
        ("squeezenet_design", {"squeeze_ratio": None}, "squeeze_ratio=None: a number is needed"),
        ("squeezenet_design", {"pools": 3}, "pools=3: a list as 0,3,7 is needed"),
        ("squeezenet_design", {"pools": (0.5,)}, "pools=(0.5,): a list as 0,3,7 is needed"),
        ("shiftnet_b", {"dilation": "2"}, "dilation='2': an integer is needed"),
        ("shiftnet_b", {"dilation": 1.5}, "dilation=1.5: an integer is needed"),
        ("shiftnet_b", {"order": 3}, "order=3: text is needed"),
        ("squeezenet1_1", {"base": 64}, "base: only squeezenet_design takes it"),
        ("squeezenet1_1", {"base": 64, "pools": ()}, "base, pools: only squeezenet_design takes them"),
    ],
)
def test_values_of_another_type_are_one_line_and_no_traceback(
    name: str, options: dict[str, Any], says: str
) -> None:
    with pytest.raises(SmidgenError) as caught:
        families.network(name, **options)
    assert str(caught.value) == says


def test_python_and_the_command_line_read_the_same_values() -> None:
    for name, told, value in (("pools", "0,3", [0, 3]), ("pools", "", ()), ("base", "64", 64)):
        option = next(one for one in families.family_of("squeezenet_design").options if one.name == name)
        assert option.read(told) == option.checked(value)
        assert option.checked(option.read(told)) == option.read(told)


# ── files of families ────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("FAMILY = 3", "no family, for it has no FAMILY of class Family"),
        ("", "no family, for it has no FAMILY of class Family"),
        ("import nothing_of_that_name", "cannot be imported (ModuleNotFoundError: No module named"),
        ("FAMILY = ", "cannot be imported (SyntaxError: invalid syntax"),
        ("from smidgen.families.resnet import FAMILY", "resnet.py defines the family resnet already"),
    ],
)
def test_a_broken_family_file_names_itself(
    text: str, says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "zoo.py").write_text(text)
    with monkeypatch.context() as patch:
        patch.setattr(families, "__path__", [*families.__path__, str(tmp_path)])
        families.families.cache_clear()
        with pytest.raises(SmidgenError) as caught:
            families.families()
    families.families.cache_clear()
    sys.modules.pop("smidgen.families.zoo", None)
    vars(families).pop("zoo", None)
    assert str(caught.value).startswith(f"{tmp_path / 'zoo.py'}: ")
    assert says in str(caught.value)
