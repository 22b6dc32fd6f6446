"""How evenly the pictures are spread over the classes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from smidgen.data.dataset import Dataset
from smidgen.data.survey import Survey

__all__ = ["UNBALANCED", "class_counts", "unbalanced_news"]

UNBALANCED = 10  # the largest class against the smallest


def class_counts(dataset: Dataset, survey: Survey) -> dict[str, int]:
    """Usable pictures of each class, by name, in the order of the classes."""
    pairs = zip(dataset.pictures, survey.decoded, strict=True)
    labels = Counter(picture.label for picture, decoded in pairs if decoded)
    return {name: labels[label] for label, name in enumerate(dataset.classes)}


def unbalanced_news(counts: Mapping[str, int], *, weighted: bool = False) -> str | None:
    """A line where the largest class has UNBALANCED times the pictures of the smallest, or more; else None.

    counts    pictures by class; classes without any do not count
    weighted  whether the training lets them count alike already
    """
    present = {name: count for name, count in counts.items() if count}
    if not present:
        return None
    most, least = max(present, key=present.__getitem__), min(present, key=present.__getitem__)
    if present[most] < UNBALANCED * present[least]:
        return None
    remedy = "" if weighted else "; --class-weights lets rare classes count like common ones"
    return (
        f"the largest class has {present[most] / present[least]:.0f} times the pictures of the smallest "
        f"({most} {present[most]:,}, {least} {present[least]:,}): accuracy will flatter{remedy}"
    )
