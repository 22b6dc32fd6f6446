import contextlib
import io
import os
import struct
import subprocess
import sys
import time
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from smidgen.images import MAX_PIXELS, Pixels, decode, decode_plain
from smidgen.spec import PictureError


def colours(height: int = 20, width: int = 28) -> Pixels:
    """Smooth colours with some noise, so that every format has work to do."""
    y, x = np.mgrid[:height, :width]
    smooth = np.stack([y * 9, x * 7, 255 - y * 5 - x * 3], axis=2)
    return (smooth + np.random.default_rng(0).integers(0, 9, smooth.shape)).clip(0, 255).astype(np.uint8)


def encoded(kind: str, image: Image.Image | None = None, **options: object) -> bytes:
    stream = io.BytesIO()
    (image or Image.fromarray(colours())).save(stream, kind, **options)
    return stream.getvalue()


LOSSLESS = {
    "png": encoded("PNG"),
    "webp": encoded("WEBP", lossless=True),
    "bmp": encoded("BMP"),
    "tiff": encoded("TIFF"),
    "tiff-lzw": encoded("TIFF", compression="tiff_lzw"),
    "tiff-deflate": encoded("TIFF", compression="tiff_adobe_deflate"),
}
FILES = LOSSLESS | {
    "jpeg": encoded("JPEG"),
    "jpeg-progressive": encoded("JPEG", progressive=True),
    "webp-lossy": encoded("WEBP"),
    "gif": encoded("GIF"),
}


@pytest.mark.parametrize("kind", LOSSLESS)
def test_lossless_formats_give_back_the_pixels(kind: str) -> None:
    np.testing.assert_array_equal(decode(LOSSLESS[kind], 3), colours())


@pytest.mark.parametrize("kind", FILES)
def test_every_format_reads_as_pillow_reads_it(kind: str) -> None:
    expected = np.asarray(Image.open(io.BytesIO(FILES[kind])).convert("RGB"))
    np.testing.assert_array_equal(decode(FILES[kind], 3), expected)


def test_path_string_bytes_and_open_file_give_the_same_pixels(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(FILES["png"])
    with path.open("rb") as stream:
        results = [decode(path, 3), decode(str(path), 3), decode(FILES["png"], 3), decode(stream, 3)]
    for result in results:
        np.testing.assert_array_equal(result, colours())


def test_a_stream_that_cannot_seek_is_read() -> None:
    read_end, write_end = os.pipe()
    with os.fdopen(write_end, "wb") as sender:
        sender.write(FILES["jpeg"])
    with os.fdopen(read_end, "rb") as receiver:
        assert decode(receiver, 1).shape == (20, 28, 1)


def test_the_ending_of_the_name_does_not_decide_the_format(tmp_path: Path) -> None:
    path = tmp_path / "really_a_png.jpg"
    path.write_bytes(FILES["png"])
    np.testing.assert_array_equal(decode(path, 3), colours())


@pytest.mark.parametrize("channels", [0, 2, 4])
def test_other_channel_counts_are_refused(channels: int) -> None:
    with pytest.raises(ValueError, match=r"1 \(grey\) or 3"):
        decode(FILES["png"], channels)


# -- damage -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", FILES)
@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_a_file_cut_anywhere_is_refused_or_whole(kind: str, data: st.DataObject) -> None:
    whole = FILES[kind]
    length = data.draw(st.integers(0, len(whole) - 1))
    try:
        pixels = decode(whole[:length], 3)
    except PictureError:
        return
    np.testing.assert_array_equal(pixels, decode(whole, 3))


@pytest.mark.parametrize("kind", FILES)
@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_flipped_bytes_raise_nothing_but_picture_errors(kind: str, data: st.DataObject) -> None:
    content = bytearray(FILES[kind])
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, min(len(content), 400) - 1))] = data.draw(st.integers(0, 255))
    with contextlib.suppress(PictureError):
        assert decode(bytes(content), 3).shape[2] == 3


@pytest.mark.parametrize("kind", ["jpeg", "png", "webp", "bmp", "gif", "tiff"])
def test_truncation_is_called_truncation(kind: str, tmp_path: Path) -> None:
    half = FILES[kind][: len(FILES[kind]) // 2]
    path = tmp_path / f"cat.{kind}"
    path.write_bytes(half)
    with pytest.raises(PictureError) as caught:
        decode(path, 3)
    name = {"webp": "WebP"}.get(kind, kind.upper())
    assert str(caught.value) == f"{path}: truncated {name} (ends after {len(half):,} bytes)"


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b"", "empty file"),
        (b"just some text, no picture", "not a picture; JPEG, PNG, WebP, BMP, GIF, TIFF are read"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "not a picture"),
        (b"P6 2 2 255 " + bytes(12), "not a picture"),
        (b"BM and then prose", "BMP"),
    ],
)
def test_what_is_no_picture_is_refused_by_name(content: bytes, complaint: str, tmp_path: Path) -> None:
    path = tmp_path / "notes.jpg"
    path.write_bytes(content)
    with pytest.raises(PictureError) as caught:
        decode(path, 3)
    assert str(caught.value).startswith(f"{path}: ")
    assert complaint in str(caught.value)


def test_missing_files_and_folders_are_refused(tmp_path: Path) -> None:
    with pytest.raises(PictureError, match=r"nowhere\.png: no such file"):
        decode(tmp_path / "nowhere.png", 3)
    with pytest.raises(PictureError, match="not a file"):
        decode(tmp_path, 3)


def test_a_named_pipe_is_refused_instead_of_waited_for(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe.png"
    os.mkfifo(pipe)
    with pytest.raises(PictureError, match="not a file"):
        decode(pipe, 3)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_without_permission_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "secret.png"
    path.write_bytes(FILES["png"])
    path.chmod(0)
    with pytest.raises(PictureError, match="Permission denied"):
        decode(path, 3)


def test_a_given_name_stands_in_the_error() -> None:
    with pytest.raises(PictureError, match=r"^upload 7: empty file$"):
        decode(b"", 3, name="upload 7")


# -- size ---------------------------------------------------------------------------------------------


def png_header(width: int, height: int) -> bytes:
    """The start of a PNG that declares a size, without the pixels."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", b"")


@pytest.mark.parametrize("side", [8_193, 9_500, 13_000, 30_000, 2**31 - 1])
def test_bombs_are_refused_from_the_header(side: int) -> None:
    with pytest.raises(
        PictureError, match=f"{side:,} x {side:,} is .* pixels, above the limit of 67,108,864"
    ):
        decode(png_header(side, side), 3)


def test_a_bomb_of_each_format_is_refused() -> None:
    wide = MAX_PIXELS // 4 + 1
    bmp = b"BM" + struct.pack("<IHHIIiiHHIIiiII", 99, 0, 0, 54, 40, wide, 4, 1, 24, 0, 0, 0, 0, 0, 0)
    gif = FILES["gif"][:6] + struct.pack("<HH", 65_535, 65_535) + FILES["gif"][10:]
    for content in (bmp, gif):
        with pytest.raises(PictureError, match="above the limit"):
            decode(content, 3)


def test_the_largest_allowed_header_is_not_called_too_large() -> None:
    with pytest.raises(PictureError, match="truncated PNG"):
        decode(png_header(8_192, 8_192), 3)


def test_a_bomb_makes_no_warning_and_changes_no_filter_of_the_process() -> None:
    program = (
        "import sys, warnings, numpy; from PIL import Image, ImageFile; before = list(warnings.filters)\n"
        "from smidgen.images import decode; from smidgen.spec import PictureError\n"
        "try: decode(sys.stdin.buffer.read(), 3)\n"
        "except PictureError: print(warnings.filters == before, Image.MAX_IMAGE_PIXELS, "
        "ImageFile.LOAD_TRUNCATED_IMAGES)"
    )
    done = subprocess.run(
        [sys.executable, "-W", "default", "-c", program],
        input=png_header(10_000, 10_000),
        capture_output=True,
        check=True,
    )
    assert done.stderr == b""
    assert done.stdout.split() == [b"True", str(Image.MAX_IMAGE_PIXELS).encode(), b"False"]


def test_a_real_bomb_of_thirty_thousand_squared_is_refused_at_once(tmp_path: Path) -> None:
    rows = zlib.compress(bytes(30_000 * (1 + 30_000 // 8)), 1)  # 112 MB of nothing in half a megabyte
    header = png_header(30_000, 30_000).removesuffix(b"\0\0\0\0IDAT\x35\xaf\x06\x1e")
    path = tmp_path / "bomb.png"
    path.write_bytes(header + struct.pack(">I", len(rows)) + b"IDAT" + rows + bytes(4))
    start = time.process_time()
    with pytest.raises(
        PictureError, match=r"bomb\.png: 30,000 x 30,000 is 900,000,000 pixels, above the limit"
    ):
        decode(path, 3)
    assert time.process_time() - start < 0.5


def test_a_bomb_in_the_text_of_a_picture_is_refused() -> None:
    body = b"Comment\0\0" + zlib.compress(bytes(200_000_000), 1)
    chunk = struct.pack(">I", len(body)) + b"zTXt" + body + struct.pack(">I", zlib.crc32(b"zTXt" + body))
    whole = FILES["png"]
    with pytest.raises(PictureError, match="damaged PNG"):
        decode(whole[:33] + chunk + whole[33:], 3)


def test_no_permission_is_said_with_the_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "secret.png"
    path.write_bytes(FILES["png"])

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(PictureError, match=r"secret\.png: cannot be read \(Permission denied\)"):
        decode(path, 3)


@pytest.mark.parametrize("kind", FILES)
def test_plain_decoding_differs_from_colour_in_channels_only(kind: str, tmp_path: Path) -> None:
    path = tmp_path / kind
    path.write_bytes(FILES[kind])
    np.testing.assert_array_equal(decode_plain(path), decode(path, 3))


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "I;16"])
def test_plain_decoding_of_grey_is_one_channel_however_stored(mode: str, tmp_path: Path) -> None:
    greys = Image.fromarray(colours()[:, :, 0])
    if mode == "I;16":
        greys = Image.fromarray(colours()[:, :, 0].astype(np.uint16) * 257)
    path = tmp_path / "grey.png"
    (greys if mode == "I;16" else greys.convert(mode)).save(path)
    plain = decode_plain(path)
    assert plain.shape == (20, 28, 1)
    np.testing.assert_array_equal(plain, decode(path, 1))
