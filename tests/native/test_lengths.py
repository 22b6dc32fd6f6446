"""No C++ function is longer than a page."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import smidgen.native

LONGEST = 60  # lines
SOURCES = sorted(Path(smidgen.native.__file__).parent.rglob("*.[ch]pp"))

# What holds no code of its own: comments, texts, characters, and lines of the preprocessor.
SILENT = re.compile(
    r'//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])\'|^[ ]*#[^\n]*', re.DOTALL | re.MULTILINE
)
SCOPE = re.compile(r"\b(?:namespace|struct|class|enum|union|extern)\b")


def functions(source: str) -> Iterator[tuple[str, int]]:
    """Head and number of lines of every function, those in structures too; lambdas count to theirs."""
    text = SILENT.sub(lambda found: re.sub(r"[^\n]", " ", found[0]), source)
    open_: list[tuple[bool, int, str]] = []  # whether a function; where its head begins; the head
    last = 0
    for mark in re.finditer(r"[{};]", text):
        head = text[last : mark.start()]
        last = mark.end()
        if mark[0] == "{":
            is_function = "(" in head and not SCOPE.search(re.sub(r"<[^<>]*>|\([^()]*\)", "", head))
            inside = any(function for function, _, _ in open_)
            open_.append((is_function and not inside, mark.start() - len(head.lstrip()), head.strip()))
        elif mark[0] == "}":
            function, start, name = open_.pop()
            if function:
                yield name, text.count("\n", start, mark.end()) + 1
    assert not open_, "braces that do not close"


def test_functions_are_found_wherever_they_stand() -> None:
    source = """
    namespace a {
    int one(int x) { return "}"[x]; }
    template <class T>
    struct S {
      void two() const {
        auto f = [&] { return '{'; };  // }
      }
    };
    }
    """
    lengths = [length for _, length in functions(source)]
    assert lengths == [1, 3]


def test_no_function_is_longer_than_a_page() -> None:
    assert len(SOURCES) > 20
    found = {
        f"{path.name}: {head}": lines
        for path in SOURCES
        for head, lines in functions(path.read_text("utf-8"))
    }
    assert len(found) > 150
    assert {name: lines for name, lines in found.items() if lines > LONGEST} == {}
