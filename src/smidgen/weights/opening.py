"""NAME or FILE: what it means, in one place.

What holds a separator or ends in .safetensors is a file. Anything else is a name where a network has it, and
a file where one is there: a file that is called like a network is written ./resnet20.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from smidgen import modelfile
from smidgen.modelfile import ModelFile
from smidgen.spec import SmidgenError, UnknownNameError, closest

if TYPE_CHECKING:
    from smidgen.graph import Network
    from smidgen.weights.conversion import Reader
    from smidgen.weights.download import Progress

__all__ = ["is_path", "open_model", "open_network", "require_model"]


def is_path(target: str | os.PathLike[str]) -> bool:
    """Whether NAME|FILE means a file. A `Path` always does."""
    if not isinstance(target, str) or os.sep in target or target.endswith(".safetensors"):
        return True  # without a look at the families, which a model file does not need
    return target not in _names() and os.path.exists(target)  # noqa: PTH110 (Path raises at some names)


def open_network(target: str | os.PathLike[str], **options: Any) -> Network:
    """Network of a model file, or of any buildable name with the options that are not None.

    Raises   ModelFileError, UnknownNameError; SmidgenError where options come with a file.
    """
    given = {key: value for key, value in options.items() if value is not None}
    if not is_path(target):
        from smidgen import families

        return families.network(_known(target), **given)
    if given:
        raise SmidgenError(
            f"{', '.join(given)}: a model file's network is what it is; options go with a name"
        )
    return modelfile.read(Path(target)).network


def open_model(
    target: str | os.PathLike[str],
    progress: Progress | None = None,
    *,
    download: bool = False,
    read: Reader | None = None,
) -> ModelFile:
    """Network and weights of a model file, or of a name with its published weights.

    progress, download, read  of `published_model`, with a name
    Raises   ModelFileError, UnknownNameError; as `find` and `published_model`.
    """
    if is_path(target):
        return modelfile.read(Path(target))
    from smidgen.weights.catalogue import find
    from smidgen.weights.conversion import published_model

    return published_model(find(_known(target)), progress, download=download, read=read)


def require_model(target: str | os.PathLike[str]) -> None:
    """Refuse, before anything is converted or fetched, what is no whole model file and no name with weights.

    Raises   ModelFileError, UnknownNameError, WeightsError
    """
    if is_path(target):
        modelfile.read(Path(target))
    else:
        from smidgen.weights.catalogue import find

        find(_known(target))


def _known(target: str | os.PathLike[str]) -> str:
    """The name. Raises UnknownNameError where no network has it."""
    name = os.fspath(target)
    if name not in _names():
        raise UnknownNameError(
            f"no file and no network '{name}'; {closest(name, _names())}`smidgen models` lists all"
        )
    return name


def _names() -> tuple[str, ...]:
    from smidgen import families

    return families.names()
