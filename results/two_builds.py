"""The speed of one build of Smidgen against another's, in turns, in fresh processes.

    python results/two_builds.py OLD/.venv/bin/python NEW/.venv/bin/python --rounds 15

Each round starts both interpreters one after the other, in changing order. Each times the engine on whole
networks and the shift's training kernels: the time that a quarter of the calls keep within. The ratio of a
round is new over old. A row a case: the median of the ratios, the least and the most; and the quickest round
of the new build over that of the old, which says most where the machine is not quiet. The bar: 1.01.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
from pathlib import Path
from typing import TypeAlias

from rows import append, told

COLUMNS = ("case", "rounds", "old_ms", "new_ms", "ratio", "least", "most", "at_best")
BAR = 1.01
Times: TypeAlias = dict[str, float]

# Written for any commit of either build: public names only, weights and all made here.
TIMED = """
import json, sys, time
import numpy as np
import smidgen
from smidgen import graph

SECONDS = float(sys.argv[1])
times = {}

def clocked(case, call):
    for _ in range(3):
        call()
    found, until = [], time.perf_counter() + SECONDS
    while len(found) < 5 or time.perf_counter() < until:
        began = time.perf_counter()
        call()
        found.append(1000 * (time.perf_counter() - began))
    times[case] = float(np.quantile(found, 0.25))

for name in ("efficientnet_b0", "squeezenet1_1", "shiftnet_b"):
    network = smidgen.network(name)
    weights = {
        key: np.full(shape, key.endswith(("weight", "var")), np.float32) if len(shape) < 2
        else np.random.default_rng(0).standard_normal(shape, np.float32)
        * np.float32((2 / np.prod(shape[1:])) ** 0.5)
        for key, shape, _ in graph.tensors(network.tree)
    }
    engine = smidgen.Engine((network, weights), threads=2)
    for batch in (1, 16):
        x = np.random.default_rng(1).standard_normal((batch, *network.input[:3]), np.float32)
        clocked(f"{name} batch {batch}", lambda: engine(x))

import torch
from smidgen import kernels
torch.set_num_threads(2)
offsets = [(dy, dx) for dy in (-1, 0, 1) for dx in (-1, 0, 1)]
offsets = [offsets[i * 9 // 72] for i in range(72)]
for type_ in (torch.float32, torch.bfloat16):
    x = torch.randn(32, 72, 28, 28).to(type_).contiguous(memory_format=torch.channels_last).requires_grad_()
    weight = torch.randn(96, 72, 1, 1).to(type_).requires_grad_()
    with torch.no_grad():
        clocked(f"shift_conv forward {type_}", lambda: kernels.shift_conv(x, offsets, weight, None))
    y = kernels.shift_conv(x, offsets, weight, None)
    seed = torch.randn_like(y)
    clocked(
        f"shift_conv backward {type_}",
        lambda: torch.autograd.grad(y, (x, weight), seed, retain_graph=True),
    )
print(json.dumps(times))
"""


def main() -> None:
    """Time both, round by round, then judge."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("old", type=Path, help="the Python of the old build's environment")
    parser.add_argument("new", type=Path, help="the Python of the new build's environment")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--seconds", type=float, default=0.7, help="for each case in each process")
    parser.add_argument("--out", type=Path, help="CSV to add the rows to")
    given = parser.parse_args()
    rounds: list[tuple[Times, Times]] = []
    for number in range(given.rounds):
        first, second = (given.old, given.new)[:: 1 if number % 2 else -1]
        times = {first: timed(first, given.seconds), second: timed(second, given.seconds)}
        rounds.append((times[given.old], times[given.new]))
        print(f"round {number + 1} of {given.rounds}", file=sys.stderr)
    worst = 0.0
    for case in rounds[0][0]:
        old, new = ([both[side][case] for both in rounds] for side in (0, 1))
        ratios = [after / before for before, after in zip(old, new, strict=True)]
        middle = statistics.median(ratios)
        worst = max(worst, middle)
        at_best = min(new) / min(old)
        print(f"{case:40} new over old {told(ratios, 3)}, the quickest round of each {at_best:.3f}")
        if given.out:
            middles = (f"{statistics.median(side):.4f}" for side in (old, new))
            spread = (f"{one:.4f}" for one in (middle, min(ratios), max(ratios), at_best))
            append(given.out, COLUMNS, (case, len(rounds), *middles, *spread))
    verdict = "holds" if worst <= BAR else "FAILS"
    print(f"{verdict}: every median ratio is at most {BAR}; the largest is {worst:.3f}")


def timed(python: Path, seconds: float) -> Times:
    """Milliseconds of each case, in a process of this interpreter."""
    command = [str(python), "-c", TIMED, str(seconds)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    times: Times = json.loads(done.stdout)
    return times


if __name__ == "__main__":
    main()
