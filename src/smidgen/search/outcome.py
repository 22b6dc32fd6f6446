"""What a finished search has found: search.json, rows.csv and search.png in its folder."""

from __future__ import annotations

import csv
import io
import json
import statistics
from collections.abc import Iterable
from typing import Any

from smidgen import atomic
from smidgen.graph import Network
from smidgen.scaling import Rule
from smidgen.search.agenda import Agenda
from smidgen.search.figure import draw_search
from smidgen.search.growth import BASE, grown, rule_of
from smidgen.search.study import Study, TaskRow
from smidgen.search.verdict import difference, winners

__all__ = ["PHIS", "conclude"]

PHIS = (0, 1, 2, 3, 4)  # of the family that the best rule generates

_COLUMNS = (
    "number", "rule", "alpha", "beta", "gamma", "phi", "budget", "seed", "epochs", "resolution", "params",
    "macs", "accuracy", "loss", "seconds", "recipe", "batch_size", "learning_rate", "process", "note",
)  # fmt: skip


def conclude(study: Study) -> dict[str, Any]:
    """Work out the verdict of a finished study and write its files; the document of search.json.

    Raises   OSError where the disk refuses.
    """
    agenda, rows = study.agenda, study.rows()
    found = _found(study)
    lines = dict.fromkeys([*agenda.rules, *agenda.finalists(study.scores())])
    points = _points(agenda, list(lines), rows)
    best = found["rule"] if found else _best(points, agenda.rules)
    document = {
        **study.about,
        "found": found,
        "best": best,
        "points": points,
        "comparisons": list(_comparisons(study, found["rule"] if found else _leader(agenda.rules))),
        "family": [_member(agenda, best, phi) for phi in PHIS],
        "failed": [f"{row.task.rule} at {row.task.macs:,} MACs: {row.note}" for row in rows if row.note],
        "seconds": sum(row.seconds for row in rows),
        "deaths": study.deaths(),
    }
    folder = study.folder
    atomic.write_text(folder / "rows.csv", _table(agenda, rows))
    with atomic.replacing(folder / "search.png") as path:
        draw_search(document, path)
    atomic.write_text(folder / "search.json", json.dumps(document, indent=1, ensure_ascii=False) + "\n")
    return document


def _points(agenda: Agenda, rules: list[str], rows: Iterable[TaskRow]) -> list[dict[str, Any]]:
    """Accuracy of every rule at every budget, over the seeds that came to an end."""
    full = {row.task: row.accuracy for row in rows if row.accuracy is not None}
    places = [(BASE, agenda.base_macs), *((rule, macs) for rule in rules for macs in agenda.budgets)]
    points = []
    for rule, macs in places:
        values = [full[task] for task in agenda.tasks_of(rule, macs) if task in full]
        if values:
            phi, network = agenda.network(rule, macs)
            spread = statistics.stdev(values) if len(values) > 1 else None
            points.append(
                {"rule": rule, "budget": macs, "phi": phi, **_cost(network)}
                | {"accuracy": statistics.mean(values), "std": spread, "n": len(values)}
            )
    return sorted(points, key=lambda point: (point["budget"], -point["accuracy"]))


def _found(study: Study) -> dict[str, Any] | None:
    """The grid's winner, and how far α, β, γ may lie from it as far as the finalists tell."""
    agenda, scores = study.agenda, study.scores()
    label = agenda.found(scores)
    if label is None:
        return None
    right = {
        name: answers
        for name in agenda.finalists(scores)
        if (answers := study.right(agenda.tasks_of(name, agenda.budgets[0]))) is not None
    }
    if label not in right:  # every candidate went wrong in some seed
        return None
    rivals = [name for name in right if name != label]
    open_ = [name for name in rivals if difference(right[label], right[name]).low <= 0]
    alike = {group[0]: group for group in agenda.grid}
    possible = [rule_of(name) for leader in (label, *open_) for name in alike[leader]]
    return {
        "rule": label,
        **_factors(label),
        "ranges": {
            axis: [min(values), max(values)]
            for axis in ("alpha", "beta", "gamma")
            if (values := [getattr(rule, axis) for rule in possible])
        },
        "same_network": list(alike[label][1:]),
        "no_difference_to": open_,
        "share_of_resamples": winners(right),
    }


def _comparisons(study: Study, first: str) -> Iterable[dict[str, Any]]:
    """The rule that was found, or the compound one, against each other rule at every budget."""
    agenda = study.agenda
    for macs in agenda.budgets:
        ours = study.right(agenda.tasks_of(first, macs))
        for second in agenda.rules:
            theirs = study.right(agenda.tasks_of(second, macs))
            if second == first or ours is None or theirs is None:
                continue
            gap = difference(ours, theirs)
            same = agenda.first_alike(first, macs) == agenda.first_alike(second, macs)
            yield {
                "budget": macs, "first": first, "second": second, **gap._asdict(),
                "verdict": "the same network" if same else gap.verdict,
                "seeds": ours.shape[0], "pictures": ours.shape[1],
            }  # fmt: skip


def _leader(rules: tuple[str, ...]) -> str:
    return "compound" if "compound" in rules else rules[0]


def _best(points: list[dict[str, Any]], rules: tuple[str, ...]) -> str:
    """The named rule with the highest mean accuracy over the budgets."""
    total = {rule: sum(point["accuracy"] for point in points if point["rule"] == rule) for rule in rules}
    return max(total, key=total.__getitem__)


def _member(agenda: Agenda, rule: str, phi: int) -> dict[str, Any]:
    network = grown(agenda.base, rule_of(rule), phi)
    return {"phi": phi, "name": network.name, **_factors(rule), **_cost(network)}


def _cost(network: Network) -> dict[str, int]:
    cost = network.cost()
    return {"resolution": network.input.height, "params": cost.params, "macs": cost.macs}


def _factors(label: str) -> dict[str, float | None]:
    """α, β, γ; None where the rule is another formula."""
    rule = rule_of(label)
    axes = ("alpha", "beta", "gamma")
    return {axis: getattr(rule, axis) if isinstance(rule, Rule) else None for axis in axes}


def _table(agenda: Agenda, rows: Iterable[TaskRow]) -> str:
    """Every trial as a line."""
    text = io.StringIO()
    writer = csv.DictWriter(text, _COLUMNS, lineterminator="\n")
    writer.writeheader()
    for row in sorted(rows, key=lambda row: row.number):
        writer.writerow(_line(agenda, row))
    return text.getvalue()


def _line(agenda: Agenda, row: TaskRow) -> dict[str, object]:
    task, recipe = row.task, agenda.recipe
    phi, network = agenda.network(task.rule, task.macs)
    return {
        "number": row.number, "rule": task.rule, **_factors(task.rule), "phi": phi,
        "budget": task.macs, "seed": task.seed, "epochs": task.epochs, **_cost(network),
        "accuracy": row.accuracy, "loss": row.loss, "seconds": round(row.seconds, 2),
        "recipe": recipe.name, "batch_size": recipe.batch_size, "learning_rate": recipe.learning_rate,
        "process": row.process, "note": row.note,
    }  # fmt: skip
