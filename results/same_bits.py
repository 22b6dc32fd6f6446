"""Hashes of everything that networks come out as, to see whether a change of the sources has changed a bit.

    python results/same_bits.py before.json                     # at the old commit
    python results/same_bits.py after.json --against before.json  # at the new one, on the same machine

Every name that can be built, with weights drawn at random: the engine's outputs on each instruction set of
this processor, for one picture and for three, on one thread and on two; the interpreter's; the ONNX model
and the two files of ncnn, with shifts in both forms. Networks that take long are hashed at small
resolutions. Exits with 1 where a hash is another one, or not there.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

import smidgen
from smidgen import graph, native
from smidgen.spec import SmidgenError

MOST_MACS, SMALL = 5e8, (96, 64, 32)  # of a network at its own resolution; resolutions for larger ones
FORMS: tuple[Literal["slices", "depthwise"], ...] = ("slices", "depthwise")  # of an exported shift
# The interpreter is slow, and what it means is decided by the kinds of step, not by sizes.
INTERPRETED = (
    "efficientnet_b0", "efficientnet_lite0", "efficientnet_v2_b0", "squeezenet1_0",
    "squeezenet1_1_complex_bypass", "shiftnet_c", "shiftresnet20_e3", "resnet20", "resnet20_depthwise_e1",
)  # fmt: skip


def main() -> None:
    """Hash, write, compare."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--against", type=Path, help="hashes that these must equal")
    parser.add_argument("--names", default="*", help="pattern of the names to hash")
    parser.add_argument("--part", help=argparse.SUPPRESS)  # an instruction set, or the exports
    given = parser.parse_args()
    if given.part:
        found = exports(given.names) if given.part == "exports" else answers(given.names)
        for key, value in found:
            print(json.dumps([key, value]), flush=True)
        return
    hashes: dict[str, str] = {}
    for part in (*native.isas(), "exports"):
        hashes |= in_a_process(part, given)
        print(f"{part}: {len(hashes)} hashes so far", file=sys.stderr)
    given.out.write_text(json.dumps(hashes, indent=0) + "\n", encoding="utf-8")
    if given.against:
        compare(json.loads(given.against.read_text("utf-8")), hashes)


def in_a_process(part: str, given: argparse.Namespace) -> dict[str, str]:
    """Hashes of one part: an instruction set is chosen once in a process."""
    environment = dict(os.environ) if part == "exports" else {**os.environ, "SMIDGEN_ISA": part}
    command = [sys.executable, __file__, str(given.out), "--names", given.names, "--part", part]
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True)
    return dict(json.loads(line) for line in done.stdout.splitlines())


def compare(before: dict[str, str], after: dict[str, str]) -> None:
    """Say what differs; exit with 1 where anything does."""
    other = [key for key in before if after.get(key) != before[key]]
    for key in other:
        print(f"{key}: {'another' if key in after else 'missing'}")
    print(
        f"{len(before) - len(other)} of {len(before)} hashes are equal, {len(after.keys() - before)} are new"
    )
    sys.exit(bool(other))


def answers(names: str) -> Iterator[tuple[str, str]]:
    """Of the engine, on the instruction set of this process, and of the interpreter on the first one."""
    isa = native.isa()
    for network, weights in networks(names):
        x = pictures(network, 3)
        for threads in (1, 2):
            engine = smidgen.Engine((network, weights), threads=threads)
            for count in (1, 3):
                yield f"{network.name} {isa} {count} on {threads}", hashed(engine(x[:count]))
        if network.name in INTERPRETED and isa == native.isas()[0]:
            engine.backend = "numpy"
            engine._programs.clear()
            yield f"{network.name} interpreter", hashed(engine(x[:1]))


def exports(names: str) -> Iterator[tuple[str, str]]:
    """Of the files for other people's runtimes."""
    from smidgen.export.ncnn import to_ncnn
    from smidgen.export.onnx import to_onnx

    for network, weights in networks(names):
        for form in FORMS if "shift" in network.name else FORMS[:1]:
            model = to_onnx(network, weights, shift=form)
            yield f"{network.name} onnx {form}", digest(model.SerializeToString(deterministic=True))
            try:
                files = to_ncnn(network, weights, shift=form)
            except SmidgenError as error:
                yield f"{network.name} ncnn {form}", f"refused: {error}"
                continue
            yield f"{network.name} ncnn {form}", digest(files.param.encode() + files.bin)


def networks(names: str) -> Iterator[tuple[graph.Network, dict[str, NDArray[Any]]]]:
    """Every network of the pattern, and its weights."""
    for name in smidgen.names(names):
        network = smidgen.network(name, num_classes=10)
        for resolution in SMALL:
            if network.cost().macs > MOST_MACS:
                network = smidgen.network(name, num_classes=10, resolution=resolution)
        yield network, drawn(network)


def drawn(network: graph.Network) -> dict[str, NDArray[Any]]:
    """Weights that keep the scale of the maps; norms that do something to every channel."""
    generator = np.random.default_rng(0)
    weights: dict[str, NDArray[Any]] = {}
    for name, shape, _ in graph.tensors(network.tree):
        numbers = generator.random(shape, np.float32) if shape else np.zeros((), np.int64)
        if len(shape) == 1:
            weights[name] = (
                numbers + np.float32(0.5) if name.endswith(("weight", "var")) else numbers - np.float32(0.5)
            )
        elif shape:
            weights[name] = (2 * numbers - 1) * np.float32(np.sqrt(6 / np.prod(shape[1:])))
        else:
            weights[name] = numbers
    return weights


def pictures(network: graph.Network, count: int) -> NDArray[np.float32]:
    """float32[count, C, H, W]."""
    return np.random.default_rng(1).standard_normal((count, *network.input[:3]), np.float32)


def hashed(array: NDArray[Any]) -> str:
    """SHA-256 of the numbers, which must be some."""
    if not np.isfinite(array).all() or not array.std():
        raise SystemExit("the outputs say nothing: they are not finite, or all alike")
    return digest(np.ascontiguousarray(array).tobytes())


def digest(content: bytes) -> str:
    """SHA-256 in hexadecimal."""
    return hashlib.sha256(content).hexdigest()


if __name__ == "__main__":
    main()
