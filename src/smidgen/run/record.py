"""`run.json`: what a run was asked and what it decided, enough to take it up again anywhere on its way."""

from __future__ import annotations

import contextlib
import dataclasses
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import filelock

from smidgen import atomic
from smidgen.data import read_record
from smidgen.run.job import Job
from smidgen.run.plan import Plan
from smidgen.spec import Budget, SmidgenError
from smidgen.train.runfolder import RECORD

__all__ = ["Record", "locked", "read", "taken_up", "write"]

_FORMAT = 4


@dataclass(frozen=True, slots=True)
class Record:
    """A run as it was decided.

    arrangement  of the data, which must be the same when the run is taken up again
    workers      trials that train at the same time
    threads      of the processor for a trial that is worth them
    starts       when the work was begun, and taken up again
    """

    job: Job
    budget: Budget | None
    plan: Plan
    arrangement: str
    workers: int
    threads: int
    starts: tuple[str, ...]


def write(folder: Path, record: Record) -> None:
    """Write the record in one step. Raises SmidgenError where the disk refuses."""
    document = {
        "format": _FORMAT,
        "job": record.job.to_json(),
        "budget": record.budget.limits() if record.budget else None,
        "plan": record.plan.to_json(),
        "arrangement": record.arrangement,
        "workers": record.workers,
        "threads": record.threads,
        "starts": list(record.starts),
    }
    try:
        atomic.write_text(folder / RECORD, json.dumps(document, indent=1) + "\n")
    except OSError as error:
        raise SmidgenError(f"{folder / RECORD}: cannot be written ({error.strerror or error})") from error


def read(folder: Path) -> Record:
    """Read the record of a run folder.

    Raises   SmidgenError where there is none, or none that this version can follow.
    """
    path = folder / RECORD
    document = read_record(folder, RECORD)
    try:
        if document["format"] != _FORMAT:
            raise SmidgenError(f"{path}: format {document['format']}; this version knows {_FORMAT}")
        workers, threads = document["workers"], document["threads"]
        for name, number in (("workers", workers), ("threads", threads)):
            if not (isinstance(number, int) and number >= 1):
                raise ValueError(f"{name}={number}")
        return Record(
            Job.from_json(document["job"]),
            Budget(**document["budget"]) if document["budget"] else None,
            Plan.from_json(document["plan"]),
            document["arrangement"],
            workers,
            threads,
            tuple(document["starts"]),
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise SmidgenError(f"{path}: not the record of a run ({error!r})") from None


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold the run folder: two processes must not train in it.

    Raises   SmidgenError where another process has it.
    """
    lock = filelock.FileLock(folder / ".lock")
    try:
        lock.acquire(timeout=0)
    except filelock.Timeout:
        raise SmidgenError(f"{folder}: another process trains there; wait for it, or end it") from None
    try:
        yield
    finally:
        lock.release()  # the file stays: whoever waits for it has it open


def taken_up(record: Record, now: str) -> Record:
    """The record with one more start."""
    return dataclasses.replace(record, starts=(*record.starts, now))
