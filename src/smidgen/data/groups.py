"""Pictures that belong together, such as all of one person: a split must not tear them apart."""

from __future__ import annotations

import dataclasses
import re

from smidgen.data.dataset import Dataset
from smidgen.spec import DataError

__all__ = ["with_groups"]


def with_groups(dataset: Dataset, group_by: str) -> Dataset:
    """Put each picture into the group that a regular expression finds in its name.

    group_by  searched for in the name (for files the path below the folder); what its first parenthesis
              matched is the group, without one all that it matched. Pictures without a match, or with an
              empty one, are in no group.
    Raises    DataError when it is no regular expression, matches no picture, or puts all into one group.
    """
    try:
        pattern = re.compile(group_by)
    except (re.error, OverflowError, RecursionError) as error:
        raise DataError(f"--group-by '{group_by}' is no regular expression ({error})") from None
    groups = tuple(_group(pattern, picture.name) for picture in dataset.pictures)
    found = set(groups) - {""}
    if not found:
        example = dataset.pictures[0].name if dataset.pictures else "none"
        raise DataError(f"--group-by '{group_by}' matches no picture; their names look like {example}")
    if len(found) == 1 and "" not in groups:
        raise DataError(
            f"--group-by '{group_by}' puts all {len(groups):,} pictures into one group, '{groups[0]}'; "
            "nothing could be held back for a test"
        )
    return dataclasses.replace(dataset, groups=groups)


def _group(pattern: re.Pattern[str], name: str) -> str:
    match = pattern.search(name)
    return (match[1 if pattern.groups else 0] or "") if match else ""
