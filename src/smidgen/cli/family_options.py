"""Options of single families on the command line: their files name them, and no command does."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import click

from smidgen import families
from smidgen.spec import SmidgenError
from smidgen.weights import is_path

__all__ = ["FamilyCommand", "family_values", "own_values"]

_OWN = "own_"  # before their names: a family may call an option as a command does a parameter


class FamilyCommand(click.Command):
    """A command that takes the families' own options too, as their files name them; it is called with those
    that were given as `own`, name -> text.

    scaled  take only those that scaled networks have
    """

    def __init__(self, *arguments: Any, scaled: bool = False, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._scaled = scaled

    def get_params(self, ctx: click.Context) -> list[click.Parameter]:
        """The command's own, then the families', which stand aside where both have a name."""
        known = super().get_params(ctx)
        taken = {flag for parameter in known for flag in parameter.opts}
        return known + [option for option in self._of_families() if not taken & {*option.opts}]

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The families' below the command's own."""
        lines: dict[str, list[tuple[str, str]]] = {"Options": [], "Options of single families": []}
        own, single = lines.values()
        for parameter in self.get_params(ctx):
            line = parameter.get_help_record(ctx) if isinstance(parameter, click.Option) else None
            if line is not None:
                (single if _is_own(parameter) else own).append(line)
        for title, found in lines.items():
            with formatter.section(title):
                formatter.write_dl(found)

    def invoke(self, ctx: click.Context) -> Any:
        """Call the command."""
        keys = [key for key in ctx.params if key.startswith(_OWN)]
        own = {key.removeprefix(_OWN): ctx.params.pop(key) for key in keys}
        ctx.params["own"] = {name: text for name, text in own.items() if text is not None}
        return super().invoke(ctx)

    def _of_families(self) -> Iterator[click.Option]:
        told: dict[str, list[str]] = {}
        flags: dict[str, str] = {}
        for family in families.families().values():
            for option in family.options:
                if not (self._scaled and option.only):
                    flags[option.name] = option.flag
                    told.setdefault(option.name, []).append(f"Of {option.only or family.name}: {option.help}")
        for name, lines in told.items():
            yield click.Option([flags[name], _OWN + name], metavar="VALUE", help=" ".join(lines))


def _is_own(parameter: click.Parameter) -> bool:
    return (parameter.name or "").startswith(_OWN)


def own_values(target: str, own: Mapping[str, str]) -> dict[str, Any]:
    """Values of the families' own options; as they came where the target is no name, which then refuses."""
    if is_path(target) or target not in families.names():
        return dict(own)
    return family_values(families.family_of(target), own, target)


def family_values(family: families.Family, own: Mapping[str, str], variant: str = "") -> dict[str, Any]:
    """Values of options for a variant, or for what was scaled. Raises SmidgenError, as a command says it."""
    there = {option.name: option for option in family.options if option.only in ("", variant)}
    if misplaced := family.misplaced(own, variant):
        told, one = ", ".join(option.flag for option in misplaced), len(misplaced) == 1
        raise SmidgenError(f"{told}: only {misplaced[0].only} takes {'it' if one else 'them'}")
    for name in own:
        if name not in there:
            flags = ", ".join(option.flag for option in there.values()) or "no options"
            written = f"--{name.replace('_', '-')}"
            raise SmidgenError(f"{written}: {family.name} has no such option; it has {flags} of its own")
    return {name: there[name].read(text) for name, text in own.items()}
