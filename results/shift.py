"""Shift and shift + 1x1 against a copy, the plain 1x1, one-hot depthwise and a true depthwise convolution.

    python results/shift.py --out results/shift.csv --plot results/shift.png

Every size of shift + 1x1 in ShiftNet-A, ShiftNet-B and ShiftResNet-20. Every way runs in a process of its
own, which is stopped (SIGSTOP) outside its turns: the threads of a pool spin for a while after each call.
They take turns: 2 calls and 10 ms discarded, 10 timed; of ways that take long, fewer: the column `calls`
counts the timed ones of all rounds. Before the turns each is timed alone: first every setting (memory
format) that is not far behind at first sight, of which the faster is kept, then that one again.
A ratio is of the medians of two turns in the same round; printed are the median, least and most over
the rounds. Forward runs without autograd. Forward + backward gives gradients for the input and the
weights; a one-hot weight is no parameter. For shift2d and the copies both passes are two copies, since the
gradient of a shift is a shift. Of each there are two: `shift2d` and `clone` make a new tensor, `kernel` (the
shift's own, called at the C interface) and `copy_` write to one that stays, which the caches still hold.
`plain` is shift_conv with one run that does not move: the plain 1x1 in the same engine.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import resource
import signal
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from itertools import pairwise, product
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from rows import append, told
from torch import Tensor, nn

from smidgen import native
from smidgen.families import network
from smidgen.families.shiftnet import shift_runs
from smidgen.graph import Conv, Shift, layers
from smidgen.kernels import shift2d, shift_conv
from smidgen.kernels.offsets import opposite
from smidgen.kernels.threads import threads
from smidgen.machine import machine_name
from smidgen.native import shift as native_shift

NETWORKS = ("shiftnet_a", "shiftnet_b", *(f"shiftresnet20_e{expand}" for expand in (1, 3, 6, 9)))
WAYS = ("shift_conv", "plain", "onednn", "onehot", "depthwise", "shift2d", "clone", "kernel", "copy_")
COMPILED = ("shift_conv compiled", "onehot compiled", "depthwise compiled")
RATIOS = (
    ("shift_conv", "plain"),
    ("plain", "onednn"),
    ("shift_conv", "onehot"),
    ("shift_conv", "depthwise"),
    ("clone", "shift2d"),
    ("copy_", "kernel"),
    ("shift_conv compiled", "onehot compiled"),
    ("shift_conv compiled", "depthwise compiled"),
)
SAME_ANSWER = (("shift_conv", "onehot"), ("plain", "onednn"), ("shift2d", "kernel"), ("clone", "copy_"))
DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}
TOLERANCES = {"fp32": 1e-3, "bf16": 0.1}  # of a projection whose standard deviation is 1
FORMATS = {"nchw": torch.contiguous_format, "channels_last": torch.channels_last}
PASSES = ("forward", "both")
BARS = {"forward": 1.10, "both": 1.15}  # of shift_conv over plain
COLUMNS = (
    "date", "isa", "network", "c_in", "c_out", "stride", "side", "kernel", "batch", "dtype", "pass", "way",
    "setting", "calls", "median_ms", "p95_ms", "alone_ms", "faults_per_call", "turns_ms", "threads", "load",
)  # fmt: skip
DISCARDED, TIMED = 2, 10
WARM = 10.0  # milliseconds of discarded calls at least: a process that was stopped comes back to cold caches
LONGEST = 1.0  # seconds of a turn's discarded and of its timed calls, after which no further one begins
FAR_BEHIND = 2  # times the least of the settings' first calls, from which a setting is not tried further
TRIALS, ALONE_TURNS = 2, 2  # turns of each setting, of which the least counts, and of the chosen one
INTERFERES = 0.10  # difference of turns and alone that is reported
LARGE = 8e6  # bytes of a tensor from which the bar for shift2d holds
MOST_FAULTS = 64  # page faults a call that are reported
# Otherwise glibc maps every large output anew and gives it back after the call, and the page faults of
# the kernel drown the kernels that are measured. Read by the allocator of each worker as it starts.
ALLOCATOR = {"MALLOC_MMAP_THRESHOLD_": str(4 << 30), "MALLOC_TRIM_THRESHOLD_": str(8 << 30)}


class Size(NamedTuple):
    """A shift and the 1x1 convolution that follows it.

    side    of the square map that goes in
    kernel  side of the window that the directions of the shift span
    """

    network: str
    c_in: int
    c_out: int
    stride: int
    side: int
    kernel: int

    @property
    def label(self) -> str:
        """How tables name it."""
        return f"{self.network} {self.c_in}>{self.c_out}/{self.stride} {self.side}x{self.side} k{self.kernel}"


class Cell(NamedTuple):
    """What all ways are given."""

    size: Size
    batch: int
    dtype: str
    work: str

    @property
    def label(self) -> str:
        """How tables name it."""
        return f"{self.size.label} b{self.batch} {self.dtype} {self.work}"

    @property
    def input_bytes(self) -> int:
        """Size of the shift's input, and of its output."""
        return self.batch * self.size.c_in * self.size.side**2 * DTYPES[self.dtype].itemsize

    @property
    def intensity(self) -> float:
        """Multiply-adds of the plain 1x1, forward, over the bytes that it must move."""
        size, item = self.size, DTYPES[self.dtype].itemsize
        pixels = self.batch * (-(-size.side // size.stride)) ** 2
        weight = size.c_in * size.c_out
        return pixels * weight / (item * (size.c_in * pixels + size.c_out * pixels + weight))


class Ready(NamedTuple):
    """A way with its fastest setting.

    alone_ms  median of its turns while all others were idle
    answer    projection of its first answer, to compare ways that must agree
    """

    setting: str
    alone_ms: float
    answer: float


class Turn(NamedTuple):
    """Milliseconds of the timed calls, and page faults of one."""

    times: list[float]
    faults: float

    @property
    def median(self) -> float:
        """Of the calls."""
        return statistics.median(self.times)


class Result(NamedTuple):
    """One way at one cell: how it was ready, and its turns."""

    ready: Ready
    turns: list[Turn]


# ── what is measured ─────────────────────────────────────────────────────────────────────────────


def sizes() -> Iterator[Size]:
    """Each distinct size once, in the first network that has it. In these trees a shift is never last."""
    seen = set()
    for name in NETWORKS:
        built = network(name)
        for before, after in pairwise(layers(built.tree, built.input)):
            shift, conv = before.node, after.node
            if not (isinstance(shift, Shift) and isinstance(conv, Conv) and conv.kernel == 1):
                continue
            kernel = 2 * max(abs(dy) for _, dy, _ in shift.runs) + 1
            assert shift.runs == shift_runs(conv.c_in, kernel)
            assert before.in_shape.height == before.in_shape.width
            size = Size(name, conv.c_in, conv.c_out, conv.stride, before.in_shape.height, kernel)
            if size[1:] not in seen:
                seen.add(size[1:])
                yield size


class Block(nn.Module):
    """One way from the input to the output; `mix` is the 1x1 weight, `look` that of a depthwise kernel."""

    def __init__(self, way: str, size: Size) -> None:
        super().__init__()
        self.way, self.stride, self.padding = way, size.stride, size.kernel // 2
        self.runs = [*shift_runs(size.c_in, size.kernel)]
        if way == "plain":
            self.runs = [(size.c_in, 0, 0)]
        if way != "shift2d":
            self.mix = nn.Parameter(torch.randn(size.c_out, size.c_in, 1, 1) / size.c_in**0.5)
        if way == "depthwise":
            self.look = nn.Parameter(torch.randn(size.c_in, 1, size.kernel, size.kernel) / size.kernel)
        elif way == "onehot":
            self.register_buffer("look", one_hot(self.runs, size.kernel))

    def forward(self, x: Tensor) -> Tensor:
        """float[N, c_in, H, W] -> the way's answer."""
        if self.way == "shift2d":
            return shift2d(x, self.runs)
        if self.way in ("shift_conv", "plain"):
            return shift_conv(x, self.runs, self.mix, stride=self.stride)
        if self.way in ("depthwise", "onehot"):
            x = F.conv2d(x, self.look, padding=self.padding, groups=x.shape[1])
        return F.conv2d(x, self.mix, stride=self.stride)


def one_hot(runs: Sequence[tuple[int, int, int]], kernel: int) -> Tensor:
    """Weight of the depthwise convolution that shifts: float[C, 1, kernel, kernel]."""
    weight = torch.zeros(sum(count for count, _, _ in runs), 1, kernel, kernel)
    channel = 0
    for count, dy, dx in runs:
        weight[channel : channel + count, 0, kernel // 2 + dy, kernel // 2 + dx] = 1
        channel += count
    return weight


def settings(way: str) -> Sequence[str]:
    """Memory formats that a way may choose from.

    Compiling takes longest, and no way has been faster in another format: there is one.
    """
    return ("channels_last",) if way in COMPILED else [*FORMATS]


def prepared(way: str, cell: Cell, layout: str) -> tuple[Callable[[], object], float]:
    """A call to time, and the projection of its answer."""
    size, dtype, memory = cell.size, DTYPES[cell.dtype], FORMATS[layout]
    name, _, compiled = way.partition(" ")
    torch.manual_seed(0)  # every way draws input and 1x1 weight alike
    x = torch.randn(cell.batch, size.c_in, size.side, size.side)
    x = x.to(dtype).contiguous(memory_format=memory)
    if name in ("clone", "copy_", "kernel"):
        call, made = copying(name, x, size, cell.work == "both")
        call()
        return call, projection(made)
    module = Block(name, size).to(dtype)
    for value in (*module.parameters(), *module.buffers()):
        value.data = value.data.contiguous(memory_format=memory)
    block: Callable[[Tensor], Tensor] = module
    if compiled:
        torch._dynamo.reset()  # each cell is a compilation of its own, not one more of the last
        torch._inductor.config.freezing = cell.work == "forward"
        block = torch.compile(module.eval(), dynamic=False)
    if cell.work == "forward":

        def predict() -> Tensor:
            with torch.no_grad():
                return block(x)

        return predict, projection(predict())
    inputs = [x.requires_grad_(), *module.parameters()]
    answer = block(x)
    gradient = torch.randn_like(answer)

    def train() -> tuple[Tensor, ...]:
        return torch.autograd.grad(block(x), inputs, gradient)

    return train, projection(answer.detach())


def copying(way: str, x: Tensor, size: Size, twice: bool) -> tuple[Callable[[], object], Tensor]:
    """A call that copies or shifts the input, and for both passes a second tensor like it; and where its
    first answer then lies.
    """
    sources = [x, x.clone()] if twice else [x]
    if way == "clone":
        return lambda: [source.clone() for source in sources], x
    both = [(source, torch.empty_like(source)) for source in sources]
    if way == "copy_":
        return lambda: [target.copy_(source) for source, target in both], both[0][1]
    runs = [number for run in shift_runs(size.c_in, size.kernel) for number in run]
    ways = [tuple(runs), tuple(opposite(runs))]
    channels_last = x.is_contiguous(memory_format=torch.channels_last)
    maps = native_shift.Maps(*x.shape, channels_last=channels_last)

    def shift() -> None:
        for (source, target), moves in zip(both, ways, strict=False):
            places = source.data_ptr(), target.data_ptr()
            native_shift.shift2d(maps, moves, x.element_size(), *places, threads())

    return shift, both[0][1]


def projection(answer: Tensor) -> float:
    """One number of the first picture's answer, near 1 in size, that a wrong neighbour would change."""
    flat = answer[0].float().contiguous().flatten()
    direction = torch.randn(len(flat), generator=torch.Generator().manual_seed(1))
    return float(flat @ direction / flat.norm())


# ── one process for each way ─────────────────────────────────────────────────────────────────────


def work(way: str, threads: int, words: Connection) -> None:
    """Process of one way: makes itself ready for each cell that it is sent, and takes a turn at each True."""
    torch.set_num_threads(threads)
    call: Callable[[], object] | None = None
    while word := words.recv():
        if isinstance(word, Cell):
            call = None  # lets go of the last cell's tensors
            call, ready = fastest(way, word)
            words.send(ready)
        else:
            assert call is not None
            words.send(turn(call))


class Process:
    """A way's process, stopped while nothing is asked of it."""

    def __init__(self, way: str, threads: int) -> None:
        context = multiprocessing.get_context("spawn")
        self._end, theirs = context.Pipe()
        self._process = context.Process(target=work, args=(way, threads, theirs), daemon=True)
        self._process.start()
        theirs.close()

    def ask(self, word: object) -> Any:
        """Its answer to a cell or to a turn."""
        number = self._process.pid
        assert number is not None
        os.kill(number, signal.SIGCONT)
        self._end.send(word)
        answer = self._end.recv()
        os.kill(number, signal.SIGSTOP)
        # It stops a moment later; the next turn begins when it has. Its end is left for others to find.
        os.waitid(os.P_PID, number, os.WSTOPPED | os.WEXITED | os.WNOWAIT)
        return answer

    def close(self) -> None:
        """Let it end."""
        assert self._process.pid is not None
        os.kill(self._process.pid, signal.SIGCONT)
        self._end.send(None)
        self._process.join()


def fastest(way: str, cell: Cell) -> tuple[Callable[[], object], Ready]:
    """Try the way's settings and time the best of them again."""
    trials = [(*prepared(way, cell, layout), layout) for layout in settings(way)]
    glances = [min(series(call, DISCARDED)) for call, _, _ in trials]
    trials = [trial for trial, ms in zip(trials, glances, strict=True) if ms <= FAR_BEHIND * min(glances)]
    medians = [[turn(call).median for call, _, _ in trials] for _ in range(TRIALS)]
    best = min(range(len(trials)), key=lambda index: min(row[index] for row in medians))
    call, answer, setting = trials[best]
    alone = [ms for _ in range(ALONE_TURNS) for ms in turn(call).times]
    return call, Ready(setting, statistics.median(alone), answer)


def turn(call: Callable[[], object]) -> Turn:
    """Some calls discarded, then the timed ones."""
    spent = sum(series(call, DISCARDED))
    while spent < WARM:
        spent += sum(series(call, 1))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    times = series(call, TIMED)
    faults = resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
    return Turn(times, faults / len(times))


def series(call: Callable[[], object], count: int) -> list[float]:
    """Milliseconds of so many calls, or of as many as begin in time."""
    times: list[float] = []
    while len(times) < count and sum(times) < 1000 * LONGEST:
        began = time.perf_counter()
        call()
        times.append(1000 * (time.perf_counter() - began))
    return times


def measure(cell: Cell, ways: dict[str, Process], rounds: int) -> dict[str, Result]:
    """Let every way make itself ready alone, then all take turns.

    Raises   ValueError where two ways that do the same work give different answers.
    """
    found: dict[str, Result] = {}
    for way, process in ways.items():
        found[way] = Result(process.ask(cell), [])
    for one, other in SAME_ANSWER:
        if one not in found or other not in found:
            continue
        answers = found[one].ready.answer, found[other].ready.answer
        if not abs(answers[0] - answers[1]) <= TOLERANCES[cell.dtype]:
            raise ValueError(f"{cell.label}: {one} and {other} answer differently ({answers})")
    for _ in range(rounds):
        for way, process in ways.items():
            found[way].turns.append(process.ask(True))
    return found


# ── what is told ─────────────────────────────────────────────────────────────────────────────────


def ratios(found: dict[str, Result], pair: tuple[str, str]) -> list[float]:
    """Paired ratios, one a round."""
    rounds = zip(found[pair[0]].turns, found[pair[1]].turns, strict=True)
    return [one.median / other.median for one, other in rounds]


def keep(out: Path, cell: Cell, found: dict[str, Result], threads: int) -> None:
    """Add a row for each way."""
    for way, (ready, turns) in found.items():
        times = sorted(ms for turn in turns for ms in turn.times)
        p95 = times[int(0.95 * (len(times) - 1))]
        row = (
            datetime.now(UTC).date(), isa(), *cell.size, cell.batch, cell.dtype, cell.work, way,
            ready.setting, len(times), f"{statistics.median(times):.4f}", f"{p95:.4f}",
            f"{ready.alone_ms:.4f}", round(statistics.mean(turn.faults for turn in turns)),
            " ".join(f"{turn.median:.4f}" for turn in turns), threads, round(os.getloadavg()[0], 2),
        )  # fmt: skip
        append(out, COLUMNS, row)


def disturbed(found: dict[str, Result]) -> Iterator[str]:
    """Signs that something else than the way was measured."""
    for way, (ready, turns) in found.items():
        taken = statistics.median(turn.median for turn in turns)
        if abs(taken / ready.alone_ms - 1) > INTERFERES:
            yield f"{way} took {taken:.3f} ms in its turns and {ready.alone_ms:.3f} alone"
        if (faults := statistics.mean(turn.faults for turn in turns)) > MOST_FAULTS:
            yield f"{way} had {faults:.0f} page faults a call"


def summarise(results: dict[Cell, dict[str, Result]], pairs: list[tuple[str, str]]) -> None:
    """Print the medians over the sizes, for each type and pass."""
    print("\nmedian over the sizes of each size's median (least–most over the sizes)")
    for dtype, passed in sorted({(cell.dtype, cell.work) for cell in results}):
        chosen = {cell: of for cell, of in results.items() if (cell.dtype, cell.work) == (dtype, passed)}
        print(f"{dtype}, {passed}, {len(chosen)} sizes")
        for pair in pairs:
            medians = {cell: statistics.median(ratios(found, pair)) for cell, found in chosen.items()}
            note = ""
            if pair == ("shift_conv", "plain"):
                inside = sum(value <= BARS[passed] for value in medians.values())
                note = f", {inside} of {len(medians)} within {BARS[passed]:.2f}"
            large = [value for cell, value in medians.items() if cell.input_bytes >= LARGE]
            if pair in (("clone", "shift2d"), ("copy_", "kernel")) and large:
                note = f"; tensors from 8 MB ({len(large)} sizes): {told(large)}"
            print(f"  {' / '.join(pair):44} {told([*medians.values()])}{note}")


def plot(results: dict[Cell, dict[str, Result]], path: Path) -> None:
    """Draw shift_conv over plain against arithmetic intensity: a panel for each type and pass."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    markers = {
        "shiftnet_a": ("o", "ShiftNet-A"),
        "shiftnet_b": ("s", "ShiftNet-B"),
        "shiftresnet20": ("^", "ShiftResNet-20, e = 1, 3, 6, 9"),
    }
    dtypes = [*dict.fromkeys(cell.dtype for cell in results)]
    passes = [*dict.fromkeys(cell.work for cell in results)]
    figure, axes = plt.subplots(
        len(dtypes),
        len(passes),
        figsize=(5.2 * len(passes) + 0.6, 3.6 * len(dtypes) + 1.4),
        sharex="row",
        sharey=True,
        squeeze=False,
        layout="constrained",
    )
    for (row, dtype), (column, passed) in product(enumerate(dtypes), enumerate(passes)):
        panel = axes[row][column]
        panel.set_xscale("log", base=2)
        panel.xaxis.set_major_formatter("{x:g}")
        for family, (marker, name) in markers.items():
            points = []
            for cell, found in results.items():
                own = cell.size.network.startswith(family)
                if own and (cell.dtype, cell.work) == (dtype, passed):
                    points.append((cell.intensity, ratios(found, ("shift_conv", "plain"))))
            if not points:
                continue
            middle = [statistics.median(values) for _, values in points]
            below = [at - min(values) for at, (_, values) in zip(middle, points, strict=True)]
            above = [max(values) - at for at, (_, values) in zip(middle, points, strict=True)]
            panel.errorbar(
                [x for x, _ in points], middle, yerr=[below, above], fmt=marker, markersize=6, elinewidth=0.8,
                alpha=0.8, label=name,
            )  # fmt: skip
        panel.axhline(1, color="0.6", linewidth=0.8)
        panel.axhline(BARS[passed], color="tab:red", linestyle="--")
        panel.grid(alpha=0.25)
        title = "forward" if passed == "forward" else "forward + backward"
        panel.set_title(f"{dtype}, {title} (dashed: the bar, {BARS[passed]:.2f})", fontsize=10)
        if column == 0:
            panel.set_ylabel("time of shift_conv / plain 1x1")
        if row == len(dtypes) - 1:
            panel.set_xlabel("multiply-adds per byte of the plain 1x1, forward")
    labelled = {
        name: handle
        for panel in axes.flat
        for handle, name in zip(*panel.get_legend_handles_labels(), strict=True)
    }
    figure.legend([*labelled.values()], [*labelled], loc="outside lower center", ncols=len(labelled))
    figure.suptitle(
        f"Shift + 1x1 against the plain 1x1 of the same engine: median, least and most of the rounds\n"
        f"{machine_name()}, {isa()}",
        fontsize=10,
    )
    figure.savefig(path, dpi=130)


def isa() -> str:
    """Instruction set of the native kernels, or "reference" where there are none."""
    return "reference" if native.missing() else native.isa()


def machine(threads: int) -> str:
    """What the figures belong to."""
    load = ", ".join(f"{value:.2f}" for value in os.getloadavg())
    return f"{machine_name()}; {isa()}; torch {torch.__version__}; {threads} threads; load average {load}"


def main() -> None:
    """Measure every size that was asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--dtypes", nargs="+", choices=DTYPES, default=[*DTYPES])
    parser.add_argument("--passes", nargs="+", choices=PASSES, default=[*PASSES])
    parser.add_argument("--ways", nargs="+", choices=WAYS, default=[*WAYS], help="default: all")
    parser.add_argument("--compiled", action="store_true", help="those of torch.compile as well")
    parser.add_argument("--only", default="", help="part of a label, such as 'shiftnet_a' or 'k5'")
    parser.add_argument("--limit", type=int, help="so many sizes at most")
    parser.add_argument("--batch", type=int, help="default: 32, or 16 for maps of 56 pixels and more")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--plot", type=Path)
    given = parser.parse_args()
    chosen = [size for size in sizes() if given.only in size.label][: given.limit]
    if not chosen:
        parser.error(f"no size has '{given.only}' in its label")
    ways = (*given.ways, *(COMPILED if given.compiled else ()))
    pairs = [pair for pair in RATIOS if set(pair) <= set(ways)]
    os.environ.update(ALLOCATOR)  # of this process too late, of its workers not
    processes = {way: Process(way, given.threads) for way in ways}
    try:
        results = compared(processes, chosen, pairs, given)
    finally:
        for process in processes.values():
            process.close()
    summarise(results, pairs)
    print(machine(given.threads))
    if given.plot:
        plot(results, given.plot)


def compared(
    processes: dict[str, Process],
    chosen: Sequence[Size],
    pairs: Sequence[tuple[str, str]],
    given: argparse.Namespace,
) -> dict[Cell, dict[str, Result]]:
    """Measure the sizes one after the other, with a row and a line for each."""
    print(machine(given.threads))
    print(f"{'':57}", *(f"{' / '.join(pair):24}" for pair in pairs))
    results: dict[Cell, dict[str, Result]] = {}
    for dtype, passed, size in product(given.dtypes, given.passes, chosen):
        batch = given.batch or (16 if size.side >= 56 else 32)
        cell = Cell(size, batch, dtype, passed)
        found = results[cell] = measure(cell, processes, given.rounds)
        keep(given.out, cell, found, given.threads)
        print(f"{cell.label:57}", *(f"{told(ratios(found, pair)):24}" for pair in pairs), flush=True)
        for line in disturbed(found):
            print(f"  ! {line}", flush=True)
    return results


if __name__ == "__main__":
    main()
