"""How long a person waits before anything happens: what is imported, how often what runs, and ratios.

Seconds depend on the machine and on what else it does; `results/cold_start.py` prints them.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest

from smidgen import families
from smidgen.graph import Node

ROUNDS = 7
HEAVY = {
    "torch", "kornia", "triton", "optuna", "matplotlib", "scipy", "pandas", "sklearn", "onnxruntime", "PIL",
}  # fmt: skip


def loaded(*arguments: str) -> set[str]:
    """Every module that a new process has loaded in the end."""
    script = (
        "import atexit, sys\n"
        "atexit.register(lambda: print('loaded', *sys.modules, file=sys.stderr))\n"
        "from smidgen.cli import main\nmain()"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, *arguments], capture_output=True, text=True, check=True
    )
    return set(done.stderr.rpartition("loaded ")[2].split())


def roots(modules: set[str]) -> set[str]:
    return {name.partition(".")[0] for name in modules}


def processor_seconds(script: str) -> float:
    """Of a new process, all its threads together: who waits for the processor does not pay for it."""
    measured = (
        "import resource, subprocess, sys\n"
        f"subprocess.run([sys.executable, '-c', {script!r}], check=True, capture_output=True)\n"
        "used = resource.getrusage(resource.RUSAGE_CHILDREN)\n"
        "print(used.ru_utime + used.ru_stime)"
    )
    done = subprocess.run([sys.executable, "-c", measured], capture_output=True, text=True, check=True)
    return float(done.stdout)


def ratio(ours: Callable[[], float], other: Callable[[], float]) -> float:
    """Median of what ours takes over the other, in turns: a busy machine slows both."""
    return statistics.median(ours() / other() for _ in range(ROUNDS))


def test_import_loads_nothing_but_the_package_itself() -> None:
    script = "import sys; before = set(sys.modules); import smidgen; print(*set(sys.modules) - before)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    found = set(done.stdout.split())
    assert {name for name in found if name.startswith("smidgen")} == {"smidgen"}
    assert roots(found) <= {"smidgen"} | set(sys.stdlib_module_names)


def test_import_takes_less_than_three_bare_interpreters() -> None:
    assert ratio(lambda: processor_seconds("import smidgen"), lambda: processor_seconds("pass")) < 3


def test_help_loads_click_and_none_of_the_commands() -> None:
    found = loaded("--help")
    assert roots(found) <= {"smidgen", "click", "typing_extensions", "colorama", "__main__"} | {
        name for name in roots(found) if name in sys.stdlib_module_names or name.startswith(("_", "zz_"))
    }
    assert {name for name in found if name.startswith("smidgen.cli.")} == {
        "smidgen.cli.ending",
        "smidgen.cli.streams",
    }


def test_help_takes_less_than_twelve_bare_interpreters() -> None:
    shown = "import sys; sys.argv = ['smidgen', '--help']; from smidgen.cli import main; main()"
    assert ratio(lambda: processor_seconds(shown), lambda: processor_seconds("pass")) < 12


@pytest.mark.parametrize(
    "line",
    [
        "show resnet20",
        "count resnet20",
        "models resnet*",
        "scale resnet --phi 1",
        "bench --help",
    ],
)
def test_looking_at_networks_loads_nothing_heavy(line: str) -> None:
    assert not roots(loaded(*line.split())) & HEAVY


def test_help_on_training_loads_nothing_heavy_but_what_reads_pictures() -> None:
    assert not roots(loaded("fit", "--help")) & (HEAVY - {"PIL"})


def test_all_efficientnets_are_costed_in_four_calls_for_each_node() -> None:
    networks = [families.network(name) for name in families.names("efficientnet*")]
    assert len(networks) == 22
    calls = count_calls(lambda: [network.cost() for network in networks], "smidgen/graph/cost.py")
    assert 0 < calls < 4 * sum(count_nodes(network.tree) for network in networks)


def count_calls(work: Callable[[], Any], file: str) -> int:
    """Calls of functions in a file whose path ends so, however long each takes."""
    calls = 0

    def count(frame: Any, event: str, _argument: object) -> None:
        nonlocal calls
        calls += event == "call" and frame.f_code.co_filename.endswith(file)

    sys.setprofile(count)
    try:
        work()
    finally:
        sys.setprofile(None)
    return calls


def count_nodes(tree: Node) -> int:
    return 1 + sum(count_nodes(child) for _, child in getattr(tree, "children", ()))
