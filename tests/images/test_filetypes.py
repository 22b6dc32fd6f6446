import io
from pathlib import PurePath

import pytest
from PIL import Image

from smidgen.images import SUFFIXES, is_picture_name
from smidgen.images.filetypes import FORMATS, SIGNATURE_LENGTH, Format, identify


@pytest.mark.parametrize("format_", FORMATS, ids=lambda format_: format_.name)
def test_what_pillow_writes_is_identified(format_: Format) -> None:
    stream = io.BytesIO()
    Image.new("RGB", (3, 2)).save(stream, format_.name)
    assert identify(stream.getvalue()[:SIGNATURE_LENGTH]) is format_


@pytest.mark.parametrize("name", ["ICO", "PPM", "TGA", "EPS", "PCX", "ICNS", "JPEG2000", "PDF"])
def test_formats_off_the_list_are_not_identified(name: str) -> None:
    stream = io.BytesIO()
    Image.new("RGB", (32, 32)).save(stream, name)
    assert identify(stream.getvalue()[:SIGNATURE_LENGTH]) is None


def test_a_riff_file_that_is_sound_is_not_webp() -> None:
    assert identify(b"RIFF\x10\0\0\0WAVEfmt ") is None


def test_suffixes_belong_to_one_format_each() -> None:
    assert len(set(SUFFIXES)) == len(SUFFIXES)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("a.jpg", True),
        ("A.JPEG", True),
        ("x/y.WebP", True),
        ("a.txt", False),
        ("jpg", False),
        ("a.jpg.part", False),
    ],
)
def test_names_are_pictures_by_their_ending_in_any_case(name: str, expected: bool) -> None:
    assert is_picture_name(name) is expected
    assert is_picture_name(PurePath(name)) is expected
