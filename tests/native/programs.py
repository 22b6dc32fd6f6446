"""The test programs in C++, built as the build itself builds them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

__all__ = ["build"]

ROOT = Path(__file__).parents[2]


def build(folder: Path, **options: str) -> None:
    """Configure with these options of CMake and build in `folder`; no warning may come."""
    cmake = Path(sys.executable).with_name("cmake")
    settings = [f"-D{name}={value}" for name, value in options.items()]
    commands: list[list[str | Path]] = [
        [cmake, "-S", ROOT, "-B", folder, *settings],
        [cmake, "--build", folder, "--parallel", "2"],
    ]
    for command in commands:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
        assert "warning:" not in done.stderr, done.stderr[:3000]
