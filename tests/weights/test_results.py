from collections import Counter

import pytest

from smidgen import families, weights
from smidgen.weights.results import RESULTS, TORCHVISION, results_of


def test_every_result_is_of_a_network_that_can_be_built() -> None:
    assert {row.network for row in RESULTS} <= set(families.names())


def test_no_network_has_two_results() -> None:
    assert max(Counter(row.network for row in RESULTS).values()) == 1


def test_accuracies_are_per_cent_and_have_a_source_and_a_data_set() -> None:
    for row in RESULTS:
        assert 50 < row.top1 < 100
        assert row.source
        assert row.dataset in ("ImageNet", "CIFAR-10")


def test_networks_for_cifar_have_results_on_cifar() -> None:
    for row in RESULTS:
        assert (row.dataset == "CIFAR-10") == (families.network(row.network).num_classes == 10)


def test_results_of_torchvision_are_those_of_its_weights() -> None:
    for row in RESULTS:
        if row.source == TORCHVISION:
            assert row.top1 == weights.find(row.network).top1


# Tan & Le 2019, arXiv:1905.11946v5, Table 2
@pytest.mark.parametrize(("variant", "top1"), [*enumerate((77.1, 79.1, 80.1, 81.6, 82.9, 83.6, 84.0, 84.3))])
def test_efficientnets_have_the_accuracy_of_the_paper(variant: int, top1: float) -> None:
    row = results_of(f"efficientnet_b{variant}")
    assert row is not None
    assert row.top1 == top1


def test_published_parameters_stand_only_where_the_tree_has_others() -> None:
    for row in RESULTS:
        if row.params is not None:
            counted = families.network(row.network).cost().params / 1e6
            assert abs(counted - row.params) < 0.15
            assert counted != row.params


def test_a_network_without_a_figure_has_none() -> None:
    assert results_of("squeezenet1_0_complex_bypass") is None
    assert results_of("nothing") is None
