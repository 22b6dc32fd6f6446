"""`smidgen check`: is this data trainable, and what is in it?"""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import click

from smidgen.cli.output import print_json, print_table, progress, say
from smidgen.data import (
    Dataset,
    Near,
    Split,
    Survey,
    clashes,
    fingerprint,
    inspect_dataset,
    near_identical,
    passed_over,
    require_readable,
    sets,
    split,
    survey,
    unbalanced_news,
)
from smidgen.spec import DataError, counted

__all__ = ["command"]

MOST_LISTED = 10
MOST_CLASSES = 30
PARTS = ("train", "val", "test")


@dataclass(frozen=True, slots=True)
class Findings:
    """All that was found out about a data set.

    parts     the split of the seed, None where the data cannot be split
    problems  why it cannot be trained on, one line each
    """

    dataset: Dataset
    survey: Survey
    parts: Split | None
    near: tuple[Near, ...]
    problems: tuple[str, ...]

    def names(self, indices: Iterable[int]) -> list[str]:
        """Names of these pictures."""
        return [self.dataset.pictures[index].name for index in indices]

    def counts(self, indices: Iterable[int] | None = None) -> dict[str, int]:
        """Usable pictures of each class, among these or all."""
        chosen = range(len(self.survey.decoded)) if indices is None else indices
        labels = Counter(self.dataset.pictures[index].label for index in chosen if self.survey.decoded[index])
        return {name: labels[label] for label, name in enumerate(self.dataset.classes)}

    def by_part(self) -> dict[str, tuple[int, ...]]:
        """Indices of the pictures in each part; nothing where the data cannot be split."""
        return {} if self.parts is None else {part: getattr(self.parts, part) for part in PARTS}


@click.command("check")
@click.argument("data")
@click.option("--group-by", metavar="REGEX", help="Pictures whose names match alike stay in one part.")
@click.option("--seed", default=0, show_default=True, help="Seed of the split that is shown.")
@click.option("--skip-bad", is_flag=True, help="Leave out pictures that cannot be read.")
@click.option("--download", is_flag=True, help="Fetch DATA, the name of a set, where it is not here yet.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(data: str, group_by: str | None, seed: int, skip_bad: bool, download: bool, as_json: bool) -> int:
    """Decode every picture of DATA and list all that is wrong or worth knowing.

    DATA is a folder, a CSV or the name of a set. Exit code 0 where it can be trained on, otherwise 2.
    """
    if download:
        with progress(f"fetching {data}") as report:
            sets.download(data, report)
    dataset = inspect_dataset(data, group_by=group_by)
    with progress("checking pictures") as report:
        seen = survey(dataset, report)
    found = _examine(dataset, seen, seed, skip_bad)
    if as_json:
        print_json(_document(found, seed))
    else:
        _show(found, seed)
    for problem in found.problems:
        say(problem, "red", err=True)
    return 2 if found.problems else 0


def _examine(dataset: Dataset, seen: Survey, seed: int, skip_bad: bool) -> Findings:
    problems = list(dataset.problems)
    try:
        require_readable(seen, skip_bad)
    except DataError as error:
        problems.append(str(error))
    parts = None
    try:
        parts = split(dataset, seen, seed)
    except DataError as error:
        if not dataset.problems and any(seen.decoded):  # otherwise it only follows from what is listed
            problems.append(str(error))
    return Findings(dataset, seen, parts, near_identical(dataset, seen, parts), tuple(problems))


# ── what is worth knowing ────────────────────────────────────────────────────────────────────────────


def _warnings(found: Findings) -> Iterator[tuple[str, list[str]]]:
    """Each warning with the names that belong to it."""
    counts = found.counts()
    unreadable = [bad.reason for bad in found.survey.unreadable]
    yield _counted(unreadable, "picture cannot be read", "pictures cannot be read"), unreadable
    single = [name for name, count in counts.items() if count == 1]
    yield _counted(single, "class has a single picture", "classes have a single picture"), single
    for part, indices in found.by_part().items():
        absent = [name for name, count in found.counts(indices).items() if indices and not count]
        yield _counted(absent, f"class is absent from {part}", f"classes are absent from {part}"), absent
    twice = [" = ".join(found.names(group)) for group in clashes(found.dataset, found.survey)]
    yield _counted(twice, "picture stands in two classes", "pictures stand in two classes"), twice
    for what, near in _near(found):
        yield _counted(near, f"pair of near-identical pictures {what}", f"near-identical pairs {what}"), near
    yield unbalanced_news(counts) or "", []
    left_out = found.names(found.parts.left_out if found.parts else ())
    what = "left out: another part has the same"
    yield _counted(left_out, f"picture is {what}", f"pictures are {what}"), left_out
    alone = _ungrouped(found.dataset)
    yield _counted(alone, "picture is in no group", "pictures are in no group"), alone
    ignored = [name for name in found.dataset.ignored if not name.endswith("/")]
    yield _counted(ignored, "file was passed over", "files were passed over"), ignored
    runs = [f"{name} ({counted(count, 'picture')})" for name, count in passed_over(found.dataset).items()]
    yield _counted(runs, "folder with runs was passed over", "folders with runs were passed over"), runs


def _counted(lines: Sequence[str], one: str, several: str) -> str:
    return f"{len(lines):,} {one if len(lines) == 1 else several}" if lines else ""


def _near(found: Findings) -> Iterator[tuple[str, list[str]]]:
    for what, chosen in (
        ("in two classes", [pair for pair in found.near if pair.classes]),
        ("in two parts", [pair for pair in found.near if pair.parts and not pair.classes]),
    ):
        yield what, [" ~ ".join(found.names((pair.first, pair.second))) for pair in chosen]


def _ungrouped(dataset: Dataset) -> list[str]:
    pairs = zip(dataset.pictures, dataset.groups or (), strict=False)
    return [picture.name for picture, group in pairs if not group]


# ── how it is shown ──────────────────────────────────────────────────────────────────────────────────


def _document(found: Findings, seed: int) -> dict[str, object]:
    dataset, seen = found.dataset, found.survey
    return {
        "name": dataset.name,
        "source": dataset.source,
        "trainable": not found.problems,
        "problems": list(found.problems),
        "warnings": [title for title, _ in _warnings(found) if title],
        "fingerprint": fingerprint(dataset, seen),
        "channels": seen.channels,
        "sizes": _sizes(seen),
        "classes": found.counts(),
        "seed": seed,
        "split": {part: found.counts(indices) for part, indices in found.by_part().items()} or None,
        "groups": len({*dataset.groups} - {""}) if dataset.groups else None,
        "no_group": _ungrouped(dataset),
        "unreadable": [bad.reason for bad in seen.unreadable],
        "identical": [found.names(group) for group in seen.identical()],
        "in_two_classes": [found.names(group) for group in clashes(dataset, seen)],
        "near_identical": [
            {"pictures": found.names((pair.first, pair.second)), "classes": pair.classes, "parts": pair.parts}
            for pair in found.near
        ],
        "left_out": found.names(found.parts.left_out if found.parts else ()),
        "ignored": list(dataset.ignored),
    }


def _sizes(seen: Survey) -> dict[str, list[float]] | None:
    """Width and height: the least, the median, the greatest."""
    sides = {
        "width": [picture.width for picture in seen.decoded if picture],
        "height": [picture.height for picture in seen.decoded if picture],
    }
    if not sides["width"]:
        return None
    return {name: [min(all_), statistics.median(all_), max(all_)] for name, all_ in sides.items()}


def _show(found: Findings, seed: int) -> None:
    seen, counts = found.survey, found.counts()
    colour = "grey" if seen.channels == 1 else "colour"
    usable = counted(sum(counts.values()), "usable picture")
    total = f"{usable} in {counted(len(counts), 'class', 'classes')}, {colour}"
    say(f"{found.dataset.name}: {total}", "bold")
    _show_classes(found, counts)
    sizes = _sizes(seen)
    if sizes:
        small, median, large = (f"{w:g}x{h:g}" for w, h in zip(sizes["width"], sizes["height"], strict=True))
        say(f"sizes        {small}" + (f" to {large}, median {median}" if small != large else ""))
    if found.parts is not None:
        parts = ", ".join(f"{len(indices):,} {part}" for part, indices in found.by_part().items())
        say(f"split        {parts}, {_origin(found.dataset, seed)}")
    if found.dataset.groups is not None:
        say(f"groups       {len({*found.dataset.groups} - {''}):,}")
    say(f"duplicates   {sum(len(group) - 1 for group in seen.identical()):,} pictures repeat another")
    say(f"fingerprint  {fingerprint(found.dataset, seen)}")
    for title, lines in _warnings(found):
        if title:
            say(title, "yellow")
            _list(lines, len(lines) if title.endswith("be read") else MOST_LISTED)
    if found.problems:
        say(f"not trainable, for {_counted(found.problems, 'reason', 'reasons')}", "bold red")
    else:
        say("trainable", "bold green")


def _show_classes(found: Findings, counts: dict[str, int]) -> None:
    parts = {part: found.counts(indices) for part, indices in found.by_part().items()}
    rows = [
        [name, f"{count:,}", *(f"{of_part[name]:,}" for of_part in parts.values())]
        for name, count in counts.items()
    ]
    print_table(("class", "pictures", *parts), rows[:MOST_CLASSES])
    if len(rows) > MOST_CLASSES:
        say(f"… and {len(rows) - MOST_CLASSES:,} more classes; --json lists all")


def _origin(dataset: Dataset, seed: int) -> str:
    given = [part for part in PARTS if part in (dataset.given_split or ())]
    if len(given) == len(PARTS):
        return "all given by the data"
    return f"{' and '.join(given)} given by the data, else seed {seed}" if given else f"seed {seed}"


def _list(lines: Sequence[str], most: int) -> None:
    for line in lines[:most]:
        say(f"  {line}")
    if len(lines) > most:
        say(f"  … and {len(lines) - most:,} more; --json lists all")
