import hashlib
import io
import json
import tarfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from loopback import serving
from smidgen.data import open_dataset, sets, split, survey
from smidgen.data.sets import emoji
from smidgen.spec import DataError


def png(number: int) -> bytes:
    """A picture of its own, transparent in its first row."""
    pixels = np.random.default_rng(number).integers(0, 256, (4, 4, 4)).astype(np.uint8)
    pixels[:, :, 3] = 255
    pixels[0, :, 3] = 0
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "PNG")
    return stream.getvalue()


def row(category: str, code: str, *tones: str) -> dict[str, object]:
    drawn = {tone: {"image": f"{code}-{tone}.png"} for tone in tones}
    return {"image": f"{code}.png", "category": category, **({"skin_variations": drawn} if drawn else {})}


TABLE = [
    *(row("People & Body", f"1f4{number}", "1f3fb", "1f3ff") for number in (70, 71, 72, 73)),
    row("People & Body", "1f468-200d-1f373", "1f3fb"),
    row("People & Body", "1f469-200d-1f373", "1f3fb"),
    *(row(name, f"2{number:03x}") for number, name in enumerate(emoji.CLASSES * 4)),
    row("Component", "1f3fb"),
]
NAMES = [drawn["image"] for drawn in emoji._rows([*TABLE])]
FILES = {"emoji.json": json.dumps(TABLE).encode()} | {
    f"img/google/64/{name}": png(number) for number, name in enumerate([*NAMES, "1f3fb.png"])
}


def package() -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz") as archive:
        for name, content in {**FILES, "img/google/sheets/64.png": b"no", "README.md": b"no"}.items():
            member = tarfile.TarInfo(f"package/{name}")
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return stream.getvalue()


PACKAGE = package()


@pytest.fixture
def nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine without the set, whose published package is a small one; returns its cache."""
    monkeypatch.setattr(emoji, "PACKED_SHA256", hashlib.sha256(PACKAGE).hexdigest())
    monkeypatch.setattr(emoji, "CONTENT_SHA256", emoji._digest(FILES))
    monkeypatch.setenv("SMIDGEN_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("no_proxy", "*")
    monkeypatch.delenv("SMIDGEN_EMOJI", raising=False)
    monkeypatch.delenv("SMIDGEN_DATA_MIRROR", raising=False)
    return tmp_path / "cache" / "datasets" / "emoji"


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """A mirror on the loopback interface; yields what it was asked for."""
    with serving(lambda _path: PACKAGE) as (address, asked):
        monkeypatch.setenv("SMIDGEN_DATA_MIRROR", address)
        yield asked


def lay(folder: Path) -> Path:
    for name, content in FILES.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return folder


def test_a_missing_set_says_how_to_get_it_and_asks_no_server(nowhere: Path, server: list[str]) -> None:
    with pytest.raises(
        DataError, match=r"`smidgen check emoji --download` fetches it.*SMIDGEN_EMOJI"
    ) as caught:
        open_dataset("emoji")
    assert "\n" not in str(caught.value)
    assert server == []
    assert not nowhere.exists()


def test_the_download_happens_once_and_reads_as_the_unpacked_package_does(
    nowhere: Path, server: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(2):
        sets.download("emoji")
    assert server == ["/emoji-datasource-google/-/emoji-datasource-google-16.0.0.tgz"]
    packed = open_dataset("emoji")
    monkeypatch.setenv("SMIDGEN_EMOJI", str(lay(tmp_path / "mine")))
    unpacked = open_dataset("emoji")
    assert packed.groups == unpacked.groups
    for one, other in zip(packed.pictures, unpacked.pictures, strict=True):
        assert (one.name, one.label) == (other.name, other.label)
        np.testing.assert_array_equal(one.read(3), other.read(3))


def test_what_is_transparent_is_white_and_bare_skin_is_no_picture(
    nowhere: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SMIDGEN_EMOJI", str(lay(tmp_path / "mine")))
    dataset = open_dataset("emoji")
    assert len(dataset.pictures) == len(NAMES)
    assert all((picture.read(3)[0] == 255).all() for picture in dataset.pictures)


@pytest.mark.parametrize("seed", range(5))
def test_no_split_tears_a_code_point_or_the_drawings_of_adults_apart(
    seed: int, nowhere: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SMIDGEN_EMOJI", str(lay(tmp_path / "mine")))
    dataset = open_dataset("emoji")
    parts = split(dataset, survey(dataset), seed)
    firsts = [
        {dataset.pictures[index].name.rpartition("/")[2].partition("-")[0] for index in part}
        for part in (parts.train, parts.val, parts.test)
    ]
    assert all(firsts)
    assert sum(map(len, firsts)) == len(set.union(*firsts))
    assert sum(bool({"1f468", "1f469"} & part) for part in firsts) == 1


def test_another_picture_than_the_published_one_is_refused(
    nowhere: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = lay(tmp_path / "mine")
    (folder / "img/google/64" / str(NAMES[0])).write_bytes(png(99))
    monkeypatch.setenv("SMIDGEN_EMOJI", str(folder))
    with pytest.raises(DataError, match=r"mine: not what emoji-datasource-google 16\.0\.0 holds"):
        open_dataset("emoji")


def test_a_package_that_is_cut_short_is_told(nowhere: Path) -> None:
    nowhere.mkdir(parents=True)
    (nowhere / "emoji-datasource-google-16.0.0.tgz").write_bytes(PACKAGE[:500])
    with pytest.raises(DataError, match=r"tgz: damaged \("):
        open_dataset("emoji")


def test_the_published_package_has_3781_pictures_in_nine_classes() -> None:
    try:
        dataset = open_dataset("emoji")
    except DataError as error:
        pytest.skip(str(error))
    # emoji.json of the package: 3,786 rows and variations, five of them of the category Component.
    assert len(dataset.pictures) == 3_786 - 5
    assert dataset.pictures[0].read(3).shape == (64, 64, 3)
