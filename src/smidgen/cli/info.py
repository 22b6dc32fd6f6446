"""`smidgen info`: this machine as Smidgen sees it, and which kernels run on it."""

from __future__ import annotations

import importlib.util
import os
import platform
import shlex
from pathlib import Path
from typing import Any

import click

import smidgen
from smidgen import atomic, gate, native
from smidgen.cli.output import print_json, print_table, say
from smidgen.cli.streams import outliving_readers
from smidgen.cli.targets import output_option
from smidgen.cli.watching import Terminal
from smidgen.machine import cores, machine_name, processor_features
from smidgen.spec import SmidgenError, counted

__all__ = ["command"]


@click.command("info")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option("--measure", is_flag=True, help="Time this machine's kernels; takes minutes.")
@output_option(required=False, help="Where --measure writes for other machines.")
@click.option(
    "--threads", type=click.IntRange(1, 1024), help="Of the peaks and of --measure; default: all cores."
)
def command(as_json: bool, measure: bool, output: Path | None, threads: int | None) -> None:
    """Say which kernels run on this machine, for which numbers, and why.

    SMIDGEN_ISA forces the native kernels onto one of the instruction sets listed.

    With --measure it records how long this machine takes for the steps of networks, from which `smidgen
    scale` and `smidgen fit` predict milliseconds: here, and elsewhere with the file that -o names.
    """
    if measure or output:
        _measure(measure, output, threads, as_json)
        return
    found = _machine(threads or cores()) | {"engine": _engine(), "kernels": _kernels()}
    if as_json:
        print_json(found)
        return
    say(f"smidgen {found['smidgen']}, Python {found['python']}, torch {found['torch'] or 'not installed'}")
    say(f"{found['processor']}, {found['cores']} cores, {' '.join(found['features'])}")
    say(f"native library: {found['native']}")
    say(f"engine (predict): {found['engine']['backend']}, because {found['engine']['reason']}")
    if peaks := found["peaks"]:
        say(
            f"at most: {peaks['gflops']:.0f} GFLOP/s in float32, copies of {peaks['copies']:.0f} GB/s, "
            f"on {counted(peaks['threads'], 'thread')}"
        )
    if not found["torch"]:
        say("the kernels for training need torch: pip install 'smidgen[train]'")
        return
    say()
    rows = [
        (row["operator"], row["device"], row["dtypes"], row["backend"], row["reason"])
        for row in found["kernels"]
    ]
    print_table(("operator", "device", "numbers", "runs on", "because"), rows, left=5)


def _machine(threads: int) -> dict[str, Any]:
    torch = None
    if importlib.util.find_spec("torch") is not None:
        import torch as installed

        torch = installed.__version__
    missing = native.missing()
    kinds = "" if missing else f"{native.isa()} (this processor has {', '.join(native.isas())})"
    return {
        "smidgen": smidgen.__version__,
        "python": platform.python_version(),
        "torch": torch,
        "processor": machine_name(),
        "cores": cores(),
        "features": processor_features(),
        "native": missing or kinds,
        "isa": None if missing else native.isa(),
        "peaks": None if missing else _peaks(threads),
    }


def _peaks(threads: int) -> dict[str, float]:
    """What arithmetic and memory do at most, measured now."""
    return {
        "threads": threads,
        "gflops": round(native.arithmetic(threads), 1),
        "copies": round(native.copies(threads), 1),
    }


@outliving_readers()
def _measure(asked: bool, out: Path | None, threads: int | None, as_json: bool) -> None:
    """Write the device file of this machine."""
    from smidgen.scaling import device
    from smidgen.scaling.measure import HELD, NETWORKS, ROUNDS, keep, kept_at, measure_device

    if not asked:
        raise SmidgenError("-o is where --measure writes; give both")
    if out is not None:
        gate.require(out, gate.DEVICE)
    elif refused := _refusal(kept_at(threads)):
        raise SmidgenError(f"{refused}; SMIDGEN_CACHE names another cache folder, -o a file")
    told = f"timing the steps of {NETWORKS + HELD} networks, {ROUNDS} times over: some minutes"
    say(told, err=as_json)
    found = measure_device(threads, Terminal())
    if out is not None:
        gate.unharmed(out, gate.DEVICE)
        device.write(out, found)
    try:
        keep(found)
    except device.DeviceError as error:
        say(f"{error}", err=True)
    if doubt := found.doubt():
        say(doubt, err=True)
    if as_json:
        facts = {"device": str(found), "steps": len(found.steps), "error": found.error}
        print_json(facts | {"gflops": found.peaks.gflops, "copies": found.peaks.copies})
        return
    say(f"{found}: {len(found.steps):,} steps timed")
    say(f"nine of ten predictions are off by at most {100 * found.error:.1f} %")
    if out is not None:
        named = shlex.quote(str(out))
        say(f"`smidgen scale FAMILY --budget latency=2ms --device {named}` scales for this machine")


def _refusal(cache: Path) -> str:
    """Why nothing can be kept in the cache, in a line; else nothing."""
    try:
        atomic.probe_folder(cache) if not cache.parent.exists() else atomic.probe(cache)
    except OSError as error:
        return f"{cache}: cannot be written ({error.strerror or error})"
    return ""


def _engine() -> dict[str, str]:
    """What runs `smidgen.Engine` and `smidgen predict`, and why."""
    if missing := native.missing():
        return {"backend": "numpy interpreter", "reason": missing}
    forced = os.environ.get("SMIDGEN_ISA")
    reason = "SMIDGEN_ISA asks for it" if forced else "it is the best that this processor has"
    return {"backend": f"native {native.isa()}", "reason": reason}


def _kernels() -> list[dict[str, str]]:
    """A row for each operator, device and backend, with the types that it runs."""
    if importlib.util.find_spec("torch") is None:
        return []
    import torch

    from smidgen.kernels.backends import OPERATORS, chosen

    devices = ["cpu", *(["cuda"] if torch.cuda.is_available() else [])]
    kinds = [torch.float32, torch.bfloat16, torch.float16, torch.float64]
    rows: list[dict[str, str]] = []
    for operator in OPERATORS:
        for device in devices:
            choices = [(chosen(operator, device, kind), str(kind).removeprefix("torch.")) for kind in kinds]
            for backend, reason in dict.fromkeys((choice.name, choice.reason) for choice, _ in choices):
                which = [
                    kind for choice, kind in choices if (choice.name, choice.reason) == (backend, reason)
                ]
                rows.append(
                    {
                        "operator": operator,
                        "device": device,
                        "dtypes": ", ".join(which),
                        "backend": backend,
                        "reason": reason or "the best for this device",
                    }
                )
    return [*rows, _norm_act()]


def _norm_act() -> dict[str, str]:
    """The row of BatchNorm while training, which has one kernel, or torch's own modules."""
    missing = native.missing()
    return {
        "operator": "norm_act",
        "device": "cpu",
        "dtypes": "float32",
        "backend": "torch" if missing else "cpu",
        "reason": missing or "in training and channels_last; torch's own modules elsewhere",
    }
