"""Data sets: folders, CSV labels and named sets; what is in them, and who sees which picture.

    open_dataset -> survey -> require_readable -> split -> load_pixels

Torch-free. Nothing here ever writes to a user's data.
"""

from smidgen.data.dataset import Dataset, FilePicture, MemoryPicture, Picture, SplitName
from smidgen.data.folder import open_folder
from smidgen.data.labels import open_labels
from smidgen.data.opening import open_dataset
from smidgen.data.parallel import Progress
from smidgen.data.pixels import MEMORY_LIMIT, load_pixels
from smidgen.data.split import Split, split
from smidgen.data.survey import (
    Decoded,
    Survey,
    Unreadable,
    clashes,
    fingerprint,
    require_readable,
    survey,
)
from smidgen.data.write import write_folder

__all__ = [
    "MEMORY_LIMIT",
    "Dataset",
    "Decoded",
    "FilePicture",
    "MemoryPicture",
    "Picture",
    "Progress",
    "Split",
    "SplitName",
    "Survey",
    "Unreadable",
    "clashes",
    "fingerprint",
    "load_pixels",
    "open_dataset",
    "open_folder",
    "open_labels",
    "require_readable",
    "split",
    "survey",
    "write_folder",
]
