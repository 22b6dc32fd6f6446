"""Cold starts beside what importing numpy and Pillow takes, and --help: new processes that take turns.

    python results/cold_start.py --rounds 15

A cold start is that of `smidgen bench`: a new process imports, loads the model file, decodes a JPEG of
640 x 480 and predicts. The weights are drawn at random.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from rows import told

import smidgen
from smidgen import modelfile
from smidgen.bench import rivals
from smidgen.bench.process import cold_start
from smidgen.bench.runner import Bench, cold_request
from smidgen.program import draw_weights

RIVALS = ("smidgen", "onnxruntime")
SCRIPTS = {
    "bare interpreter": "pass",
    "import smidgen": "import smidgen",
    "smidgen --help": "import sys; sys.argv = ['smidgen', '--help']; from smidgen.cli import main; main()",
    "numpy and Pillow": "import numpy, PIL.Image",
}


def main() -> None:
    """Start everything in turns, and print medians, least and most."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--model", default="efficientnet_b0", help="a name that can be built")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--threads", type=int, default=2)
    given = parser.parse_args()
    network = smidgen.network(given.model)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        model = folder / "model.safetensors"
        modelfile.write(model, modelfile.ModelFile(network, draw_weights(network)))
        bench, requests = Bench(model, network, given.threads, folder), {}
        for rival in RIVALS:
            setting = rivals.load(rival).settings(False)[0]
            requests[rival] = cold_request(bench, rival, setting)
        times: dict[str, list[float]] = {what: [] for what in (*SCRIPTS, *RIVALS)}
        for _ in range(given.rounds):
            for what, script in SCRIPTS.items():
                times[what].append(process(script))
            for rival, request in requests.items():
                times[rival].append(cold_start(request))
    for what, values in times.items():
        print(f"{what:18}{told(values, 0)} ms")
    above = [own - alone for own, alone in zip(times["smidgen"], times["numpy and Pillow"], strict=True)]
    ratio = [own / other for own, other in zip(times["smidgen"], times["onnxruntime"], strict=True)]
    print(f"smidgen over the imports: {told(above, 0)} ms; over ONNX Runtime: {told(ratio)}")


def process(script: str) -> float:
    """Milliseconds of a new process that does this."""
    began = time.perf_counter()
    subprocess.run([sys.executable, "-c", script], check=True, stdout=subprocess.DEVNULL)
    return 1000 * (time.perf_counter() - began)


if __name__ == "__main__":
    main()
