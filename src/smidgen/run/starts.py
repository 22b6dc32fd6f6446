"""Where candidates start: from nothing, from published weights, or under a teacher that has them.

Few pictures teach a small network little by themselves. A published network that is tuned to the same
pictures knows more, and the small one learns from its answers (distillation). Where that pays, and where
it does not, is measured in results/transfer.csv.
"""

from __future__ import annotations

import contextlib
import dataclasses
import math
from collections.abc import Callable, Iterable

from smidgen import families, weights
from smidgen.graph import Network
from smidgen.run.beginning import cuts_within
from smidgen.run.plan import Start, Trial
from smidgen.scaling import costs
from smidgen.scaling.device import Device
from smidgen.scaling.on_device import network_ms
from smidgen.spec import LATENCY, Budget, BudgetError, ShapeError
from smidgen.train.distil import VIEWS
from smidgen.train.material import Material
from smidgen.train.recipe import Recipe, recipe
from smidgen.watch import Watch
from smidgen.weights import Published

__all__ = [
    "DISTILLATION",
    "cut_trials",
    "news_of_weights",
    "published_trials",
    "taught",
    "teacher_trial",
    "tuned",
]

# Sides that a published network sees small pictures at: below, its maps shrink to single pixels early.
SMALLEST, LARGEST = 64, 224
STEP = 32
ENLARGED = 3.0  # times the pictures' own size
CUT_ENLARGED = (1.5, 2.25)  # for networks that are cut, whose maps do not shrink as far

MOST_CUTS = 4  # of one network at one size

FEWEST_PIXELS = 20  # of pictures in which a network that knows photographs can see anything

# Multiply-adds of tuning and of lessons that are worth it unasked: some minutes on two processors.
AFFORDABLE_MACS = 2e13

DISTILLATION = 0.7  # share of the pupil's loss that the teacher gives


def teacher_trial(material: Material, watch: Watch, sizes: int = 1) -> Trial | None:
    """The published network that will teach: the cheapest whose weights are on this machine.

    sizes   of pictures among its pupils, each of which takes lessons of its own
    None where there are none, where pictures are too small for it, or where tuning it and its lessons would
    take too long.
    """
    here = [row for row in weights.rows() if row.key == "imagenet" and weights.present(row)]
    if not here or material.resolution < FEWEST_PIXELS:
        return None
    trial = min((tuned(row, material) for row in here), key=lambda trial: trial.network.cost().macs)
    lessons = sizes * VIEWS * len(material.split.train) * trial.network.cost().macs
    if _macs(trial, material) + lessons <= AFFORDABLE_MACS:
        return trial
    watch.say(
        f"no teacher: tuning {trial.network.name}, the cheapest that is published, and its lessons "
        f"would take too long for {len(material.split.train):,} pictures"
    )
    return None


def published_trials(
    material: Material,
    budget: Budget,
    chosen: tuple[str, ...] = (),
    device: Device | None = None,
    resolution: int | None = None,
) -> list[Trial]:
    """Published networks inside the budget, to start from their weights; `chosen` families, default all.

    resolution  as for `tuned`
    """
    trials = [tuned(row, material, resolution) for row in _here(chosen) if not _too_large(row, budget)]
    fits = _limits(budget, device, network_ms)
    return [trial for trial in trials if _macs(trial, material) <= AFFORDABLE_MACS and fits(trial.network)]


def cut_trials(
    material: Material,
    budget: Budget,
    chosen: tuple[str, ...] = (),
    device: Device | None = None,
    resolution: int | None = None,
) -> list[Trial]:
    """The first blocks of published networks, cut and pruned into the budget; parameters as above.

    Of each family, the cheapest network whose weights are here is cut: its first blocks are those of its
    larger sisters, or little narrower.
    """
    trials: list[Trial] = []
    plan = _for_pictures(recipe("cut"), len(material.split.train), full=3000, least=5)
    foreseen, clocked = (_limits(budget, device, ms) for ms in (_bound_ms, network_ms))
    for row in _cheapest(_here(chosen)).values():
        for side in (resolution,) if resolution else _cut_sides(material):
            whole = fitted(row, material, side)
            with contextlib.suppress(BudgetError, ShapeError):
                for network, start in cuts_within(whole, row.key, foreseen, MOST_CUTS):
                    trials.append(Trial(network, plan, start=start))
    return [trial for trial in trials if clocked(trial.network)]


def news_of_weights(chosen: tuple[str, ...], download: bool, watch: Watch) -> str:
    """What to say where no published weights of these families are here; with leave, they are fetched.

    download  leave to fetch the smallest of each family
    Raises    WeightsError where they may be fetched and cannot be.
    """
    if _here(chosen):
        return ""
    rows = [row for row in weights.rows() if _wanted(row, chosen)]
    if download:
        smallest = _cheapest(row for row in rows if row.package is None).values()
        with watch.progress("fetching published weights") as report:
            weights.wanted(smallest, download=True, progress=report)
    return weights.missing_news(rows)


def _cut_sides(material: Material) -> tuple[int, ...]:
    """Sides of the pictures that cut networks are tried at: what they keep is about what is small in them."""
    sides = (_enlarged(material, times) for times in CUT_ENLARGED)
    return tuple(dict.fromkeys(sides))


def _enlarged(material: Material, times: float) -> int:
    side = math.ceil(times * material.resolution / STEP) * STEP
    return min(LARGEST, max(SMALLEST, side))


def _here(chosen: tuple[str, ...]) -> list[Published]:
    """The best published weights of each network of these families, where they are on this machine."""
    return [row for row in weights.rows() if _wanted(row, chosen) and weights.present(row)]


def _wanted(row: Published, chosen: tuple[str, ...]) -> bool:
    family = families.family_of(row.network).name
    return row.key == "imagenet" and (not chosen or family in chosen)


def _cheapest(rows: Iterable[Published]) -> dict[str, Published]:
    """Of each family, the network with the fewest multiply-adds."""
    found: dict[str, Published] = {}
    for row in sorted(rows, key=lambda row: families.network(row.network).cost().macs):
        found.setdefault(families.family_of(row.network).name, row)
    return found


def _limits(
    budget: Budget, device: Device | None, ms: Callable[[Network, Device], float]
) -> Callable[[Network], bool]:
    """Whether a network obeys every limit; milliseconds are asked last, and only where they are limited."""
    limit = budget.limits().get(LATENCY.name)

    def fits(network: Network) -> bool:
        if budget.counted().excesses(costs(network)):
            return False
        return limit is None or device is None or ms(network, device) <= limit

    return fits


def _bound_ms(network: Network, device: Device) -> float:
    """What is foreseen, without a clock."""
    return device.bound_ms(network)


def _macs(trial: Trial, material: Material) -> float:
    """Multiply-adds of the whole training; backward takes twice those of forward."""
    return 3.0 * trial.recipe.epochs * len(material.split.train) * trial.network.cost().macs


def taught(trial: Trial, teacher: Trial) -> Trial:
    """The trial as the teacher's pupil: all pupils see the same views, at the recipe's full strength."""
    views = recipe("small").augment
    lessons = dataclasses.replace(trial.recipe, distillation=DISTILLATION, augment=views)
    return dataclasses.replace(trial, recipe=lessons, teacher=teacher.network.name)


def tuned(row: Published, material: Material, resolution: int | None = None) -> Trial:
    """A published network for the data's classes, starting from its weights.

    resolution  that it sees the pictures at; default: enlarged, so that its last map is more than a pixel
    """
    network = fitted(row, material, resolution or _enlarged(material, ENLARGED))
    plan = _for_pictures(recipe("tuning"), len(material.split.train), full=1500, least=3)
    return Trial(network, plan, start=Start(row.network, row.key))


def fitted(row: Published, material: Material, side: int) -> Network:
    """A published network for the data's classes and channels, which sees its pictures as it did before."""
    network = families.network(
        row.network,
        num_classes=len(material.dataset.classes),
        c_in=material.channels,
        resolution=side,
        dropped_strides=0,
    )
    mean, std = row.preprocess.mean, row.preprocess.std
    if material.channels == 1:
        mean, std = (sum(mean) / len(mean),), (sum(std) / len(std),)
    preprocess = dataclasses.replace(
        row.preprocess, resize=side, mean=mean, std=std, aspect=material.preprocess.aspect
    )
    return dataclasses.replace(network, preprocess=preprocess, classes=material.dataset.classes)


def _for_pictures(base: Recipe, pictures: int, *, full: int, least: int) -> Recipe:
    """A recipe for tuning, with fewer epochs, but the least, for more pictures than `full`."""
    return base.shortened(max(least, min(base.epochs, round(base.epochs * full / max(1, pictures)))))


def _too_large(row: Published, budget: Budget) -> bool:
    """Whether its parameters alone, without the head for ImageNet's classes, break the budget."""
    limit = budget.params
    if limit is None:
        return False
    return families.network(row.network, num_classes=2).cost().params > limit
