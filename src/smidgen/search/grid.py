"""The search for α, β, γ: begin a study, let processes work on it, say what came out.

Source   Tan & Le 2019, arXiv:1905.11946, section 3.3
"""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from smidgen import machine
from smidgen.data import from_anywhere, memory_limit, place_for, require_place
from smidgen.graph import Aspect
from smidgen.run.afford import HELD
from smidgen.run.schedule import default_recipe
from smidgen.scaling import rule_named
from smidgen.scaling.compound import family_named, rounded_side
from smidgen.search.agenda import Agenda
from smidgen.search.growth import BASE, base_within, groups, grown, rule_label, rule_of
from smidgen.search.outcome import conclude
from smidgen.search.study import RECORD, Study, require_optuna
from smidgen.search.worker import material_of
from smidgen.spec import BudgetError, SmidgenError, StoppedError, counted
from smidgen.train import Material, Reading, new_run_folder, prepare, training_bytes
from smidgen.watch import Watch

__all__ = ["Wanted", "search", "search_on"]

LOOK = 0.25  # seconds between looks at the workers


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is searched for.

    macs        budgets, in multiply-adds; the base has at most half of the smallest
    rules       named ones to compare
    grid        whether to look for α, β, γ first
    seeds       trainings of every network in the comparison
    resolution  of the base; default: about the pictures' own size / √2, so that resolution has room to grow
    aspect      how pictures become squares; default: by the pictures
    seed        of the split into train and validation
    """

    data: str
    family: str
    out: Path | None = None
    macs: tuple[int, ...] = (1_000_000, 2_000_000)
    rules: tuple[str, ...] = ("compound", "width", "depth", "resolution")
    grid: bool = True
    seeds: int = 5
    epochs: int | None = None
    resolution: int | None = None
    aspect: Aspect | None = None
    seed: int = 0
    skip_bad: bool = False
    group_by: str | None = None
    command: str = ""

    def __post_init__(self) -> None:
        family_named(self.family)
        for rule in self.rules:
            rule_named(rule)
        if not (self.macs and min(self.macs) >= 2):
            raise SmidgenError("macs: at least one budget is needed, as in --macs 400k,800k")
        if not (self.rules and len(set(self.rules)) == len(self.rules)):
            raise SmidgenError("rules: each at most once, and at least one, as in --rules compound,width")


def search(wanted: Wanted, workers: int | None, watch: Watch) -> tuple[Path, dict[str, Any]]:
    """Begin a search and work on it to the end; its folder and the document of its search.json.

    workers  processes; default: one a processor core, or one on a GPU
    Raises   DataError, BudgetError, SmidgenError on a user's mistakes, before anything is written;
             StoppedError where somebody asked to stop: `search_on` goes on.
    """
    require_optuna()
    require_place(wanted.out, place_for(Path("runs", "search"), wanted.data), wanted.data)
    material = prepare(
        wanted.data,
        aspect=wanted.aspect,
        seed=wanted.seed,
        reading=Reading(wanted.skip_bad, wanted.group_by),
        watch=watch,
    )
    agenda = _agenda(wanted, material)
    about = {
        "data": from_anywhere(wanted.data),
        "name": material.dataset.name,
        "seed": wanted.seed,
        "skip_bad": wanted.skip_bad,
        "group_by": wanted.group_by,
        "aspect": material.preprocess.aspect,
        "fingerprint": material.fingerprint,
        "arrangement": material.arrangement,
        "pictures": {"train": len(material.split.train), "val": len(material.split.val)},
        "command": wanted.command,
    }
    _describe(agenda, watch)
    base = place_for(Path("runs", f"{material.dataset.name}-search"), wanted.data)
    with new_run_folder(wanted.out, base, RECORD) as folder:
        return folder, _finish(Study.create(folder, agenda, about), workers, watch)


def search_on(folder: Path, workers: int | None, watch: Watch) -> dict[str, Any]:
    """Go on with a search, also beside others who work on it; the document of its search.json.

    Raises   as `search`; SmidgenError where the folder holds no search, or the data have changed.
    """
    study = Study(folder)
    if not study.finished():
        watch.heading(f"going on with {folder}")
        material_of(study.about, watch)  # what every worker would refuse is refused once
    return _finish(study, workers, watch)


def _finish(study: Study, workers: int | None, watch: Watch) -> dict[str, Any]:
    if not study.finished():
        _work(study, _workers(study, workers, watch), watch)
    return conclude(study)


def _work(study: Study, workers: int, watch: Watch) -> None:
    """Let processes work on the study until it is finished."""
    stop = threading.Event()
    with tempfile.TemporaryFile() as words, watch.stop_requests(stop.set):
        processes = [_started(study.folder, words) for _ in range(workers)]
        try:
            _wait(study, processes, stop, watch)
        finally:
            for process in processes:  # where they were not waited for, nobody is left behind
                process.kill()
                process.wait()
        if study.finished():
            return
        goes_on = f"`smidgen search --resume {shlex.quote(str(study.folder))}` goes on from there"
        if stop.is_set():
            raise StoppedError(f"stopped after {len(study.rows())} trainings; {goes_on}")
        words.seek(0)
        lines = words.read().decode(errors="replace").strip().split("\n")
        raise SmidgenError(f"the search's workers ended ({lines[-1] or 'killed'}); {goes_on}")


def _wait(
    study: Study, processes: list[subprocess.Popen[bytes]], stop: threading.Event, watch: Watch
) -> None:
    """Report until all processes have ended; once somebody asks, they are asked to end after their step."""
    total, told, asked = study.agenda.work(), study.agenda.found(study.scores()), False
    with watch.progress("searching, %") as report:
        while any(process.poll() is None for process in processes):
            time.sleep(LOOK)
            if stop.is_set() and not asked:
                asked = True
                for process in processes:
                    process.terminate()
            scores = study.scores()
            report(min(100, 100 * sum(task.epochs * task.macs for task in scores) // total), 100)
            if told is None and (told := study.agenda.found(scores)):
                watch.say(f"the grid's best: {told}")


def _started(folder: Path, words: IO[bytes]) -> subprocess.Popen[bytes]:
    """A worker with one thread, in a session of its own: Ctrl-C reaches it through this process only."""
    return subprocess.Popen(
        [sys.executable, "-m", "smidgen.search.worker", str(folder), str(os.getpid())],
        # What it says last is what is told of it: no library's warning may stand there.
        env={"PYTHONWARNINGS": "ignore", **os.environ, "OMP_NUM_THREADS": "1"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=words,
        start_new_session=True,
    )


def _workers(study: Study, asked: int | None, watch: Watch) -> int:
    """As many processes as asked for, by default one for each core or one on a GPU, as memory holds them.

    Raises   SmidgenError where it does not hold one.
    """
    import torch

    if torch.cuda.is_available():
        return asked or 1
    agenda = study.agenda
    networks = [agenda.network(rule, agenda.budgets[-1])[1] for rule in agenda.rules]
    pictures: int = sum(study.about["pictures"].values())
    decoded = max(network.input.numel for network in networks) * pictures
    each = HELD + decoded + max(training_bytes(network, agenda.recipe) for network in networks)
    held, wanted = memory_limit() // each, asked or machine.cores()
    if not held:
        raise SmidgenError(
            f"a training takes about {each / 1e9:.1f} GB of memory, of {memory_limit() / 1e9:.1f} GB; "
            "give smaller --macs, or raise SMIDGEN_MEMORY if the memory is there"
        )
    if held < wanted:
        watch.say(f"{counted(held, 'process', 'processes')} at a time: more would not fit into memory")
    return min(held, wanted)


def _agenda(wanted: Wanted, material: Material) -> Agenda:
    """Base, grid and recipe for these pictures."""
    budgets = tuple(sorted(set(wanted.macs)))
    # About the side / √2: with twice the multiply-adds it is the side again.
    below = rounded_side(material.resolution / 2**0.5)
    try:
        base = base_within(
            wanted.family,
            budgets[0] // 2,
            resolution=below if wanted.resolution is None else wanted.resolution,
            num_classes=len(material.dataset.classes),
            c_in=material.channels,
        )
    except BudgetError as error:
        raise BudgetError(
            f"--macs {budgets[0]:,} leaves no room to grow: the start of all may have half of it; {error}"
        ) from None
    network = grown(base, rule_of(BASE), 0)
    found = groups(base, budgets[0]) if wanted.grid else ()
    return Agenda(
        base=base,
        base_macs=network.cost().macs,
        budgets=budgets,
        rules=wanted.rules,
        grid=tuple(tuple(map(rule_label, rules)) for rules in found),
        seeds=wanted.seeds,
        recipe=default_recipe(material, network, wanted.epochs),
    )


def _describe(agenda: Agenda, watch: Watch) -> None:
    """What is going to be trained, before it takes hours."""
    base = agenda.network(BASE, agenda.base_macs)[1]
    watch.heading(
        f"{agenda.base.family} from {agenda.base_macs:,} MACs at {base.input.height} pixels; "
        f"{counted(agenda.seeds, 'seed')}, {counted(agenda.recipe.epochs, 'epoch')}"
    )
    if agenda.grid:
        count = sum(map(len, agenda.grid))
        heats = ", ".join(f"{heat.candidates} for {counted(heat.epochs, 'epoch')}" for heat in agenda.heats())
        watch.say(f"the grid's {count} rules make {len(agenda.grid)} networks; trained are {heats}")
    for rule in agenda.rules:
        for macs in agenda.budgets:
            phi, network = agenda.network(rule, macs)
            cost = network.cost()
            watch.say(
                f"{rule:<12} {macs:>12,}: phi {phi:5.2f}, {network.input.height} pixels, "
                f"{cost.params:,} params, {cost.macs:,} MACs"
            )
