"""`smidgen.h` and its ctypes side say the same: numbers, structures, and which version of both this is."""

from __future__ import annotations

import ctypes
import re
from pathlib import Path

import pytest

import smidgen.native
from smidgen.native import library, network, norm, shift

HEADER = (Path(smidgen.native.__file__).parent / "smidgen.h").read_text(encoding="utf-8")
TEXT = re.sub(r"/\*.*?\*/", "", HEADER, flags=re.DOTALL)  # without comments

ENUMS = {
    "status": library.STATUSES,
    "type": shift.FLOAT_TYPES,
    "space": network.SPACES,
    "kind": network.KINDS,
    "activation": {name or "identity": number for name, number in network.ACTIVATIONS.items()},
    "pool": network.POOLS,
}
STRUCTS: dict[str, type[ctypes.Structure]] = {
    "maps": shift._Maps,
    "shift_conv": shift._ShiftConv,
    "norm": norm._Norm,
    "view": network.View,
    "op": network.Op,
}
NUMBERS = {
    "int64_t": ctypes.c_int64,
    "int32_t": ctypes.c_int32,
    "float": ctypes.c_float,
    "double": ctypes.c_double,
}


def numbers(name: str) -> dict[str, int]:
    """Of an enumeration of the header, with the names that Python gives them."""
    (body,) = re.findall(rf"enum smidgen_{name} \{{(.*?)\}}", TEXT, re.DOTALL)
    found = re.findall(r"SMIDGEN_(\w+) = (\d+)", body)
    return {word.lower().replace("_", " "): int(number) for word, number in found}


def fields(name: str) -> list[tuple[str, object]]:
    """Names and ctypes of a structure of the header, in order; every pointer is an address."""
    (body,) = re.findall(rf"struct smidgen_{name} \{{(.*?)\}};", TEXT, re.DOTALL)
    found: list[tuple[str, object]] = []
    for declaration in filter(None, map(str.strip, body.split(";"))):
        ((kind, names),) = re.findall(r"^(?:const )?(?:struct smidgen_)?(\w+) ?(.+)$", declaration, re.DOTALL)
        for pointer, word in re.findall(r"(\*?)\s*(\w+)", names):
            found.append((word, "address" if pointer else NUMBERS.get(kind) or STRUCTS[kind]))
    return found


def test_every_enumeration_and_structure_of_the_header_is_compared() -> None:
    assert set(re.findall(r"enum smidgen_(\w+) \{", TEXT)) == set(ENUMS)
    assert set(re.findall(r"struct smidgen_(\w+) \{", TEXT)) == set(STRUCTS)


@pytest.mark.parametrize("name", ENUMS)
def test_python_gives_every_number_the_name_that_the_header_gives_it(name: str) -> None:
    assert ENUMS[name] == numbers(name)


def test_norms_call_the_activations_that_they_know_as_the_header_does() -> None:
    taken = {name or "identity": number for name, number in norm.ACTIVATIONS.items()}
    assert taken.items() < numbers("activation").items()


@pytest.mark.parametrize("name", STRUCTS)
def test_python_lays_every_structure_out_as_the_header_does(name: str) -> None:
    ours: list[tuple[str, object]] = []
    for field in STRUCTS[name]._fields_:
        is_address = field[1] is ctypes.c_void_p or issubclass(field[1], ctypes._Pointer)
        ours.append((field[0], "address" if is_address else field[1]))
    assert ours == fields(name)


def test_python_calls_the_version_of_the_header() -> None:
    assert re.findall(r"#define SMIDGEN_ABI (\d+)", TEXT) == [str(library.ABI)]


def test_python_calls_no_function_that_the_header_lacks() -> None:
    declared = set(re.findall(r"\b(smidgen_\w+)\(", TEXT))
    sources = Path(smidgen.native.__file__).parent.glob("*.py")
    called = {name for path in sources for name in re.findall(r"\b(smidgen_\w+)", path.read_text("utf-8"))}
    structures = {f"smidgen_{name}" for name in (*STRUCTS, *ENUMS)}
    assert called - structures == declared
