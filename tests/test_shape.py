"""The shape of the code: short functions, and what travels together has a name."""

from __future__ import annotations

import ast
import functools
import statistics
from pathlib import Path

import smidgen

ROOT = Path(smidgen.__file__).parent
MOST_PARAMETERS = 7
LONGEST_MEDIAN = 7
# Signatures that somebody else sets: Click's, Triton's, C's.
SET_BY_OTHERS = ("click.command(", "_jit", "_tuned(")
BINDINGS = "native/"
# What more than MOST_PARAMETERS describe, one by one and passed on nowhere but to what builds it.
WIDE = {
    "families/efficientnet.py _body",
    "families/efficientnet.py mbconv",
    "families/shiftnet.py _group",
    "families/shiftnet.py _shifted",
    "families/shiftnet.py csc",
    "families/shiftnet.py sc2",
    "families/shiftnet.py shift_block",
    "kernels/norm.py _backward",  # torch reads the operator's schema off it
    "weights/sources/torchvision.py _row",  # a row of a table
}

Function = ast.FunctionDef | ast.AsyncFunctionDef


@functools.cache
def functions() -> tuple[tuple[str, Function], ...]:
    """Every function of the package, with the file that it stands in."""
    return tuple(
        (path.relative_to(ROOT).as_posix(), node)
        for path in sorted(ROOT.rglob("*.py"))
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, Function)
    )


def parameters(function: Function) -> int:
    """How many a caller may give, `self` and `cls` left out."""
    given = function.args
    names = [one.arg for one in (*given.posonlyargs, *given.args, *given.kwonlyargs)]
    return sum(name not in ("self", "cls") for name in names)


def set_by_others(file: str, function: Function) -> bool:
    decorators = map(ast.unparse, function.decorator_list)
    return file.startswith(BINDINGS) or any(one.startswith(SET_BY_OTHERS) for one in decorators)


def lines(function: Function) -> int:
    """From `def` to the last line of the body, the docstring left out."""
    assert function.end_lineno is not None
    whole, first = function.end_lineno - function.lineno + 1, function.body[0]
    if ast.get_docstring(function, clean=False) is None:
        return whole
    assert first.end_lineno is not None
    return whole - (first.end_lineno - first.lineno + 1)


def test_what_travels_together_has_a_name() -> None:
    found = {
        f"{file} {function.name}"
        for file, function in functions()
        if parameters(function) > MOST_PARAMETERS and not set_by_others(file, function)
    }
    assert found - WIDE == set(), "has more parameters than a reader can hold; name what travels together"
    assert WIDE - found == set(), "is no longer wide: take it off the list"


def test_half_of_all_functions_fit_into_a_glance() -> None:
    assert statistics.median(lines(function) for _, function in functions()) <= LONGEST_MEDIAN
