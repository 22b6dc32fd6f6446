"""Two workers against one on the same search, in turns, and a worker that is killed.

    python results/search_workers.py --rounds 3 --out results/search_workers.csv

Digits, one thread for each worker; the time is that of the whole command, from nothing to the verdict. At the
end two workers begin the same search and one is killed (SIGKILL) in the middle: what it had finished stays,
the other one finishes the search, and every accuracy is that of the search that nobody disturbed.
"""

from __future__ import annotations

import argparse
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from rows import append

from smidgen.search.study import Study

COLUMNS = ("round", "workers", "seconds", "load", "trainings", "deaths", "command")
ENDS = 600.0  # seconds


def main() -> None:
    """Rounds, then the killing."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--epochs", default="12")
    parser.add_argument("--seeds", default="3")
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args()
    command = ["search", "digits", "--family", "shiftnet", "--macs", "150k,300k", "--no-grid"]
    command += ["--epochs", given.epochs, "--seeds", given.seeds]
    with tempfile.TemporaryDirectory() as folder:
        ratios = []
        for number in range(given.rounds):
            seconds = [timed(command, workers, number, Path(folder), given.out) for workers in (1, 2)]
            ratios.append(seconds[1] / seconds[0])
            print(f"round {number}: two workers take {ratios[-1]:.3f} of the time of one", flush=True)
        print(f"median ratio {statistics.median(ratios):.3f} ({min(ratios):.3f} to {max(ratios):.3f})")
        killed(command, Path(folder), Study(Path(folder, "0-1")), given.out)


def started(command: list[str], workers: int, study: Path) -> subprocess.Popen[bytes]:
    """The command in a process."""
    arguments = [*command, "--workers", str(workers), "--out", str(study)]
    return subprocess.Popen([sys.executable, "-m", "smidgen", *arguments], stdout=subprocess.DEVNULL)


def timed(command: list[str], workers: int, number: int, folder: Path, out: Path) -> float:
    """Seconds of one search, which also become a row."""
    began, load = time.perf_counter(), os.getloadavg()[0]
    place = folder / f"{number}-{workers}"
    assert started(command, workers, place).wait() == 0
    seconds = time.perf_counter() - began
    keep(out, number, workers, seconds, load, Study(place), command)
    return seconds


def killed(command: list[str], folder: Path, unbroken: Study, out: Path) -> None:
    """Kill one of two workers in its second task; compare with a search that nobody disturbed."""
    began, load, place = time.perf_counter(), os.getloadavg()[0], folder / "killed"
    process = started(command, 2, place)
    victim = first_with_a_task(place)
    os.kill(victim, signal.SIGKILL)
    assert process.wait() == 0
    study = Study(place)
    keep(out, "killed", 2, time.perf_counter() - began, load, study, command)
    kept = sum(row.process.endswith(f":{victim}") for row in study.rows())
    same = study.scores() == unbroken.scores()
    print(
        f"killed: {study.deaths()} training was lost and begun anew, {kept} of the dead worker's stay, "
        f"{len(study.rows())} of {len(unbroken.rows())} are done; accuracies are "
        f"{'the same' if same else 'NOT the same'} as without the kill"
    )


def first_with_a_task(place: Path) -> int:
    """Process of the first worker that has finished a task and is in the next."""
    ends = time.monotonic() + ENDS
    while time.monotonic() < ends:
        if (place / "study.json").exists() and (rows := Study(place).rows()):
            time.sleep(0.5)  # it takes the next at once
            return int(rows[0].process.rpartition(":")[2])
        time.sleep(0.05)
    raise SystemExit("no worker has finished a task in time")


def keep(
    out: Path, number: object, workers: int, seconds: float, load: float, study: Study, command: list[str]
) -> None:
    """Add a row."""
    row = (
        number, workers, round(seconds, 2), round(load, 2), len(study.rows()), study.deaths(),
        " ".join(["smidgen", *command, "--workers", str(workers)]),
    )  # fmt: skip
    append(out, COLUMNS, row)
    print(*row, flush=True)


if __name__ == "__main__":
    main()
