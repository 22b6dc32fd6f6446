"""Documents, help and messages name only what is there: modules, commands, options, files."""

from __future__ import annotations

import importlib
import re
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

import smidgen
from smidgen.cli import COMMANDS

ROOT = Path(__file__).parents[1]
SOURCES = Path(smidgen.__file__).parent
DOCUMENTS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
TELLING = [*DOCUMENTS, *sorted(SOURCES.rglob("*.py"))]
# Options of other people's commands: pip, mypy, torchrun, gunicorn.
FOREIGN = {"--index-url", "--strict", "--nproc-per-node", "--preload"}


def named(path: Path) -> str:
    return str(path.relative_to(ROOT if path in DOCUMENTS else SOURCES))


def commands() -> dict[str, set[str]]:
    """Every command with its options."""
    found = {}
    for name in COMMANDS:
        command = importlib.import_module(f"smidgen.cli.{name}").command
        known = command.get_params(click.Context(command))  # those of families, too
        options = (one.opts + one.secondary_opts for one in known if isinstance(one, click.Option))
        found[name] = {"--help", *(option for each in options for option in each)}
    return found


OPTIONS = commands()


def calls(text: str) -> Iterator[tuple[str, list[str]]]:
    """Commands of ours that a text quotes or shows, with their options."""
    quoted = re.findall(r"`smidgen ([^`]+)`", text)
    shown = re.findall(r"^(?: {4,}|\$ )smidgen (.+)$", text, re.MULTILINE)
    for call in (*quoted, *shown):
        words = re.sub(r"\s+", " ", call.split("#")[0]).split(" ")
        if re.fullmatch("[a-z]+", words[0]):
            yield words[0], [word for word in words if re.fullmatch(r"--[a-z][a-z0-9-]*", word)]


@pytest.mark.parametrize("path", TELLING, ids=named)
def test_commands_that_are_named_exist_with_their_options(path: Path) -> None:
    for name, options in calls(path.read_text("utf-8")):
        assert name in OPTIONS, f"smidgen {name}"
        assert set(options) <= OPTIONS[name], f"smidgen {name} {options}"


@pytest.mark.parametrize("path", DOCUMENTS, ids=named)
def test_options_that_are_named_are_those_of_a_command(path: Path) -> None:
    there = {*FOREIGN, "--version", *(option for options in OPTIONS.values() for option in options)}
    for script in (ROOT / "results").glob("*.py"):
        there |= set(re.findall(r'"(--[a-z][a-z0-9-]*)"', script.read_text("utf-8")))
    assert set(re.findall(r"(?<![\w-])--[a-z][a-z0-9-]*", path.read_text("utf-8"))) <= there


@pytest.mark.parametrize("path", DOCUMENTS, ids=named)
def test_python_names_in_a_document_can_be_had(path: Path) -> None:
    text = path.read_text("utf-8")
    for dotted in re.findall(r"(?<!/)\bsmidgen(?!\.h\b)(?:\.[a-z_]\w*|\.[A-Z]\w*)+", text):
        home: object = smidgen
        for part in dotted.split(".")[1:]:
            home = reached(home, part)
    for home_name, names in re.findall(r"^\s*from (smidgen[\w.]*) import ([\w, ]+)$", text, re.MULTILINE):
        module = importlib.import_module(home_name)
        for part in names.split(","):
            reached(module, part.strip().split(" as ")[0])


def reached(home: object, name: str) -> object:
    """The attribute, or the module of that name below a package."""
    if hasattr(home, name):
        return getattr(home, name)
    return importlib.import_module(f"{getattr(home, '__name__', home)}.{name}")


@pytest.mark.parametrize("path", DOCUMENTS, ids=named)
def test_files_that_a_document_names_are_there(path: Path) -> None:
    text = path.read_text("utf-8")
    linked = [link for link in re.findall(r"\]\(([^)#]+)", text) if "://" not in link]
    assert all((path.parent / link).exists() for link in linked)
    quoted = re.findall(r"`((?:src|tests|docs|results)/[\w./-]+)`", text)
    assert all((ROOT / file).exists() for file in quoted)
