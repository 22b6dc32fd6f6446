"""What a search has to train: tasks that follow from the finished ones alone.

Successive halving over the grid first, at the smallest budget (about φ = 1, twice the base's resources);
then the rule that it found against the named ones at every budget. `due` is a pure function, so any
number of workers that are killed and started anew agree on what comes next.

Sources   Tan & Le 2019, arXiv:1905.11946, section 3.3; Jamieson and Talwalkar 2016, arXiv:1502.07943
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from smidgen.graph import Network
from smidgen.run.plan import ETA
from smidgen.search.growth import BASE, Base, grown, largest, rule_of
from smidgen.train import Recipe

__all__ = ["FINALISTS", "Agenda", "Heat", "Task"]

FINALISTS = 3  # candidates of the grid that are trained with every seed to the end
FIRST_SHARE, SECOND_SHARE = 1 / 3, 2 / 3  # of the epochs, in the heats before


class Task(NamedTuple):
    """One training: a rule's largest network inside a budget, a seed, and so many epochs.

    rule   the first of those that have this network: none is trained twice
    """

    rule: str
    macs: int
    seed: int
    epochs: int


class Heat(NamedTuple):
    """One round of the halving: so many candidates, each with seeds 0, 1, … below `seeds`."""

    candidates: int
    seeds: int
    epochs: int


@dataclass(frozen=True, slots=True)
class Agenda:
    """A search as it was decided.

    base_macs  budget of the base, which is trained too: where all curves begin
    budgets    ascending, in multiply-adds
    rules      named ones, compared at every budget
    grid       labels of the candidates, the first of each group being the one that is trained; empty: no grid
    recipe     of the full training, the same for all; heats squeeze it into fewer epochs
    """

    base: Base
    base_macs: int
    budgets: tuple[int, ...]
    rules: tuple[str, ...]
    grid: tuple[tuple[str, ...], ...]
    seeds: int
    recipe: Recipe

    def heats(self) -> tuple[Heat, ...]:
        """Rounds of the grid: from all candidates with one seed to FINALISTS with every seed."""
        count, epochs = len(self.grid), self.recipe.epochs
        found = []
        for share, seeds in ((FIRST_SHARE, 1), (SECOND_SHARE, min(2, self.seeds))):
            if count > FINALISTS:
                found.append(Heat(count, seeds, max(1, round(share * epochs))))
                count = max(FINALISTS, math.ceil(count / ETA))
        return (*found, Heat(min(count, FINALISTS), self.seeds, epochs)) if count else ()

    def due(self, scores: Mapping[Task, float]) -> tuple[Task, ...]:
        """Every task that the scores of finished ones make due, those of the grid first.

        scores   accuracy of each finished task; a training that went wrong counts 0
        """
        return tuple(dict.fromkeys(self._due(scores)))

    def found(self, scores: Mapping[Task, float]) -> str | None:
        """The grid's winner, once it is known."""
        for heat, labels in self._rounds(scores):
            if heat == self.heats()[-1]:
                ranked = self._ranked(heat, labels, scores)
                return ranked[0] if ranked else None
        return None

    def finalists(self, scores: Mapping[Task, float]) -> tuple[str, ...]:
        """Candidates of the grid that are trained with every seed, once they are known."""
        return next((labels for heat, labels in self._rounds(scores) if heat == self.heats()[-1]), ())

    def network(self, rule: str, macs: int) -> tuple[float, Network]:
        """φ and network of a rule at a budget."""
        if rule == BASE:
            return 0.0, grown(self.base, rule_of(rule), 0)
        return largest(self.base, rule, macs)

    def work(self) -> int:
        """Multiply-adds of one picture through all trainings, at most: as far as budgets tell."""
        compared = set(self.rules) | ({"the one found"} if self.grid else set())
        heats = sum(heat.candidates * heat.seeds * heat.epochs for heat in self.heats())
        full = self.seeds * self.recipe.epochs
        # The grid's winner needs no second training at the smallest budget.
        again = full * self.budgets[0] if self.grid else 0
        curves = full * (len(compared) * sum(self.budgets) + self.base_macs)
        return heats * self.budgets[0] + curves - again

    def tasks_of(self, rule: str, macs: int) -> tuple[Task, ...]:
        """The full trainings of a rule's network at a budget, a seed each."""
        first = self.first_alike(rule, macs)
        return tuple(Task(first, macs, seed, self.recipe.epochs) for seed in range(self.seeds))

    def first_alike(self, rule: str, macs: int) -> str:
        """The first rule, named ones before those of the grid, with this one's network at a budget."""
        if rule == BASE:
            return BASE
        wanted = self._shape(rule, macs)
        return next((named for named in self.rules if self._shape(named, macs) == wanted), rule)

    def to_json(self) -> dict[str, Any]:
        """The agenda, ready for JSON."""
        return {
            "base": self.base.to_json(),
            "base_macs": self.base_macs,
            "budgets": list(self.budgets),
            "rules": list(self.rules),
            "grid": [list(group) for group in self.grid],
            "seeds": self.seeds,
            "recipe": self.recipe.to_dict(),
        }

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Agenda:
        """Read what `to_json` wrote."""
        return cls(
            base=Base.from_json(document["base"]),
            base_macs=document["base_macs"],
            budgets=tuple(document["budgets"]),
            rules=tuple(document["rules"]),
            grid=tuple(tuple(group) for group in document["grid"]),
            seeds=document["seeds"],
            recipe=Recipe.from_dict(document["recipe"]),
        )

    def _due(self, scores: Mapping[Task, float]) -> Iterator[Task]:
        for heat, labels in self._rounds(scores):
            yield from self._of(heat, labels)
        winner = self.found(scores)
        for rule in ([winner] if winner else []) + list(self.rules):
            for macs in self.budgets:
                yield from self.tasks_of(rule, macs)
        yield from self.tasks_of(BASE, self.base_macs)

    def _rounds(self, scores: Mapping[Task, float]) -> Iterator[tuple[Heat, tuple[str, ...]]]:
        """The heats that have begun, with their candidates: a heat begins when the one before is over."""
        labels = tuple(group[0] for group in self.grid)
        for place, heat in enumerate(self.heats()):
            if place:
                labels = self._ranked(self.heats()[place - 1], labels, scores)[: heat.candidates]
            if not labels:
                return
            yield heat, labels

    def _shape(self, rule: str, macs: int) -> tuple[object, object]:
        """What makes two networks the same, but for their names."""
        network = self.network(rule, macs)[1]
        return network.tree, network.input

    def _of(self, heat: Heat, labels: Sequence[str]) -> tuple[Task, ...]:
        macs = self.budgets[0]
        firsts = [self.first_alike(label, macs) for label in labels]
        return tuple(Task(first, macs, seed, heat.epochs) for seed in range(heat.seeds) for first in firsts)

    def _ranked(self, heat: Heat, labels: Sequence[str], scores: Mapping[Task, float]) -> tuple[str, ...]:
        """The heat's candidates, best mean first, the grid's order between equals; none before it is over."""
        tasks = self._of(heat, labels)
        if any(task not in scores for task in tasks):
            return ()
        total = {
            label: sum(scores[task] for task in tasks[place :: len(labels)])
            for place, label in enumerate(labels)
        }
        return tuple(sorted(labels, key=lambda label: -total[label]))
