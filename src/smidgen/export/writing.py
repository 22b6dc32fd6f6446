"""From a network and its weights to the files of a target: all of them, or none."""

from __future__ import annotations

import os
from collections.abc import Iterable
from contextlib import ExitStack
from pathlib import Path

from smidgen import atomic, gate
from smidgen.export.targets import Options, Target, Tensors, load, require_options, require_packages
from smidgen.graph import Network
from smidgen.spec import SmidgenError

__all__ = ["paths", "require", "write"]


def paths(name: str, path: Path) -> list[Path]:
    """All files of an export, of which `path` is the first.

    Raises   SmidgenError where its name does not end as the target's does.
    """
    first, *others = load(name).SUFFIXES
    if path.name.endswith(first) and path.name != first:
        stem = path.name[: -len(first)]
        return [path, *(path.with_name(stem + other) for other in others)]
    better = path / f"model{first}" if path.is_dir() else path.with_name(f"{path.stem}{first}")
    raise SmidgenError(f"'{path}': a file for {name} ends in {first}; call it {better}")


def require(name: str, path: Path, options: Options, reads: Iterable[Path | str] = ()) -> list[Path]:
    """See before the work that a target can be written, with these options, to that place; returns its files.

    reads    what the caller reads
    Raises   UnknownNameError, DependencyError, SmidgenError as `gate.require`.
    """
    require_options(name, options)
    require_packages(name)
    files, kind, reads = paths(name, path), _kind(name), tuple(reads)
    for file in files:
        gate.require(file, kind, reads)
    return files


def write(
    network: Network,
    tensors: Tensors,
    name: str,
    path: Path,
    options: Options | None = None,
    reads: Iterable[Path | str] = (),
) -> list[Path]:
    """Write a network for the target `name`; returns the files, the first of which is `path`.

    tensors  weights by state-dict name, float32
    reads    what the caller reads, and what is therefore not written over
    Raises   as `require`; SmidgenError where the target cannot say the network or a file cannot be written:
             what was there is then as it was, unless a file cannot take its name after another has.
    """
    options, reads = options or Options(), tuple(reads)
    files = require(name, path, options, reads)
    content = load(name).content(network, tensors, options)
    try:
        with ExitStack() as stack:
            for file, suffix in zip(files, load(name).SUFFIXES, strict=True):
                _put(content[suffix], stack.enter_context(atomic.replacing(file)), file)
            # All are on the disk, and none has its name yet: the last moment to look what is there.
            for file in files:
                gate.unharmed(file, _kind(name), reads)
    except OSError as error:
        raise gate.cannot(path, error) from None
    return files


def _kind(name: str) -> gate.Kind:
    target: Target = load(name)
    return gate.Kind(f"an export to {name} that nobody has changed", lambda path, _head: target.is_ours(path))


def _put(content: bytes, temporary: Path, file: Path) -> None:
    """Write what will be `file`, to the disk. Raises SmidgenError."""
    try:
        with temporary.open("wb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
    except OSError as error:
        raise gate.cannot(file, error) from None
