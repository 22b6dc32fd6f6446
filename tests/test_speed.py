"""How long a person waits before anything happens. Runs take turns: a busy machine slows all alike."""

from __future__ import annotations

import statistics
import subprocess
import sys
import time

from smidgen import families

ROUNDS = 7


def seconds(*arguments: str) -> float:
    start = time.perf_counter()
    subprocess.run([sys.executable, *arguments], check=True, capture_output=True)
    return time.perf_counter() - start


def test_import_adds_less_than_a_tenth_of_a_second() -> None:
    pairs = [(seconds("-c", "pass"), seconds("-c", "import smidgen")) for _ in range(ROUNDS)]
    assert statistics.median(imported - bare for bare, imported in pairs) < 0.1


def test_help_appears_within_three_tenths_of_a_second() -> None:
    assert statistics.median(seconds("-m", "smidgen", "--help") for _ in range(ROUNDS)) < 0.3


def test_all_efficientnets_are_costed_within_fifty_milliseconds() -> None:
    networks = [families.network(name) for name in families.names("efficientnet*")]
    assert len(networks) == 22
    best = float("inf")
    for _ in range(ROUNDS):
        start = time.process_time()  # what others do on the machine is not counted
        for network in networks:
            network.cost()
        best = min(best, time.process_time() - start)
    assert best < 0.05
