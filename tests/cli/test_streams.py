"""Streams that are closed, full or unread end nothing, and nothing of a library's comes out of them."""

from __future__ import annotations

import io
import json
import logging
import os
import shlex
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import smidgen as package
from smidgen import modelfile
from smidgen.program import draw_weights
from smidgen.run import Fitted
from tiny_set import shapes

SMIDGEN = f"{shlex.quote(sys.executable)} -m smidgen"
TRAINING = "--budget params=8k --family resnet --from-scratch --epochs 1"


def shell(line: str, folder: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    """`smidgen` with the streams that a shell gives it."""
    command = line.replace("smidgen ", f"{SMIDGEN} ", 1)
    clean = {key: value for key, value in os.environ.items() if not key.startswith("PYTHONWARN")}
    clean |= {"PYTHONPATH": str(Path(package.__file__).parents[1]), "OMP_NUM_THREADS": "1", **variables}
    return subprocess.run(
        ["bash", "-o", "pipefail", "-c", command],
        cwd=folder,
        env=clean,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model, a picture and a data set."""
    folder = tmp_path_factory.mktemp("streams")
    network = package.network("resnet20", num_classes=2, resolution=16)
    modelfile.write(folder / "m.safetensors", modelfile.ModelFile(network, draw_weights(network)))
    Image.fromarray(np.zeros((16, 16, 3), np.uint8)).save(folder / "1.png")
    shapes(folder / "photos", per_class=8)
    return folder


SHORT = ["--help", "check photos", "predict m.safetensors 1.png"]


@pytest.mark.parametrize("streams", [">&-", "2>&-", "<&-", ">&- 2>&- <&-"])
@pytest.mark.parametrize("line", SHORT)
def test_a_closed_stream_is_like_dev_null(place: Path, line: str, streams: str) -> None:
    done = shell(f"smidgen {line} {streams}", place)
    assert (done.returncode, done.stderr) == (0, "")
    assert bool(done.stdout) == (">&-" not in streams.replace("2>&-", ""))


@pytest.mark.parametrize("streams", [">&- 2>&- <&-", ">/dev/full 2>/dev/full"])
@pytest.mark.parametrize("line", ["nosuch", "predict m.safetensors nosuch.png"])
def test_a_mistake_that_nobody_can_hear_has_its_exit_code(place: Path, line: str, streams: str) -> None:
    done = shell(f"smidgen {line} {streams}", place)
    assert (done.returncode, done.stdout, done.stderr) == (2, "", "")


def test_what_a_command_writes_does_not_go_where_a_closed_stream_was(place: Path) -> None:
    for streams in (">&-", "<&- >&-", "<&- >&- 2>&-"):
        done = shell(f"smidgen predict m.safetensors 1.png --csv t.csv {streams}", place)
        assert done.returncode == 0
        assert (place / "t.csv").read_text().startswith("picture,class,")
        assert "pictures" not in (place / "t.csv").read_text()
        (place / "t.csv").unlink()


@pytest.mark.parametrize("streams", ["<&-", "0>made"])
def test_a_list_from_a_stream_that_cannot_be_read_is_one_line(place: Path, streams: str) -> None:
    done = shell(f"smidgen predict m.safetensors - {streams}", place)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert "standard input" in done.stderr


@pytest.mark.parametrize("line", SHORT)
def test_a_full_disk_behind_standard_output_is_one_line(place: Path, line: str) -> None:
    done = shell(f"smidgen {line} >/dev/full", place)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.endswith(": No space left on device\n")
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize("line", ["models", "count efficientnet_b0 --csv -"])
def test_a_reader_who_has_seen_enough_ends_a_short_command_quietly(place: Path, line: str) -> None:
    done = shell(f"smidgen {line} | true", place)
    assert done.returncode in (0, 1)
    assert done.stderr == ""


@pytest.mark.parametrize(
    ("line", "streams", "said"),
    [
        (f"fit photos {TRAINING}", "| true", "nobody reads it any more"),
        (f"fit photos {TRAINING} --json", ">/dev/full", "No space left on device"),
        pytest.param(
            "demo --epochs 1 --from-scratch", "| true", "nobody reads it any more", marks=pytest.mark.slow
        ),
        pytest.param("train photos --model resnet20 --epochs 1", ">&- 2>&- <&-", "", marks=pytest.mark.slow),
        pytest.param("train photos --model resnet20 --epochs 1", "2>&1 | true", "", marks=pytest.mark.slow),
    ],
)
def test_a_training_goes_on_whoever_listens(
    place: Path, tmp_path: Path, line: str, streams: str, said: str
) -> None:
    done = shell(f"smidgen {line} --out {shlex.quote(str(tmp_path / 'run'))} {streams}", place)
    assert (done.returncode, done.stderr.count("\n")) == (0, bool(said)), done.stderr
    assert said in done.stderr
    assert json.loads((tmp_path / "run" / "report.json").read_text())["test"]["n"] > 0
    assert (tmp_path / "run" / "report.html").exists()


# ── what can be copied from a terminal ───────────────────────────────────────────────────────────────


def on_a_terminal(columns: int, folder: Path, *arguments: object) -> str:
    """What a terminal of so many columns is sent, without colours."""
    import re

    pty, termios, fcntl = map(pytest.importorskip, ("pty", "termios", "fcntl"))
    import struct

    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    variables = os.environ | {"TERM": "xterm", "OMP_NUM_THREADS": "1"}
    variables = {key: value for key, value in variables.items() if key not in ("COLUMNS", "LINES")}
    command = [sys.executable, "-m", "smidgen", *map(str, arguments)]
    with subprocess.Popen(command, cwd=folder, env=variables, stdout=theirs, stderr=theirs) as process:
        os.close(theirs)
        seen = b""
        try:
            while block := os.read(ours, 2**16):
                seen += block
        except OSError:  # how the end of a terminal looks
            pass
    os.close(ours)
    assert process.returncode in (0, 2)
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", seen.decode()).replace("\r\n", "\n")


LONG = "a long name of a folder, with blanks  and it's quotes and more than enough of them"


@pytest.mark.parametrize("columns", [80, 40])
def test_next_commands_stand_whole_on_a_line_and_run_as_they_are(
    fitted: Fitted, tmp_path: Path, columns: int
) -> None:
    script = tmp_path / "summarise.py"
    script.write_text(
        "import sys\nfrom pathlib import Path\nfrom types import SimpleNamespace as Some\n"
        "from smidgen import report\nfrom smidgen.cli.running import summarise\n"
        "document = report.read(Path(sys.argv[1]) / 'report.json')\n"
        "document['next_commands'] = sys.argv[2:]\n"
        "summarise(Some(report=document, folder=Path(sys.argv[3]), network=Some(name='n'), seconds={}))\n"
    )
    command = shlex.join(["smidgen", "show", f"{LONG}/model.safetensors"])
    pty, termios, fcntl = map(pytest.importorskip, ("pty", "termios", "fcntl"))
    import struct

    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    subprocess.run(
        [sys.executable, script, fitted.folder, command, LONG],
        env=os.environ | {"TERM": "xterm"},
        stdout=theirs,
        check=True,
    )
    os.close(theirs)
    seen = os.read(ours, 2**16).decode().replace("\r\n", "\n")
    os.close(ours)
    assert f"  {command}\n" in seen
    assert f"{LONG}/report.html\n" in seen


@pytest.mark.parametrize("columns", [80, 40])
def test_paths_and_advice_stand_whole_on_a_line(place: Path, columns: int) -> None:
    target = place / LONG / "figure.svg"
    target.parent.mkdir(exist_ok=True)
    assert f"{target}\n" in on_a_terminal(columns, place, "draw", "shift", "-o", target)
    (place / LONG / "run.json").write_text('{"format": 3, "job": {}, "plan": {}}')
    told = on_a_terminal(columns, place, "search", "--resume", LONG)
    assert f"`smidgen resume {shlex.quote(LONG)}`\n" in told


# ── what libraries would say ─────────────────────────────────────────────────────────────────────────


def odd_pictures(folder: Path) -> None:
    """Pictures that are read, over which Pillow warns."""
    folder.mkdir()
    picture = Image.fromarray(np.random.default_rng(0).integers(0, 255, (16, 16, 3), np.uint8))
    # Two entries are declared, and the second ends in its middle.
    exif = b"Exif\0\0MM\0*\0\0\0\x08\0\x02\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\x01\x1a\0\x05"
    picture.save(folder / "exif.jpg", exif=exif)
    picture.convert("P").save(folder / "palette.png", transparency=bytes(range(200)))
    picture.save(folder / "tag.tif", tiffinfo={270: "said" * 9})
    content = bytearray((folder / "tag.tif").read_bytes())
    at = int.from_bytes(content[4:8], "little") + 2
    while content[at : at + 2] != (270).to_bytes(2, "little"):
        at += 12
    content[at + 4 : at + 8] = (99_999).to_bytes(4, "little")
    (folder / "tag.tif").write_bytes(content)


def test_what_a_decoder_warns_of_reaches_nobody_who_has_not_asked(place: Path, tmp_path: Path) -> None:
    odd_pictures(tmp_path / "odd")
    line = f"smidgen predict m.safetensors {shlex.quote(str(tmp_path / 'odd'))}"
    quiet = shell(line, place)
    assert (quiet.returncode, quiet.stdout.count("\n"), quiet.stderr) == (0, 3, "")
    loud = shell(line, place, PYTHONWARNINGS="always")
    assert loud.stdout == quiet.stdout
    assert loud.stderr.count("UserWarning") >= 3


HUSHED = """
import logging, sys, warnings
from smidgen.cli import streams
from smidgen.spec import SmidgenWarning
streams.hush()
import subprocess
warnings.warn("of a library")
with warnings.catch_warnings():
    warnings.simplefilter("always")
    warnings.warn("of a library that insists", DeprecationWarning)
    import numpy
    numpy.float32(1) / numpy.float32(0)
warnings.warn("steps are slow here", SmidgenWarning)
for name in ("PIL.TiffImagePlugin", "matplotlib.font_manager", "absl", "root"):
    logging.getLogger(name).error("of a library")
logging.error("of a library")
logging.getLogger("smidgen").warning("the cache is full")
subprocess.run([sys.executable, "-c", "import warnings; warnings.warn('of a worker')"])
import torch
torch._C._log_api_usage_once("nothing")
logging.getLogger("torch.fx").warning("of torch")
logging.getLogger("torch._dynamo").warning("of torch")
logging.getLogger("torch").warning("of torch")
torch.tensor(numpy.broadcast_to(numpy.zeros(1), 2)); torch.from_numpy(numpy.broadcast_to(numpy.zeros(1), 2))
"""


def test_only_what_smidgen_itself_warns_of_is_said() -> None:
    clean = {key: value for key, value in os.environ.items() if not key.startswith(("PYTHONWARN", "TORCH"))}
    done = subprocess.run(
        [sys.executable, "-c", HUSHED], env=clean, capture_output=True, text=True, check=True
    )
    assert (done.stdout, done.stderr) == ("", "steps are slow here\nthe cache is full\n")


def test_a_patient_stream_says_once_that_it_is_lost_and_keeps_what_was_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from smidgen.cli.streams import outliving_readers

    heard = io.StringIO()
    with (tmp_path / "out").open("w", encoding="latin-1", errors="backslashreplace") as out:
        monkeypatch.setattr(sys, "stdout", out)
        monkeypatch.setattr(sys, "stderr", heard)
        print("é→ before")
        with outliving_readers():
            print("é→ within")
        assert sys.stdout is out
        print("after")
    assert (tmp_path / "out").read_bytes().decode("latin-1").split("\n") == [
        "é\\u2192 before", "é\\u2192 within", "after", "",
    ]  # fmt: skip
    assert (heard.getvalue(), warnings.showwarning is not None, logging.root.level) == ("", True, 30)


def test_a_narrow_terminal_cuts_no_names(place: Path) -> None:
    from smidgen.families import names

    shown = on_a_terminal(40, place, "models", "shiftresnet*")
    assert all(f"\n {name} " in shown for name in names("shiftresnet*"))
    assert "…" not in shown
