import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from smidgen.graph import Preprocess
from smidgen.train import batches
from smidgen.train.augment import Augment
from smidgen.train.batches import Batch, batch_sizes, epoch_batches, epoch_order
from smidgen.train.pixels import Pixels

PREPROCESS = Preprocess(6, mean=(0.3,), std=(0.4,))


def numbered(count: int) -> Pixels:
    pictures = np.random.default_rng(0).integers(0, 256, (count, 6, 6, 1), dtype=np.uint8)
    return Pixels(pictures, np.arange(count, dtype=np.int64))


def epoch(data: Pixels, batch_size: int, seed: int = 0, number: int = 0) -> list[Batch]:
    strengths = Augment(rotation=10, translation=0.1)
    return list(
        epoch_batches(
            data,
            PREPROCESS,
            strengths,
            batch_size=batch_size,
            seed=seed,
            epoch=number,
            device=torch.device("cpu"),
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
    labels = torch.cat([batch.labels for batch in epoch(numbered(50), 8)])
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
    for a, b in zip(zip(*small, strict=True), zip(*large, strict=True), strict=True):
        assert torch.equal(torch.cat(a), torch.cat(b))


def test_chunks_change_no_picture(monkeypatch: pytest.MonkeyPatch) -> None:
    data = numbered(40)
    whole = epoch(data, 8)
    monkeypatch.setattr(batches, "_CHUNK_BYTES", 1)
    for a, b in zip(whole, epoch(data, 8), strict=True):
        assert all(torch.equal(x, y) for x, y in zip(a, b, strict=True))
