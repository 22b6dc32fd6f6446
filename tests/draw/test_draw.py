"""Every figure: parses, says what is true, keeps its texts apart, and is the same twice."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple
from xml.etree import ElementTree

import matplotlib
import pytest

from smidgen import families
from smidgen.draw import (
    Line,
    Panel,
    Point,
    architecture,
    block,
    compare,
    locate,
    panels,
    scaling,
    scatter,
    shift_operation,
)
from smidgen.draw.cut import blocks
from smidgen.families.efficientnet import mbconv
from smidgen.families.shiftnet import csc, sc2, shift_runs
from smidgen.families.squeezenet import fire
from smidgen.graph import (
    Activation,
    BatchNorm,
    Chain,
    Concat,
    Conv,
    Dropout,
    Flatten,
    Gate,
    GlobalPool,
    Linear,
    Network,
    Node,
    Preprocess,
    Shift,
    Sum,
)
from smidgen.spec import Shape, ShapeError, SmidgenError, UnknownNameError

SVG = "{http://www.w3.org/2000/svg}"
BYPASSES = ("squeezenet1_0", "squeezenet1_0_bypass", "squeezenet1_0_complex_bypass")

# Tan & Le 2020, arXiv:1905.11946v5, Figure 1 and Table 2.
PUBLISHED = [
    Point(f"B{index}", params * 1e6, top1, "EfficientNet")
    for index, (params, top1) in enumerate(
        [(5.3, 77.1), (7.8, 79.1), (9.2, 80.1), (12, 81.6), (19, 82.9), (30, 83.6), (43, 84.0), (66, 84.3)]
    )
]


class Text(NamedTuple):
    """A text and the rectangle that it covers."""

    text: str
    left: float
    top: float
    right: float
    bottom: float


def _helvetica(file: str) -> dict[str, float]:
    """Advance widths by Adobe's own metrics, as matplotlib ships them."""
    widths = {}
    for line in (Path(matplotlib.get_data_path()) / "fonts/afm" / file).read_text().splitlines():
        fields = line.split()
        if fields[:1] == ["C"] and 32 <= int(fields[1]) < 127:
            widths[chr(int(fields[1]))] = float(fields[4]) / 1000
    return widths


REGULAR, BOLD = _helvetica("phvr8a.afm"), _helvetica("phvb8a.afm")


def _measure(element: ElementTree.Element) -> Text:
    text, size = element.text or "", float(element.get("font-size", "0"))
    widths = BOLD if element.get("font-weight") == "bold" else REGULAR
    wide = sum(widths.get(character, 0.6) for character in text) * size
    x, baseline = float(element.get("x", "0")), float(element.get("y", "0"))
    start = {"start": 0.0, "middle": wide / 2, "end": wide}[element.get("text-anchor", "start")]
    if element.get("transform"):  # turned to read upwards
        return Text(text, x - 0.72 * size, baseline - wide + start, x + 0.2 * size, baseline + start)
    return Text(text, x - start, baseline - 0.72 * size, x - start + wide, baseline + 0.2 * size)


def _texts(svg: str) -> list[Text]:
    return [_measure(element) for element in ElementTree.fromstring(svg).iter(f"{SVG}text")]


def _words(svg: str) -> list[str]:
    return [text.text for text in _texts(svg)]


def _assert_legible(svg: str) -> None:
    """Texts lie inside the picture and inside their boxes, and none covers another."""
    root = ElementTree.fromstring(svg)
    _, _, width, height = map(float, root.get("viewBox", "").split())
    texts = _texts(svg)
    for text in texts:
        assert text.left >= 0, text
        assert text.top >= 0, text
        assert text.right <= width, text
        assert text.bottom <= height, text
    for one, other in itertools.combinations(texts, 2):
        apart = (
            one.right <= other.left + 0.5
            or other.right <= one.left + 0.5
            or one.bottom <= other.top + 0.5
            or other.bottom <= one.top + 0.5
        )
        assert apart, (one, other)
    for group in root.iter(f"{SVG}g"):
        _assert_inside(group)


def _assert_inside(group: ElementTree.Element) -> None:
    texts = [_measure(element) for element in group.findall(f"{SVG}text")]
    if texts:
        box = group.findall(f"{SVG}rect")[-1]
        left, top, width, height = (float(box.get(name, "0")) for name in ("x", "y", "width", "height"))
        for text in texts:
            assert left <= text.left, text
            assert text.right <= left + width, text
            assert top <= text.top, text
            assert text.bottom <= top + height, text


def _paints(svg: str, paint: str) -> list[ElementTree.Element]:
    return [
        element for element in ElementTree.fromstring(svg).iter() if element.get("class") == f"sm-{paint}"
    ]


def _odd_trees() -> Iterator[tuple[Node, Shape]]:
    """Trees that no family has."""
    conv = Conv(8, 8, 3, padding=((1, 1), (1, 1)))
    picture = Shape(8, 9, 7)
    yield Chain(), picture
    yield conv, picture
    yield Activation("relu"), picture
    yield Gate((("g", Conv(8, 8)),)), picture
    yield Concat((("a", conv), ("b", Conv(8, 3)), ("c", Shift(((8, 0, 1),))))), picture
    yield Sum((("a", conv), ("b", Conv(8, 8)), ("", Chain()))), picture
    nested = Sum((("", Chain()), ("a", Chain((("b", Gate((("c", conv),))), ("d", Concat((("e", conv),))))))))
    yield Chain((("n", nested), ("p", GlobalPool()), ("f", Flatten()), ("x", Dropout(0.1)))), picture
    yield Chain((("d", Dropout(0.3)), ("l", Linear(4, 2)), ("a", Activation("sigmoid")))), Shape(4, flat=True)
    yield Chain((("n", BatchNorm(8)), ("a", Activation("silu")), ("i", Chain()))), picture
    yield Chain(tuple((f"c{index}", Conv(8, 8, dilation=1, groups=2)) for index in range(5))), picture


# ── all of them ──────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("name", families.names())
def test_every_name_draws_legibly_with_its_exact_cost(name: str) -> None:
    network = families.network(name)
    svg, cost = architecture(network), network.cost()
    _assert_legible(svg)
    assert f"{cost.params:,} parameters · {cost.macs:,} MACs" in svg
    assert name in _words(svg)


@pytest.mark.parametrize("name", families.names())
def test_the_same_network_gives_the_same_bytes(name: str) -> None:
    assert architecture(families.network(name)) == architecture(families.network(name))


def test_bytes_do_not_depend_on_the_hash_seed() -> None:
    code = (
        "from smidgen import families; from smidgen.draw import *; import hashlib;"
        "n = families.network('squeezenet1_0_complex_bypass');"
        "s = architecture(n) + compare([n]) + scaling([n]) + shift_operation();"
        "print(hashlib.sha256(s.encode()).hexdigest())"
    )
    path = os.pathsep.join(sys.path)
    outputs = {
        subprocess.check_output(
            [sys.executable, "-c", code], env={"PYTHONPATH": path, "PYTHONHASHSEED": seed}
        )
        for seed in ("1", "2")
    }
    assert len(outputs) == 1


def test_drawing_imports_the_standard_library_only() -> None:
    code = (
        "import sys; import smidgen.draw;"
        "print(sorted({'torch', 'numpy', 'PIL', 'matplotlib'} & set(sys.modules)))"
    )
    path = os.pathsep.join(sys.path)
    output = subprocess.check_output([sys.executable, "-c", code], env={"PYTHONPATH": path}, text=True)
    assert output.strip() == "[]"


@pytest.mark.parametrize(("tree", "shape"), list(_odd_trees()))
def test_trees_that_no_family_has_draw_legibly(tree: Node, shape: Shape) -> None:
    network = Network("odd", "none", tree, shape, Preprocess(9))
    _assert_legible(architecture(network))
    _assert_legible(compare([network, network]))
    _assert_legible(block(tree, shape, "odd"))


def test_names_are_escaped_and_shortened_to_fit() -> None:
    tree = Chain((("a", Conv(3, 4)),))
    evil = '</text><script>"&\x00\ud800\n' + "W" * 300
    network = Network(evil, evil, tree, Shape(3, 8, 8), Preprocess(8))
    for svg in (architecture(network), compare([network]), block(tree, Shape(3, 8, 8), evil)):
        svg.encode()
        root = ElementTree.fromstring(svg)
        assert root.find(f".//{SVG}script") is None
        _assert_legible(svg)


def test_every_figure_has_a_title_and_both_themes() -> None:
    network = families.network("resnet20")
    figures = {
        "Architecture of resnet20": architecture(network),
        "Architectures of resnet20": compare([network]),
        "A block": block(fire(8, 2, 4, 4), Shape(8, 5, 5), "A block"),
        "Scaling: resnet20": scaling([network]),
        "Accuracy": scatter(PUBLISHED, "Accuracy"),
    }
    for title, svg in figures.items():
        assert ElementTree.fromstring(svg)[0].text == title
        assert "prefers-color-scheme:dark" in svg
        assert "--sm-ink:" in svg


# ── architecture ─────────────────────────────────────────────────────────────────────────────────


def test_b0_has_the_stages_of_the_papers_table() -> None:
    words = _words(architecture(families.network("efficientnet_b0")))
    # Tan & Le 2019, Table 1: operator, channels, layers.
    for title, repeats in (
        ("3x3 conv /2, 32", 1),
        ("MBConv1 3x3, 16", 1),
        ("MBConv6 3x3, 24", 2),
        ("MBConv6 5x5, 40", 2),
        ("MBConv6 3x3, 80", 3),
        ("MBConv6 5x5, 112", 3),
        ("MBConv6 5x5, 192", 4),
        ("MBConv6 3x3, 320", 1),
        ("1x1 conv, 1280", 1),
    ):
        assert title in words
        after = words[words.index(title) + 1]
        assert after == f"×{repeats}" if repeats > 1 else not after.startswith("×")


@pytest.mark.parametrize(
    ("name", "rule_count"),
    # Halvings of the map, and one step to the vector: five strides in EfficientNet and ShiftNet, two in
    # ResNet, and in SqueezeNet one convolution and three pools.
    [
        ("efficientnet_b0", 6),
        ("efficientnet_l2", 6),
        ("shiftnet_a", 6),
        ("resnet20", 3),
        ("squeezenet1_1", 5),
    ],
)
def test_a_rule_crosses_wherever_the_map_shrinks(name: str, rule_count: int) -> None:
    assert len(_paints(architecture(families.network(name)), "rule")) == rule_count


def test_l2_folds_into_as_many_boxes_as_b0() -> None:
    small, giant = (architecture(families.network(f"efficientnet_{name}")) for name in ("b0", "l2"))
    boxes = [sum(word.startswith("MBConv") for word in _words(svg)) for svg in (small, giant)]
    assert boxes == [7, 7]
    assert {"×6", "×11", "×16", "×22"} <= set(_words(giant))


def test_bars_are_in_proportion_to_the_parameters() -> None:
    svg = architecture(families.network("squeezenet1_0"))
    widths = [float(bar.get("width", "0")) for bar in _paints(svg, "bar-params")]
    # Parameters of conv1, fire2 to fire9 and conv10 by the table of forresti/SqueezeNet.
    params = [14_208, 11_920, 12_432, 45_344, 49_440, 104_880, 111_024, 188_992, 197_184, 513_000]
    assert len(widths) == len(params)
    for width, count in zip(widths, params, strict=True):
        assert width == pytest.approx(max(count / 513_000 * max(widths), 1.5), abs=0.1)


def test_dropped_strides_are_noted_and_only_then() -> None:
    small = families.network("squeezenet1_1", resolution=16, c_in=1, num_classes=10)
    assert small.dropped_strides == 2
    words = _words(architecture(small))
    assert any(word.startswith("2 strides dropped") for word in words)
    assert words.count("stride dropped") == 1  # the first pool; the stem's convolution stays a box
    assert "dropped" not in architecture(families.network("squeezenet1_1"))


# ── compare ──────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("name", "identity", "projections"), list(zip(BYPASSES, (0, 4, 4), (0, 0, 4), strict=True))
)
def test_bypasses_are_arcs(name: str, identity: int, projections: int) -> None:
    # Iandola et al. 2016, Figure 2: simple bypass around fire3, 5, 7, 9; complex also around 2, 4, 6, 8.
    words = _words(compare([families.network(name)]))
    assert words.count("skip") == identity
    assert words.count("1x1") == projections
    assert sum(word.startswith("Fire") for word in words) == 8


def test_networks_of_one_plan_stand_aligned() -> None:
    svg = compare([families.network(name) for name in BYPASSES])
    _assert_legible(svg)
    tops = [element.get("y") for element in _paints(svg, "pool")]
    assert len(tops) == 12
    assert tops[:4] == tops[4:8] == tops[8:]


def test_networks_of_different_plans_stand_side_by_side() -> None:
    names = ("resnet20", "shiftresnet110_e3", "efficientnet_v2_s")
    svg = compare([families.network(name) for name in names])
    _assert_legible(svg)
    assert set(names) <= set(_words(svg))


def test_comparing_nothing_is_refused() -> None:
    with pytest.raises(SmidgenError, match="at least one"):
        compare([])


# ── block ────────────────────────────────────────────────────────────────────────────────────────


def test_fire_is_a_squeeze_and_two_expands_that_concatenate() -> None:
    svg = block(fire(96, 16, 64, 64), Shape(96, 55, 55), "Fire")
    _assert_legible(svg)
    words = _words(svg)
    assert [word for word in words if "conv" in word] == ["1x1 conv, 16", "1x1 conv, 64", "3x3 conv, 64"]
    assert words.count("concat") == 1
    assert words.count("64x55x55") == 2
    assert words[-1] == "128x55x55"
    assert "11,920 parameters · 35,622,400 MACs" in words  # by hand: 96·16+16 + 16·64+64 + 9·16·64+64
    assert not _paints(svg, "sign")


def test_a_residual_mbconv_merges_in_a_product_and_a_sum() -> None:
    svg = block(mbconv(40, 40, 5), Shape(40, 28, 28), "MBConv")
    _assert_legible(svg)
    strokes = [element.get("d", "") for element in _paints(svg, "sign")]
    upright = sum(_is_upright(stroke) for stroke in strokes)
    assert (upright, len(strokes) - upright) == (2, 2)  # the two strokes of + and of ×
    words = _words(svg)
    assert {"1x1 conv, 240", "5x5 depthwise, 240", "1x1 conv, 10", "1x1 conv, 40", "240x1x1"} <= set(words)


def _is_upright(stroke: str) -> bool:
    (x0, y0), (x1, y1) = (map(float, point.split()) for point in stroke[1:].split("L"))
    return x0 == x1 or y0 == y1


def test_an_mbconv_that_strides_has_no_sum() -> None:
    svg = block(mbconv(40, 80, 3, 2), Shape(40, 28, 28), "MBConv")
    assert not any(_is_upright(element.get("d", "")) for element in _paints(svg, "sign"))


def test_csc_shifts_between_two_pointwise_convolutions() -> None:
    words = _words(block(csc(64, 64, 3, expand=4), Shape(64, 56, 56), "CSC"))
    order = [words.index(word) for word in ("BN · ReLU", "1x1 conv, 256", "Shift 3x3", "1x1 conv, 64")]
    assert order == sorted(order)
    assert "9 directions, 0 parameters" in words


@pytest.mark.parametrize(
    "node", [csc(64, 128, 5, 2, expand=4, pool=True), sc2(64, 64), csc(64, 64, dilation=2)], ids=str
)
def test_the_other_shift_modules_draw_legibly(node: Node) -> None:
    _assert_legible(block(node, Shape(64, 56, 56), "module"))


@pytest.mark.parametrize(
    "name", ["efficientnet_b0", "squeezenet1_0_complex_bypass", "shiftnet_a", "resnet20"]
)
def test_every_block_is_found_by_its_path_and_drawn(name: str) -> None:
    network = families.network(name)
    for found in blocks(network.tree, network.input):
        node, shape = locate(network, found.path)
        assert shape == found.x
        _assert_legible(block(node, shape, found.title()))


def test_a_leaf_inside_hoisted_children_is_found() -> None:
    network = families.network("squeezenet1_0_bypass")
    node, shape = locate(network, "features.4.expand3x3")
    assert isinstance(node, Conv)
    assert (node.kernel, shape) == (3, Shape(16, 54, 54))
    assert locate(network, "") == (network.tree, network.input)


def test_an_unknown_path_is_refused_with_those_that_exist() -> None:
    with pytest.raises(UnknownNameError, match=r"did you mean features\.3\.0.*features\.2\.1"):
        locate(families.network("efficientnet_b0"), "feature.3.0")


def test_a_block_on_the_wrong_shape_is_refused() -> None:
    with pytest.raises(ShapeError):
        block(fire(96, 16, 64, 64), Shape(95, 55, 55), "Fire")


# ── shift operation ──────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(("kernel", "dilation"), [(1, 1), (3, 1), (5, 1), (7, 1), (3, 2)])
def test_the_shift_operation_draws_legibly(kernel: int, dilation: int) -> None:
    _assert_legible(shift_operation(Shift(shift_runs(kernel * kernel * 2 + 1, kernel, dilation))))


def test_groups_are_those_of_the_node() -> None:
    words = _words(shift_operation(Shift(shift_runs(64))))
    assert words.count("(0, 0) · 8 channels") == 1  # the centre has the 64 - 9·7 that are left over
    assert sum(word.endswith("· 7 channels") for word in words) == 8
    interleaved = Shift(shift_runs(64, layout="interleaved"))
    assert sorted(_words(shift_operation(interleaved))) == sorted(words)


def test_as_many_zeros_come_in_as_pixels_fall_out() -> None:
    # 5x5 map: 5 pixels at each of four edges, 9 at each of four corners.
    svg = shift_operation()
    lost = [element for way in range(9) for element in _paints(svg, f"lost-{way}")]
    assert _words(svg).count("0") == len(lost) == 4 * 5 + 4 * 9


def test_reading_the_pixel_above_moves_the_picture_down() -> None:
    svg = shift_operation(Shift(((4, -1, 0),)))
    zeros = [text for text in _texts(svg) if text.text == "0"]
    lost = [element for way in range(9) for element in _paints(svg, f"lost-{way}")]
    assert len(zeros) == len(lost) == 5
    (frame,) = _paints(svg, "frame")
    picture = next(way for number in range(9) for way in reversed(_paints(svg, f"way-{number}")))
    top, bottom = (
        float(picture.get("y", "0")),
        float(picture.get("y", "0")) + float(picture.get("height", "0")),
    )
    assert max(zero.bottom for zero in zeros) <= top
    assert bottom == float(frame.get("y", "0")) + float(frame.get("height", "0"))
    assert {float(element.get("y", "0")) for element in lost} == {bottom}


@pytest.mark.parametrize("kernel", [0, 2, 9])
def test_windows_that_cannot_be_drawn_are_refused(kernel: int) -> None:
    with pytest.raises(SmidgenError):
        shift_operation(kernel=kernel)


# ── scaling and scatter ──────────────────────────────────────────────────────────────────────────


def test_scaling_counts_plates_and_factors_of_real_trees() -> None:
    svg = scaling([families.network(name) for name in ("efficientnet_b0", "efficientnet_b7")], ["B0", "B7"])
    _assert_legible(svg)
    words = _words(svg)
    # Tan & Le's repeats: 16 blocks at depth 1, 55 at depth 3.1; widths 320 and 640; 224 and 600 pixels.
    assert {
        "16 blocks",
        "55 blocks",
        "320 channels",
        "640 channels",
        "600x600",
        "×2",
        "×3.44",
        "×2.68",
    } <= set(words)
    assert len(_paints(svg, "block")) == 16 + 55


def test_a_wider_network_is_drawn_wider_and_a_deeper_one_higher() -> None:
    def reach(name: str) -> tuple[float, int]:
        pair = [families.network("resnet20"), families.network(name)]
        plates = _paints(scaling(pair), "shift")
        return max((float(plate.get("width", "0")) for plate in plates), default=0.0), len(plates)

    (narrow, few), (same, many) = reach("shiftresnet20_e3"), reach("shiftresnet56_e3")
    assert narrow == same
    assert (few, many) == (9, 27)


def test_scaling_without_a_title_for_each_is_refused() -> None:
    with pytest.raises(SmidgenError, match="title"):
        scaling([families.network("resnet20")], ["a", "b"])
    with pytest.raises(SmidgenError):
        scaling([])


def test_scatter_places_points_by_logarithm_and_accuracy() -> None:
    svg = scatter(PUBLISHED)
    _assert_legible(svg)
    assert {f"B{index}" for index in range(8)} <= set(_words(svg))
    dots = [(float(dot.get("cx", "0")), float(dot.get("cy", "0"))) for dot in _paints(svg, "dot-0")]
    assert len(dots) == 8
    assert dots == sorted(dots, key=lambda dot: (dot[0], -dot[1]))
    doubling = [Point("a", 1e6, 50), Point("b", 2e6, 60), Point("c", 4e6, 70)]
    places = [float(dot.get("cx", "0")) for dot in _paints(scatter(doubling), "dot-0")]
    assert places[1] - places[0] == pytest.approx(places[2] - places[1], abs=0.2)


def test_scatter_joins_each_series_and_names_them() -> None:
    rivals = [Point("S", 21.5e6, 84.2, "V2"), Point("M", 54.1e6, 85.1, "V2"), Point("L", 118.5e6, 85.8, "V2")]
    svg = scatter([*PUBLISHED, *rivals])
    _assert_legible(svg)
    assert {"EfficientNet", "V2"} <= set(_words(svg))
    assert len(_paints(svg, "dot-0")) == 8 + 1  # one in the key
    assert len(_paints(svg, "dot-1")) == 3 + 1


@pytest.mark.parametrize(
    "points", [[], [Point("a", 0, 50)], [Point("a", 1e6, 101)], [Point("a", 1e6, float("nan"))]]
)
def test_points_out_of_range_are_refused(points: list[Point]) -> None:
    with pytest.raises(SmidgenError):
        scatter(points)


def _chart(*lines: Line) -> Panel:
    return Panel("title", "subtitle", "across", "up", ((0.0, "zero"), (4.0, "four")), lines)


def test_panels_place_points_by_value_from_zero_up() -> None:
    svg = panels([_chart(Line("a", ((0, 0), (2, 5), (4, 10)))), _chart(Line("b", ((0, 3), (4, 1))))], "two")
    _assert_legible(svg)
    assert {"title", "subtitle", "across", "zero", "four", "a", "b", "10"} <= set(_words(svg))
    dots = [(float(dot.get("cx", "0")), float(dot.get("cy", "0"))) for dot in _paints(svg, "dot-0")]
    (x0, y0), (x1, y1), (x2, y2) = dots[:3]
    assert x1 - x0 == pytest.approx(x2 - x1, abs=0.2)
    assert y0 - y1 == pytest.approx(y1 - y2, abs=0.2)
    assert y0 > y1
    assert len(dots) == 3 + 2 + 2  # each chart has a key


@pytest.mark.parametrize("charts", [[], [_chart()], [_chart(Line("a", ()))], [_chart(Line("a", ((0, -1),)))]])
def test_panels_without_points_or_below_zero_are_refused(charts: list[Panel]) -> None:
    with pytest.raises(SmidgenError):
        panels(charts, "none")


def test_one_point_is_a_chart_too() -> None:
    _assert_legible(scatter([Point("only", 1234, 0.0)]))
