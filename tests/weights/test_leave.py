import dataclasses
import hashlib
from pathlib import Path

import pytest

from smidgen.spec import WeightsError
from smidgen.weights import find, missing_news, wanted
from smidgen.weights.catalogue import Package, Published

CONTENT = b"weights"


@pytest.fixture
def row(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Published:
    """A row whose file lies on a mirror, not yet on this machine."""
    (tmp_path / "mirror").mkdir()
    (tmp_path / "mirror" / "tiny.pth").write_bytes(CONTENT)
    monkeypatch.setenv("SMIDGEN_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("SMIDGEN_WEIGHTS_MIRROR", (tmp_path / "mirror").as_uri())
    digest = hashlib.sha256(CONTENT).hexdigest()
    return dataclasses.replace(find("squeezenet1_1"), url="https://x.org/tiny.pth", sha256_prefix=digest)


def packed(row: Published) -> Published:
    return dataclasses.replace(row, package=Package("no-such-project", "no_such_module", "x.pth"))


def test_without_leave_nothing_is_fetched(row: Published, tmp_path: Path) -> None:
    assert wanted([row]) == ()
    assert not (tmp_path / "cache").exists()


def test_with_leave_it_is_fetched_and_then_needs_none(row: Published) -> None:
    assert wanted([row], download=True) == (row,)
    assert wanted([row]) == (row,)
    assert missing_news([row]) == ""


def test_a_package_is_never_installed_by_leave(row: Published) -> None:
    assert wanted([packed(row)], download=True) == ()


def test_offline_with_leave_is_one_line(row: Published, tmp_path: Path) -> None:
    (tmp_path / "mirror" / "tiny.pth").unlink()
    with pytest.raises(WeightsError, match="cannot download") as caught:
        wanted([row], download=True)
    assert "\n" not in str(caught.value)


def test_one_that_cannot_be_had_does_not_hide_another(row: Published) -> None:
    gone = dataclasses.replace(row, url="https://x.org/gone.pth")
    assert wanted([gone, row], download=True) == (row,)


def test_the_line_names_each_way_that_there_is(row: Published) -> None:
    both, leave, package = (missing_news(rows) for rows in ([row, packed(row)], [row], [packed(row)]))
    assert "--download fetches them or pip install no-such-project" in both
    assert "pip install" not in leave
    assert "--download" not in package
    assert "\n" not in both
