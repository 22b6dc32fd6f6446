import gzip
import struct
import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from smidgen.data.idx import read_idx
from smidgen.spec import DataError

CONTENT = np.arange(24, dtype=np.uint8).reshape(2, 3, 4)
HEADER = b"\0\0\x08\x03" + struct.pack(">3I", 2, 3, 4)


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_bytes_come_back_plain_or_packed(tmp_path: Path, pack: type[bytes]) -> None:
    path = tmp_path / "file"
    path.write_bytes(pack(HEADER + CONTENT.tobytes()))
    np.testing.assert_array_equal(read_idx(path, (2, 3, 4)), CONTENT)


BODY = CONTENT.tobytes()
LYING = b"\0\0\x08\x03" + struct.pack(">3I", 2**32 - 1, 2**32 - 1, 2**32 - 1)
WRONG = [
    (b"", "not an IDX file"),
    (b"\x89PNG\r\n\x1a\n" + bytes(40), "not an IDX file"),
    (b"\0\0\x0d\x03" + HEADER[4:] + BODY, "IDX data of type 0x0d, not unsigned bytes"),
    (b"\0\0\x08\x01" + HEADER[4:] + BODY, "IDX data of 1 dimensions"),
    (LYING + BODY, "it declares 4,294,967,295 x 4,294,967,295 x 4,294,967,295"),
    (HEADER[:9], "IDX data of 3 dimensions"),
    (HEADER + BODY[:-1], "23 bytes follow the header, 24 are needed"),
    (HEADER + BODY + b"x", "more than 24 bytes follow the header"),
    (gzip.compress(HEADER + BODY, mtime=0)[:-9], "damaged gzip"),
    (gzip.compress(HEADER + BODY, mtime=0)[:-8] + bytes(8), "damaged gzip"),
    (b"\x1f\x8b" + bytes(60), "damaged gzip"),
]


@pytest.mark.parametrize(("content", "complaint"), WRONG)
def test_anything_else_is_refused_in_one_line(tmp_path: Path, content: bytes, complaint: str) -> None:
    path = tmp_path / "file"
    path.write_bytes(content)
    with pytest.raises(DataError) as caught:
        read_idx(path, (2, 3, 4))
    assert str(caught.value).startswith(f"{path}: ")
    assert complaint in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_packed_bomb_is_not_unpacked(tmp_path: Path) -> None:
    path = tmp_path / "bomb"
    path.write_bytes(gzip.compress(HEADER + bytes(100_000_000), 1))
    tracemalloc.start()
    with pytest.raises(DataError, match="more than 24 bytes"):
        read_idx(path, (2, 3, 4))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 5_000_000


def test_a_missing_file_and_a_folder_are_refused(tmp_path: Path) -> None:
    for path in (tmp_path / "none", tmp_path):
        with pytest.raises(DataError, match="cannot be read"):
            read_idx(path, (1,))
