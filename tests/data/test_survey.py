import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from smidgen.data import (
    Dataset,
    FilePicture,
    MemoryPicture,
    clashes,
    fingerprint,
    open_dataset,
    require_readable,
    survey,
    unreadable_news,
)
from smidgen.data.survey import Decoded, Survey, Unreadable
from smidgen.spec import DataError


def in_memory(values: Sequence[int], labels: Sequence[int], names: str = "p") -> Dataset:
    """Grey 2 x 2 pictures of one value each, in classes a, b, …"""
    pictures = tuple(
        MemoryPicture(f"{names}{index}", label, np.full((2, 2), value, np.uint8))
        for index, (value, label) in enumerate(zip(values, labels, strict=True))
    )
    return Dataset("memory", "a test", tuple("abcdef"[: max(labels) + 1]), pictures)


def on_disk(folder: Path, **pictures: Image.Image | bytes) -> Dataset:
    """Files NAME_SUFFIX, all of class a but the last."""
    paths = []
    for name, content in pictures.items():
        path = folder / name.replace("_", ".")
        if isinstance(content, bytes):
            path.write_bytes(content)
        else:
            content.save(path)
        paths.append(path)
    last = len(paths) - 1
    files = tuple(FilePicture(path, path.name, int(index == last)) for index, path in enumerate(paths))
    return Dataset("files", str(folder), ("a", "b"), files)


def test_size_and_colour_are_what_is_seen(tmp_path: Path) -> None:
    red = Image.new("RGB", (5, 3), "red")
    dataset = on_disk(
        tmp_path,
        grey_png=Image.new("L", (4, 2), 7),
        stored_png=Image.new("RGB", (4, 2), (7, 7, 7)),
        red_png=red,
    )
    seen = survey(dataset)
    sizes = [(d.height, d.width, d.channels) for d in seen.decoded if d]
    assert sizes == [(2, 4, 1), (2, 4, 1), (3, 5, 3)]
    assert seen.channels == 3
    assert survey(in_memory([1, 2], [0, 1])).channels == 1


def test_the_same_pixels_hash_alike_however_stored(tmp_path: Path) -> None:
    image = Image.fromarray(np.arange(12, dtype=np.uint8).reshape(3, 4) * 20)
    turned = Image.Exif()
    turned[0x0112] = 3
    image.rotate(180).save(tmp_path / "e.png", exif=turned)
    dataset = on_disk(
        tmp_path,
        a_png=image,
        b_bmp=image,
        c_tiff=image.convert("RGB"),
        d_png=image.convert("RGBA"),
        e_png=(tmp_path / "e.png").read_bytes(),
        f_gif=image,
        other_png=image.rotate(180),
    )
    seen = survey(dataset)
    assert seen.identical() == ((0, 1, 2, 3, 4, 5),)


def test_pictures_of_another_shape_hash_differently(tmp_path: Path) -> None:
    seen = survey(on_disk(tmp_path, wide_png=Image.new("L", (6, 2)), high_png=Image.new("L", (2, 6))))
    assert seen.identical() == ()


def test_unreadable_pictures_are_listed_with_path_and_reason(tmp_path: Path) -> None:
    Image.effect_noise((64, 64), 90).save(tmp_path / "whole.jpg")
    half = (tmp_path / "whole.jpg").read_bytes()[:1000]
    seen = survey(on_disk(tmp_path, good_png=Image.new("L", (2, 2)), cut_jpg=half, text_png=b"hello"))
    assert [bad.index for bad in seen.unreadable] == [1, 2]
    assert [bad.name for bad in seen.unreadable] == ["cut.jpg", "text.png"]
    assert seen.unreadable[0].reason == f"{tmp_path}/cut.jpg: truncated JPEG (ends after 1,000 bytes)"
    assert seen.unreadable[1].reason.startswith(f"{tmp_path}/text.png: not a picture")
    assert [decoded is None for decoded in seen.decoded] == [False, True, True]


def test_progress_runs_from_nothing_to_all() -> None:
    calls: list[tuple[int, int]] = []
    survey(in_memory(range(40), [0] * 39 + [1]), lambda done, total: calls.append((done, total)))
    assert calls[0] == (0, 40)
    assert calls[-1] == (40, 40)
    assert calls == sorted(calls)


def test_identical_pictures_in_two_classes_are_reported() -> None:
    dataset = in_memory([1, 2, 1, 2, 3], [0, 0, 1, 0, 1])
    seen = survey(dataset)
    assert seen.identical() == ((0, 2), (1, 3))
    assert clashes(dataset, seen) == ((0, 2),)


# -- unreadable pictures stop the work, unless asked otherwise ----------------------------------------


def with_bad(bad: int, total: int) -> Survey:
    reasons = tuple(
        Unreadable(index, f"{index}.jpg", f"cats/{index}.jpg: empty file") for index in range(bad)
    )
    good = Decoded("0" * 64, 1, 1, 1)
    return Survey((None,) * bad + (good,) * (total - bad), reasons)


def test_one_bad_picture_is_refused_in_the_words_of_the_house() -> None:
    expected = "cats/0.jpg: empty file; 1 of 2,410 pictures unusable. --skip-bad leaves it out"
    with pytest.raises(DataError, match=f"^{re.escape(expected)}$"):
        require_readable(with_bad(1, 2410))


def test_several_bad_pictures_are_counted() -> None:
    with pytest.raises(
        DataError, match=r"cats/0.jpg: empty file; 3 of 9 pictures unusable\. --skip-bad leaves them out"
    ):
        require_readable(with_bad(3, 9), skip_bad=False)


def test_bad_pictures_are_accepted_on_request_and_none_needs_no_request() -> None:
    require_readable(with_bad(3, 9), skip_bad=True)
    require_readable(with_bad(0, 9))


def test_nothing_but_bad_pictures_is_refused_even_on_request() -> None:
    with pytest.raises(DataError, match="none of 4 pictures can be used"):
        require_readable(with_bad(4, 4), skip_bad=True)


# -- fingerprint --------------------------------------------------------------------------------------


def test_fingerprint_ignores_names_and_order() -> None:
    first, second = in_memory([1, 2, 3], [0, 0, 1]), in_memory([3, 1, 2], [1, 0, 0], names="other")
    assert fingerprint(first, survey(first)) == fingerprint(second, survey(second))


@pytest.mark.parametrize(
    ("values", "labels"),
    [([1, 2, 4], [0, 0, 1]), ([1, 2, 3], [0, 1, 1]), ([1, 2, 3, 3], [0, 0, 1, 1]), ([1, 3], [0, 1])],
)
def test_fingerprint_sees_pixels_labels_and_copies(values: list[int], labels: list[int]) -> None:
    first, second = in_memory([1, 2, 3], [0, 0, 1]), in_memory(values, labels)
    assert fingerprint(first, survey(first)) != fingerprint(second, survey(second))


# -- what is said about pictures that are left out ----------------------------------------------------


def test_left_out_pictures_are_counted_by_part_and_named(tmp_path: Path) -> None:
    for part, count in (("train", 60), ("val", 20), ("test", 20)):
        for number in range(count):
            path = tmp_path / part / "ab"[number % 2] / f"{number}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.new("L", (2, 2), number).save(path)
    (tmp_path / "test" / "a" / "4.png").write_bytes(b"")
    dataset = open_dataset(tmp_path)
    news = unreadable_news(dataset, survey(dataset))
    assert news == (
        "left out: 1 of 100 pictures cannot be read; 1 of 20 in test",
        f"left out: {tmp_path}/test/a/4.png: empty file",
    )


def test_where_all_can_be_read_there_is_no_news() -> None:
    dataset = in_memory([1, 2], [0, 1])
    assert unreadable_news(dataset, survey(dataset)) == ()
