import copy

import torch
from torch import nn

from smidgen.train.average import Average


def model() -> nn.Module:
    return nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2))


def test_average_is_the_weighted_sum_of_all_states() -> None:
    net = model()
    average = Average(net, 0.3)
    expected = copy.deepcopy(net).state_dict()
    for step in range(1, 6):
        with torch.no_grad():
            for value in (*net.parameters(), *net.buffers()):
                value.copy_(torch.randn(value.shape) * 10)
        average.update()
        decay = min(0.3, (1 + step) / (10 + step))
        for name, value in net.state_dict().items():
            if value.is_floating_point():
                expected[name] = decay * expected[name] + (1 - decay) * value
    for name, value in average.model.state_dict().items():
        torch.testing.assert_close(value, expected[name])


def test_statistics_of_norms_are_averaged_too() -> None:
    net = model()
    average = Average(net, 0.9)
    net(torch.randn(8, 3) + 5)
    average.update()
    means = average.model.state_dict()["1.running_mean"]
    assert torch.all(means != 0)
    assert not torch.equal(means, net.state_dict()["1.running_mean"])


def test_storing_leaves_the_average_in_the_model() -> None:
    net = model()
    average = Average(net, 0.9)
    net(torch.randn(8, 3))
    average.store(net)
    assert torch.equal(net.state_dict()["1.running_var"], torch.ones(2))
    assert all(value.requires_grad for value in net.parameters())
