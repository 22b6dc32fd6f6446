"""What each of SqueezeNet's three strategies costs, counted from the trees: the tables of docs/squeezenet.md.

python results/squeezenet_strategies.py
"""

from __future__ import annotations

from smidgen.scaling.strategies import POOLS, RATIOS, SHARES, Outcome, outcome

HEAD = (
    "| {} | params | MACs | peak memory | mean side of the Fire modules' maps | receptive field |\n"
    "|---|---|---|---|---|---|"
)


def row(setting: str, found: Outcome) -> str:
    """A line of a table."""
    peak, field = f"{found.peak_bytes / 1e6:.2f} MB", f"{found.receptive_field} px"
    return f"| {setting} | {found.params:,} | {found.macs:,} | {peak} | {found.mean_side:.1f} px | {field} |"


def tables() -> str:
    """The three tables as Markdown, an empty line between them."""
    shares = [row(f"{share:g}", outcome(share_3x3=share)) for share in SHARES]
    ratios = [row(f"{ratio:g}", outcome(squeeze_ratio=ratio)) for ratio in RATIOS]
    pools = [row(f"{name}: {_places(pools)}", outcome(pools=pools)) for name, pools in POOLS.items()]
    titles = ("share of 3x3", "squeeze ratio", "pools after")
    parts = (
        "\n".join((HEAD.format(title), *rows))
        for title, rows in zip(titles, (shares, ratios, pools), strict=True)
    )
    return "\n\n".join(parts)


def _places(pools: tuple[int, ...]) -> str:
    """Names of the layers that pools follow."""
    return ", ".join("stem" if at == 0 else f"fire{at + 1}" for at in pools)


if __name__ == "__main__":
    print(tables())
