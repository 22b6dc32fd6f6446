"""The medians as bars."""

from __future__ import annotations

import statistics
from pathlib import Path

from smidgen.bench.runner import OURS, Comparison
from smidgen.spec import DependencyError

__all__ = ["marked", "plot", "require_matplotlib"]


def require_matplotlib() -> None:
    """Raise DependencyError unless there is something to draw with."""
    try:
        import matplotlib  # noqa: F401
    except ImportError:
        raise DependencyError("--plot needs matplotlib: pip install 'smidgen[train]'") from None


def plot(comparison: Comparison, path: Path, kind: str, where: str) -> None:
    """Draw a panel for each batch size, the fastest rival on top.

    kind     png or svg; in its metadata stands that `smidgen bench` made it
    where    the machine, for the title
    Raises   DependencyError without matplotlib; OSError.
    """
    require_matplotlib()
    from matplotlib.figure import Figure

    sizes = comparison.batches
    height = 1.3 + sum(0.5 + 0.34 * len(comparison.of_batch(batch)) for batch in sizes)
    figure = Figure(figsize=(8, height), layout="constrained")
    weights = [len(comparison.of_batch(batch)) for batch in sizes]
    axes = figure.subplots(len(sizes), 1, squeeze=False, height_ratios=weights)
    for batch, panel in zip(sizes, axes[:, 0], strict=True):
        rows = sorted(comparison.of_batch(batch), key=lambda row: -row.median)
        colours = ["tab:red" if row.rival == OURS else "0.6" for row in rows]
        bars = panel.barh([row.rival for row in rows], [row.median for row in rows], color=colours)
        panel.bar_label(
            bars,
            [
                f"{row.median:.4g} ms" + ("" if row.rival == OURS else f", {_ratio(row.ratios)}")
                for row in rows
            ],
            padding=4,
            fontsize=9,
        )
        panel.set_xlim(0, 1.35 * max(row.median for row in rows))
        panel.set_title(f"batch {batch}", fontsize=10, loc="left")
        panel.set_xlabel("milliseconds of a call, median")
        panel.spines[["top", "right"]].set_visible(False)
        panel.grid(axis="x", alpha=0.25)
        panel.set_axisbelow(True)
    name, size = comparison.network.name, comparison.network.input
    figure.suptitle(
        f"{name}, {size}, fp32, {comparison.threads} threads; × = its time over ours\n{where}", fontsize=10
    )
    figure.savefig(path, format=kind, dpi=130, metadata=marked(kind))


def marked(kind: str) -> dict[str, str]:
    """Metadata by which a plot is known to be ours, and may be made anew."""
    return {"Software" if kind == "png" else "Creator": "smidgen bench"}


def _ratio(ratios: list[float]) -> str:
    return f"{statistics.median(ratios):.2f} ×"
