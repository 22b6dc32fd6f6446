"""An accuracy is told beside what naming the commonest class, and guessing, would get."""

from __future__ import annotations

import pytest

import example_report
from smidgen import report as reports
from smidgen.report.schema import Report
from smidgen.report.standing import FAR, advice, standing
from smidgen.report.statistics import balanced_interval, wilson

ALWAYS_THE_FIRST = [[1500, 0], [15, 0]]


def plain(text: str) -> str:
    return text.replace("\u202f", " ")


def test_the_interval_of_one_class_is_wilsons() -> None:
    interval = balanced_interval([[7, 1], [0, 0]])
    assert interval == pytest.approx(wilson(7, 8))


def test_the_interval_of_equal_classes_narrows_with_their_number() -> None:
    # Square and add: of k classes alike, the distance to one class's end over the root of k.
    ring = [[{0: 7, 1: 1}.get((column - row) % 4, 0) for column in range(4)] for row in range(4)]
    one, four = wilson(7, 8), balanced_interval(ring)
    assert four
    assert 0.875 - four.low == pytest.approx((0.875 - one.low) / 2)
    assert four.high - 0.875 == pytest.approx((one.high - 0.875) / 2)


def test_nothing_is_said_of_no_pictures() -> None:
    assert balanced_interval([[0, 0], [0, 0]]) is None
    assert standing([[0, 0], [0, 0]]) is None


@pytest.mark.parametrize(
    ("matrix", "misleading", "at_chance"),
    [
        (ALWAYS_THE_FIRST, True, True),
        ([[1500, 0], [5, 10]], True, False),  # 99.7 %, balanced 83 %
        ([[1500, 0], [0, 15]], False, False),
        ([[50, 0], [0, 50]], False, False),
        ([[25, 25], [25, 25]], False, True),  # even classes: chance says it
        ([[30, 25], [24, 21]], False, True),
        ([[27, 23], [23, 27]], False, True),  # 54 % of a hundred pictures
        ([[80, 20], [20, 80]], False, False),
        ([[9, 0], [0, 0]], True, False),  # one class alone: anybody is right
        ([[900, 100], [9, 91]], True, False),  # naming one class always gets more right
        ([[950, 50], [9, 91]], False, False),
        (
            [[50, 0, 0], [50, 0, 0], [0, 0, 0]],
            True,
            False,
        ),  # one of two always, of a network that knows three
    ],
)
def test_when_an_accuracy_flatters_and_when_it_is_chance(
    matrix: list[list[int]], misleading: bool, at_chance: bool
) -> None:
    found = standing(matrix)
    assert found
    assert (found.misleading, found.at_chance) == (misleading, at_chance)


@pytest.mark.parametrize(
    ("matrix", "too_few"),
    [
        ([[1, 0], [0, 1]], True),  # all right, and no proof
        ([[1, 1], [1, 1]], True),
        ([[3, 1], [1, 3]], True),
        ([[4, 0], [0, 4]], False),  # 68 to 100 %
        ([[27, 23], [23, 27]], False),
        ([[1500, 0], [15, 0]], False),
    ],
)
def test_too_few_pictures_are_not_called_chance(matrix: list[list[int]], too_few: bool) -> None:
    found = standing(matrix)
    assert found
    assert found.too_few == too_few
    assert not (too_few and found.at_chance)
    told = " ".join(found.sentences(32, weighted=False, again=True))
    assert ("Too few pictures to tell from chance" in told) == too_few
    if too_few:
        assert found.doubtful
        assert "chance:" in told
        assert not any(word in told for word in ("No better", "labels", "--resolution", "commonest"))


def test_guessing_is_of_all_classes_that_the_network_knows() -> None:
    tested = [[30, 0, 10, 10], [0, 0, 0, 0], [0, 0, 0, 0], [10, 10, 8, 22]]
    found = standing(tested)
    assert found
    assert (found.chance, found.present, found.at_chance) == (0.25, 2, False)
    known = standing([[30, 20], [28, 22]])  # as right, where there are only two to choose from
    assert known
    assert (known.balanced, known.at_chance) == (found.balanced, True)


def test_the_commonest_class_is_that_of_the_pictures_not_of_the_answers() -> None:
    found = standing([[10, 60], [0, 30]])
    assert found
    assert found.commonest == 0.7


def test_balanced_accuracy_just_as_far_below_as_allowed_is_not_far() -> None:
    found = standing([[1000, 0], [2, 18]])
    assert found
    assert 0 < found.accuracy - found.balanced < FAR
    assert not found.misleading


def test_class_weights_are_named_where_they_may_help_and_were_not_used() -> None:
    found = standing([[1500, 0], [5, 10]])
    assert found
    assert "--class-weights" in " ".join(found.sentences(weighted=False, again=True))
    for weighted, again in ((True, True), (None, True), (False, False), (None, False)):
        assert "--class-weights" not in " ".join(found.sentences(weighted=weighted, again=again))


@pytest.mark.parametrize(
    "matrix", [ALWAYS_THE_FIRST, [[27, 23], [23, 27]], [[1, 0], [0, 1]], [[1500, 0], [5, 10]]]
)
def test_no_option_is_named_to_a_reader_who_cannot_train(matrix: list[list[int]]) -> None:
    found = standing(matrix)
    assert found
    told = found.sentences(32)
    assert told
    assert "--" not in " ".join(told)
    assert "budget" not in " ".join(told)


def test_chance_says_where_to_look_and_in_which_order() -> None:
    told = advice(32)
    words = ("32 x 32", "--resolution", "crop", "labels", "--epochs", "budget")
    places = [told.index(word) for word in words]
    assert places == sorted(places)


@pytest.mark.parametrize(
    ("aspect", "told"),
    [(None, "lose their sides"), ("crop", "lose their sides"), ("squash", "are squashed"), ("pad", "small")],
)
def test_chance_names_what_became_of_pictures_that_are_not_square(aspect: str | None, told: str) -> None:
    assert f"pictures far from square {told}" in advice(32, aspect).replace("become small", "small")


@pytest.fixture
def lopsided() -> Report:
    return example_report.lopsided()


def test_every_headline_of_unbalanced_pictures_has_both_accuracies(lopsided: Report) -> None:
    page, card = plain(reports.render(lopsided)), plain(reports.card(lopsided))
    assert "<title>shiftresnet20_e3@w0.62,r16: 99.0 %, balanced 50.0 %</title>" in page
    assert '<h1 class="doubtful">99.0 % <small>balanced 50.0 %</small></h1>' in page
    assert "Accuracy on the test pictures: 99.0 %, balanced 50.0 %." in card
    for text in (page, card):
        assert "The commonest class alone is 99.0 % of these pictures" in text


def test_chance_is_said_on_page_and_card() -> None:
    report = example_report.guessed()
    page, card = plain(reports.render(report)), plain(reports.card(report))
    for text in (page, card):
        assert "No better than chance: guessing gets a balanced accuracy of 10.0 %" in text
        assert "Look first at the pictures as the network sees them at 16 x 16 pixels" in text
    assert '<h1 class="doubtful">' in page


def test_a_sound_accuracy_stands_alone() -> None:
    report = example_report.whole()
    page, card = reports.render(report), reports.card(report)
    for text in (page, card):
        assert "commonest class" not in text
        assert "chance:" not in text
    assert "<h1>98.1" in page


def test_a_class_without_pictures_is_named_as_unknown() -> None:
    """Two classes, all pictures of the first: 100 % says nothing of the second."""
    found = standing([[15, 0], [0, 0]])
    assert found is not None
    first, *_ = found.sentences(again=True)
    assert first.startswith("1 of 2 classes has no picture here: how well they are told is not known")
    assert not any("no picture here" in told for told in found.sentences(again=False))
