"""`smidgen convert`: foreign weights into a model file."""

from __future__ import annotations

from pathlib import Path

import click

from smidgen import families, gate
from smidgen.cli.output import bytes_text, say
from smidgen.cli.running import require_torch
from smidgen.cli.targets import output_option
from smidgen.spec import ModelFileError, SmidgenError

__all__ = ["command"]


@click.command("convert")
@click.argument("source", metavar="FILE.pth", type=click.Path(path_type=Path))
@click.option("--as", "name", required=True, metavar="NAME", help="The network whose weights these are.")
@output_option(required=False, help="Model file to write; default: FILE.safetensors.")
@click.option("--force", is_flag=True, help="Replace a model file that `convert` made before.")
def command(source: Path, name: str, output: Path | None, force: bool) -> None:
    """Turn the weights in FILE.pth into a model file. Code in the file is refused, never run."""
    families.family_of(name)
    _require_file(source)
    target = output or source.parent / f"{source.stem}.safetensors"
    gate.require(target, gate.CONVERTED, [source])
    if target.exists() and not force:
        raise SmidgenError(f"{target} exists; --force replaces it, -o writes elsewhere")
    require_torch()
    from smidgen.modelfile import ModelFile, write
    from smidgen.modules import convert

    network, state = convert(source, name)
    arrays = {key: tensor.detach().numpy() for key, tensor in state.items()}
    gate.unharmed(target, gate.CONVERTED, [source])
    size = write(target, ModelFile(network, arrays, {"converted_from": source.name}))
    say(f"{target}: {network.name}, {network.num_classes} classes, {bytes_text(size)}")


def _require_file(source: Path) -> None:
    """Refuse before torch is loaded what is no file, or cannot be read."""
    if source.exists() and not source.is_file():
        raise ModelFileError(f"{source}: a {'directory' if source.is_dir() else 'device'}; a file is needed")
    try:
        source.open("rb").close()
    except OSError as error:
        raise ModelFileError(f"{source}: cannot be read ({error.strerror or error})") from None
