import pytest
import torch

from smidgen.graph import Chain, Dropout
from smidgen.modules import TreeModule, sample_keys, set_sample_keys, uniform
from smidgen.modules.randomness import _GAMMA, _mix
from smidgen.spec import ShapeError

BITS = 1 << 64


def splitmix64(state: int) -> int:
    """SplitMix64's output function in unsigned Python integers, from Vigna's public-domain splitmix64.c."""
    z = state % BITS
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9 % BITS
    z = (z ^ (z >> 27)) * 0x94D049BB133111EB % BITS
    return z ^ (z >> 31)


def test_mixing_gives_the_known_sequence_of_splitmix64() -> None:
    # First outputs for the seed 1234567, as published with many implementations (rosettacode.org).
    known = [
        6457827717110365317,
        3203168211198807973,
        9817491932198370423,
        4593380528125082431,
        16408922859458223821,
    ]
    states = 1234567 + torch.arange(1, 6) * _GAMMA
    assert [bits % BITS for bits in _mix(states).tolist()] == known


def test_mixing_equals_unsigned_arithmetic_on_any_bits() -> None:
    states = torch.randint(-(2**63), 2**63 - 1, (1000,))
    assert [bits % BITS for bits in _mix(states).tolist()] == [splitmix64(n) for n in states.tolist()]


def test_draws_are_those_of_plain_integers() -> None:
    gamma = 0x9E3779B97F4A7C15
    key = splitmix64(splitmix64(5 + gamma) + 2 + gamma)
    key = splitmix64(key + 77 * gamma)
    start = splitmix64(splitmix64(key) + 3)
    expected = [(splitmix64(start + step * gamma) >> 40) / 2**24 for step in (1, 2, 3)]
    assert uniform(sample_keys(5, 2, torch.tensor([77])), 3, 3).tolist() == [expected]


def test_draws_lie_in_the_half_open_unit_interval_and_are_uniform() -> None:
    draws = uniform(sample_keys(0, 0, torch.arange(2000)), 0, 500)
    assert draws.dtype == torch.float32
    assert float(draws.min()) >= 0
    assert float(draws.max()) < 1
    counts = torch.histc(draws, 256, 0, 1)
    expected = draws.numel() / 256
    chi_square = float(((counts - expected) ** 2 / expected).sum())
    assert 255 - 5 * 22.6 < chi_square < 255 + 5 * 22.6  # 255 degrees of freedom: deviation sqrt(510)


@pytest.mark.parametrize("keys", [torch.arange(20_000), sample_keys(0, 0, torch.arange(20_000))])
def test_neighbouring_samples_streams_positions_epochs_and_seeds_are_uncorrelated(keys: torch.Tensor) -> None:
    indices = torch.arange(20_000)
    draws = uniform(keys, 0, 2)
    others = [
        draws[:, 1],
        draws[:, 0].roll(1),
        uniform(keys, 1, 1)[:, 0],
        uniform(sample_keys(0, 1, indices), 0, 1)[:, 0],
        uniform(sample_keys(1, 0, indices), 0, 1)[:, 0],
    ]
    for other in others:
        correlation = float(torch.corrcoef(torch.stack([draws[:, 0], other]))[0, 1])
        assert abs(correlation) < 5 / 20_000**0.5


def test_keys_of_a_million_samples_in_three_epochs_are_distinct() -> None:
    keys = torch.cat([sample_keys(1, epoch, torch.arange(1_000_000)) for epoch in range(3)])
    assert len(set(keys.tolist())) == keys.numel()


def test_draws_do_not_depend_on_the_batch_or_on_how_many_are_drawn() -> None:
    keys = sample_keys(3, 4, torch.arange(10))
    draws = uniform(keys, 2, 8)
    order = torch.tensor([7, 2, 9])
    assert torch.equal(uniform(keys[order], 2, 8), draws[order])
    assert torch.equal(uniform(keys, 2, 3), draws[:, :3])
    assert uniform(keys[:0], 0, 3).shape == (0, 3)


def test_seeds_of_any_size_and_sign_work() -> None:
    keys = [sample_keys(seed, 0, torch.tensor([0])).item() for seed in (-1, 0, 1, 2**63, 2**64 + 5)]
    assert len(set(keys)) == 5
    assert keys[4] == sample_keys(5, 0, torch.tensor([0])).item()  # the lowest 64 bits count


def test_dropout_zeroes_its_share_and_keeps_the_mean() -> None:
    model = TreeModule(Chain((("a", Dropout(0.3)),)))
    x = torch.ones(500, 400)
    set_sample_keys(model, sample_keys(0, 0, torch.arange(500)))
    y = model(x)
    assert float((y == 0).float().mean()) == pytest.approx(0.3, abs=0.01)
    torch.testing.assert_close(y[y != 0], torch.full_like(y[y != 0], 1 / 0.7))
    assert torch.equal(model(x), y)
    assert model.eval()(x) is x


def test_two_dropouts_draw_differently_and_none_returns_to_torchs_generator() -> None:
    model = TreeModule(Chain((("a", Dropout(0.5)), ("b", Dropout(0.5)))))
    x = torch.ones(100, 100)
    set_sample_keys(model, sample_keys(0, 0, torch.arange(100)))
    first = model.get_submodule("a")(x)
    assert not torch.equal(first, model.get_submodule("b")(x))
    set_sample_keys(model, None)
    torch.manual_seed(0)
    free = model(x)
    assert not torch.equal(free, model(x))
    torch.manual_seed(0)
    assert torch.equal(free, model(x))


def test_keys_of_another_batch_or_type_are_refused() -> None:
    model = TreeModule(Chain((("a", Dropout(0.5)),)))
    set_sample_keys(model, torch.arange(3))
    with pytest.raises(ShapeError, match="3 sample keys meet a batch of 2"):
        model(torch.ones(2, 4))
    with pytest.raises(ShapeError, match="int64"):
        set_sample_keys(model, torch.zeros(3))
