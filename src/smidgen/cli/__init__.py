"""The command line: the only place that parses arguments or prints.

Every command is a file of this package whose `command` is a Click command; it is imported when it
is called, and imports torch, where it needs it, when it runs.
"""

from __future__ import annotations

import importlib
import sys
from typing import NoReturn

import click

import smidgen
from smidgen.cli import streams
from smidgen.cli.ending import leave, listen
from smidgen.spec import SmidgenError, StoppedError, closest

__all__ = ["main"]

# What `smidgen --help` shows, without importing a single command.
COMMANDS = {
    "fit": "Find, train and report the best classifier for DATA inside a budget.",
    "demo": "Run `fit` on a folder of handwritten digits, here and now.",
    "check": "Say whether DATA can be trained on, and what is in it.",
    "train": "Train one network on DATA.",
    "resume": "Go on with a run that was stopped or killed.",
    "search": "Find compound scaling's α, β, γ for DATA, and compare rules of scaling.",
    "eval": "Measure a model's accuracy on DATA.",
    "predict": "Name what is on pictures.",
    "export": "Write a model for another runtime.",
    "report": "Write a run's page and model card again, from its report.json.",
    "models": "List what can be built, with parameters, MACs and published accuracy.",
    "show": "Show a network layer by layer, with its exact costs.",
    "count": "Count a network's parameters, tensor by tensor.",
    "draw": "Draw an architecture, a block, the shift operation or compound scaling as SVG.",
    "scale": "Scale a family by the compound rule, or into a budget.",
    "bench": "Measure a model against other runtimes, in turns.",
    "convert": "Turn a PyTorch .pth into a model file, without running its code.",
    "info": "Say which kernels run on this machine, and why.",
}


class _Commands(click.Group):
    """Group that imports a command when it is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        command = importlib.import_module(f"smidgen.cli.{cmd_name}").command
        assert isinstance(command, click.Command)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and not args[0].startswith("-") and args[0] not in COMMANDS:
            raise SmidgenError(
                f"no command '{args[0]}'; {closest(args[0], COMMANDS)}`smidgen --help` lists all"
            )
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


@click.group(
    cls=_Commands,
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(smidgen.__version__, prog_name="smidgen")
@click.pass_context
def cli(ctx: click.Context) -> None:
    """Image classifiers that fit a budget: count, scale, train, measure.

    \b
    smidgen demo                                          see the whole job on real digits
    smidgen fit PICTURES --budget "params=200k, macs=40M"  the main job, on your own folder
    """
    if ctx.invoked_subcommand is None:
        click.echo(ctx.get_help())


def main() -> NoReturn:
    """Run the command line; a user's mistake is one line on stderr and exit code 2."""
    streams.complete()
    streams.hush()
    listen()
    try:
        code = cli.main(prog_name="smidgen", standalone_mode=False)
        sys.stdout.flush()
    except (click.Abort, KeyboardInterrupt) as error:
        _fail(str(error) or str(error.__cause__ or "") or "interrupted", 130)  # Click makes one of the other
    except click.UsageError as error:
        _fail(_usage(error), 2)
    except click.ClickException as error:
        _fail(error.format_message(), 2)
    except StoppedError as error:
        _fail(str(error), 130)
    except SmidgenError as error:
        _fail(str(error), 2)
    except BrokenPipeError:  # whoever read our output has seen enough
        streams.settle(sys.stdout)
        streams.settle(sys.stderr)
        sys.exit(1)
    except OSError as error:
        _fail(f"{error.filename or 'input or output'}: {error.strerror or error}", 2)
    except MemoryError:
        _fail("out of memory; smaller pictures or a smaller network may fit", 2)
    streams.settle(sys.stderr)
    sys.exit(code if isinstance(code, int) else 0)


def _usage(error: click.UsageError) -> str:
    """Click's complaint with the command it belongs to, as one line."""
    command = error.ctx.command_path if error.ctx else "smidgen"
    return f"{command}: {error.format_message().rstrip('.')}; `{command} --help` shows how it is called"


def _fail(message: str, code: int) -> NoReturn:
    line = " ".join(part.strip() for part in message.splitlines() if part.strip())  # blanks in names stay
    try:
        click.echo(line, err=True)
    except OSError:  # nobody hears it; the exit code still tells
        streams.settle(sys.stderr)
    streams.settle(sys.stdout)
    leave(code)
