"""`smidgen check`: is this data trainable?"""

from __future__ import annotations

import statistics
from collections import Counter

import click

from smidgen.cli.output import print_json, print_table, progress, say
from smidgen.data import Dataset, Survey, clashes, fingerprint, open_dataset, survey

__all__ = ["command"]

MOST_LISTED = 20


@click.command("check", short_help="Say whether DATA can be trained on.")
@click.argument("data")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(data: str, as_json: bool) -> int:
    """Decode every picture of DATA and report classes, sizes, unreadable files and duplicates.

    Exit code 1 where pictures cannot be read or one picture stands in two classes.
    """
    dataset = open_dataset(data)
    with progress("checking pictures") as report:
        found = survey(dataset, report)
    contradictions = clashes(dataset, found)
    if as_json:
        print_json(_document(dataset, found))
    else:
        _show(dataset, found)
    return 1 if found.unreadable or contradictions else 0


def _counts(dataset: Dataset, found: Survey) -> dict[str, int]:
    usable = Counter(
        picture.label
        for picture, seen in zip(dataset.pictures, found.decoded, strict=True)
        if seen is not None
    )
    return {name: usable[label] for label, name in enumerate(dataset.classes)}


def _document(dataset: Dataset, found: Survey) -> dict[str, object]:
    names = [picture.name for picture in dataset.pictures]
    return {
        "name": dataset.name,
        "source": dataset.source,
        "fingerprint": fingerprint(dataset, found),
        "channels": found.channels,
        "classes": _counts(dataset, found),
        "unreadable": [bad.reason for bad in found.unreadable],
        "identical": [[names[index] for index in group] for group in found.identical()],
        "in_two_classes": [[names[index] for index in group] for group in clashes(dataset, found)],
        "ignored": list(dataset.ignored),
    }


def _show(dataset: Dataset, found: Survey) -> None:
    counts = _counts(dataset, found)
    colour = "grey" if found.channels == 1 else "colour"
    say(
        f"{dataset.name}: {sum(counts.values()):,} usable pictures in {len(counts)} classes, {colour}", "bold"
    )
    print_table(("class", "pictures"), [[name, f"{count:,}"] for name, count in counts.items()])
    sizes = [(seen.width, seen.height) for seen in found.decoded if seen]
    if sizes:
        widths, heights = zip(*sizes, strict=True)
        median = f"{statistics.median(widths):g}x{statistics.median(heights):g}"
        say(f"sizes        {min(widths)}x{min(heights)} to {max(widths)}x{max(heights)}, median {median}")
        ratio = max(counts.values()) / max(1, min(counts.values()))
        say(f"imbalance    the largest class has {ratio:.1f}x the pictures of the smallest")
    say(f"duplicates   {sum(len(group) - 1 for group in found.identical()):,} pictures repeat another")
    names = [picture.name for picture in dataset.pictures]
    _list(
        "in two classes", [" = ".join(names[index] for index in group) for group in clashes(dataset, found)]
    )
    _list("unreadable", [bad.reason for bad in found.unreadable])
    _list("ignored", list(dataset.ignored))
    say(f"fingerprint  {fingerprint(dataset, found)}")


def _list(label: str, lines: list[str]) -> None:
    if lines:
        say(f"{label}: {len(lines):,}")
    for line in lines[:MOST_LISTED]:
        say(f"  {line}")
    if len(lines) > MOST_LISTED:
        say(f"  … and {len(lines) - MOST_LISTED:,} more; --json lists all")
