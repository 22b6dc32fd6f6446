import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from smidgen.graph import Preprocess
from smidgen.train import batches
from smidgen.train.augment import Augment
from smidgen.train.batches import Batch, batch_sizes, epoch_batches, epoch_order
from smidgen.train.parallel import ALONE, World
from smidgen.train.pixels import Examples
from smidgen.train.strengths import Mixing
from smidgen.train.views import Views

PREPROCESS = Preprocess(6, mean=(0.3,), std=(0.4,))


def numbered(count: int) -> Examples:
    pictures = np.random.default_rng(0).integers(0, 256, (count, 6, 6, 1), dtype=np.uint8)
    return Examples(pictures, np.arange(count, dtype=np.int64))


def parts(batches: list[Batch]) -> list[Tensor]:
    return [torch.cat(part) for part in zip(*(batch[:5] for batch in batches), strict=True)]


def equal(a: Batch, b: Batch) -> bool:
    return all(map(torch.equal, a[:5], b[:5])) and a.whole == b.whole


def epoch(data: Examples, batch_size: int, *, first: int = 0, world: World = ALONE) -> list[Batch]:
    strengths = Augment(rotation=10, translation=0.1)
    return list(
        epoch_batches(
            Views(data, strengths, 0, torch.device("cpu"), Mixing(mixup=0.5, cutmix=1.0)),
            PREPROCESS,
            batch_size=batch_size,
            epoch=0,
            first=first,
            world=world,
        )
    )


@given(st.integers(2, 3000), st.integers(2, 300))
def test_batches_share_the_pictures_almost_equally(pictures: int, batch_size: int) -> None:
    sizes = batch_sizes(pictures, batch_size)
    assert sum(sizes) == pictures
    assert max(sizes) - min(sizes) <= 1
    assert min(sizes) >= 2
    assert max(sizes) <= batch_size + 1
    assert max(sizes) <= batch_size or batch_size == 2


def test_an_epoch_shows_every_picture_once() -> None:
    labels = torch.cat([batch.labels[:, 0] for batch in epoch(numbered(50), 8)])
    assert sorted(labels.tolist()) == list(range(50))
    assert labels.tolist() != list(range(50))


def test_order_changes_with_seed_and_epoch_alone() -> None:
    first = epoch_order(100, 3, 5)[0]
    assert torch.equal(first, epoch_order(100, 3, 5)[0])
    assert not torch.equal(first, epoch_order(100, 3, 6)[0])
    assert not torch.equal(first, epoch_order(100, 4, 5)[0])


def test_batch_size_changes_no_picture() -> None:
    data = numbered(40)
    small, large = epoch(data, 4), epoch(data, 20)
    for a, b in zip(parts(small), parts(large), strict=True):
        assert torch.equal(a, b)


def test_chunks_change_no_picture(monkeypatch: pytest.MonkeyPatch) -> None:
    data = numbered(40)
    whole = epoch(data, 8)
    monkeypatch.setattr(batches, "_CHUNK_BYTES", 1)
    for a, b in zip(whole, epoch(data, 8), strict=True):
        assert equal(a, b)


@pytest.mark.parametrize("first", [0, 1, 3, 4])
def test_a_later_start_changes_no_picture(first: int, monkeypatch: pytest.MonkeyPatch) -> None:
    data = numbered(40)
    monkeypatch.setattr(batches, "_CHUNK_BYTES", 2 * 4 * 8 * data.pictures[0].size)  # chunks of two batches
    later = epoch(data, 8, first=first)
    assert len(later) == 5 - first
    assert all(map(equal, epoch(data, 8)[first:], later))


def test_processes_share_every_batch() -> None:
    data = numbered(41)
    whole = epoch(data, 8)
    shares = [epoch(data, 8, world=World(rank, 3)) for rank in range(3)]
    for batch, *split in zip(whole, *shares, strict=True):
        assert all(part.whole == len(batch.labels) for part in split)
        for a, b in zip(parts([batch]), parts(split), strict=True):
            assert torch.equal(a, b)
