"""Data sets: folders, CSV labels and named sets; what is in them, and who sees which picture.

    open_dataset -> survey -> require_readable -> split -> load_pixels

Folders of runs are known here too, for they are no pictures. Torch-free. Nothing here ever writes to a
user's data.
"""

from smidgen.data.balance import class_counts, unbalanced_news
from smidgen.data.dataset import Dataset, FilePicture, MemoryPicture, Picture, SplitName
from smidgen.data.folder import open_folder, passed_over, passed_over_news, run_news
from smidgen.data.labels import open_labels
from smidgen.data.memory import memory_limit, pictures_limit
from smidgen.data.near import Near, near_identical
from smidgen.data.opening import from_anywhere, inspect_dataset, open_dataset
from smidgen.data.parallel import Progress
from smidgen.data.pixels import load_pixels
from smidgen.data.places import place_for, require_place
from smidgen.data.runs import count_pictures, holds_runs, read_record
from smidgen.data.split import Split, split
from smidgen.data.survey import (
    Decoded,
    Survey,
    Unreadable,
    clashes,
    fingerprint,
    require_readable,
    survey,
    unreadable_news,
)
from smidgen.data.write import write_folder

__all__ = [
    "Dataset",
    "Decoded",
    "FilePicture",
    "MemoryPicture",
    "Near",
    "Picture",
    "Progress",
    "Split",
    "SplitName",
    "Survey",
    "Unreadable",
    "clashes",
    "class_counts",
    "count_pictures",
    "fingerprint",
    "from_anywhere",
    "holds_runs",
    "inspect_dataset",
    "load_pixels",
    "memory_limit",
    "near_identical",
    "open_dataset",
    "open_folder",
    "open_labels",
    "passed_over",
    "passed_over_news",
    "pictures_limit",
    "place_for",
    "read_record",
    "require_place",
    "require_readable",
    "run_news",
    "split",
    "survey",
    "unbalanced_news",
    "unreadable_news",
    "write_folder",
]
