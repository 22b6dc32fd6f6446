"""A report as a run on the digits would leave it; every number in it is made up."""

from __future__ import annotations

import base64
import io
import math
from typing import Any

import numpy as np
from PIL import Image

from smidgen.report.schema import Report, complete

CLASSES = [str(digit) for digit in range(10)]


def digits_report() -> dict[str, Any]:
    confusion = np.diag([27, 26, 26, 27, 27, 26, 27, 27, 25, 26])
    confusion[8, 1], confusion[9, 3], confusion[5, 9], confusion[1, 8] = 2, 1, 1, 1
    total, right = int(confusion.sum()), int(np.trace(confusion))
    return {
        "network": {"name": "shiftresnet20_e3@w0.62,r16", "family": "shiftnet"},
        "budget": {"params": 30_000, "macs": 3_000_000},
        "cost": {"params": 28_412, "macs": 2_134_016, "peak_bytes": 24_576, "weight_bytes": 121_904},
        "test": {
            "accuracy": right / total,
            "interval": [0.9572, 0.9920],
            "n": total,
            "top5_accuracy": 0.9963,
            "balanced_accuracy": 0.9812,
            "calibration_error": 0.0142,
        },
        "reliability": reliability(),
        "none_of_these": {
            "score": "maximum softmax probability",
            "threshold": 0.734512,
            "kept": 0.95185,
            "n": 270,
            "kept_accuracy": 0.9922,
        },
        "measured": {
            "memory": {
                "value": 21_618_688,
                "what": "growth of a fresh process's peak resident memory",
                "device": "Intel Xeon, 2.6 GHz",
                "precision": "fp32",
            },
            "size_bytes": 121_904,
            "note": None,
            "latency_ms": {
                "value": 0.84,
                "p95": 1.12,
                "device": "Intel Xeon, 2.6 GHz",
                "precision": "fp32",
                "threads": 2,
                "doubt": None,
            },
        },
        "candidates": candidates(),
        "contest": contest(),
        "starting_point": {
            "kind": "teacher",
            "weights": None,
            "teacher": {"name": "resnet56", "params": 855_770, "val_accuracy": 0.9926},
        },
        "provenance": provenance(),
        "classes": CLASSES,
        "confusion": confusion.tolist(),
        "curves": curves(),
        "mistakes": mistakes(),
        "model_file": "model.safetensors",
        "dropped_strides": 1,
        "resolution": 16,
        "next_commands": [
            "smidgen predict runs/digits/model.safetensors picture.png",
            "smidgen eval runs/digits/model.safetensors digits",
            'smidgen fit digits --budget "params=15k, macs=1.5M"',
        ],
    }


def candidates() -> list[dict[str, Any]]:
    rows = (
        ("shiftresnet20_e3@w0.62,r16", "shiftnet", 28_412, 2_134_016, 24_576, 0.9815, 12, 41.3, True),
        ("efficientnet_lite0@w0.18,d0.5", "efficientnet", 29_106, 1_240_880, 40_960, 0.9741, 12, 63.0, False),
        ("squeezenet1_1@w0.25", "squeezenet", 21_730, 2_871_040, 65_536, 0.9556, 12, 28.8, False),
        ("resnet20@w0.5", "resnet", 17_642, 2_660_352, 32_768, 0.9704, 12, 35.2, False),
    )
    keys = ("name", "family", "params", "macs", "peak_bytes", "val_accuracy", "epochs", "seconds", "chosen")
    table: list[dict[str, Any]] = [dict(zip(keys, row, strict=True)) for row in rows]
    for rank, row in enumerate(table):
        row["weight_bytes"] = 4 * row["params"] + 8_000
        row["rungs"] = [
            {"epochs": epochs, "val_accuracy": row["val_accuracy"] - 0.6 / epochs, "seconds": 3.4 * epochs}
            for epochs in (3, 6, 12)[: 3 - rank // 2]
        ]
    return table


def contest() -> dict[str, Any]:
    rungs = [
        {"epochs": 3, "candidates": 4, "spearman": None},
        {"epochs": 6, "candidates": 4, "spearman": 0.8},
        {"epochs": 12, "candidates": 2, "spearman": 1.0},
    ]
    return {"eta": 2.0, "rungs": rungs, "note": "Ties went to the cheaper network."}


def reliability() -> list[dict[str, Any]]:
    rows = ((0.42, 0.33, 3), (0.56, 0.6, 5), (0.63, 0.75, 4), (0.78, 0.86, 7), (0.84, 1.0, 9))
    high = ((0.9, 0.941, 17), (0.988, 0.9955, 224))
    return [{"confidence": x, "accuracy": y, "n": n} for x, y, n in rows + high]


def curves() -> list[dict[str, Any]]:
    wobble = np.random.default_rng(0).normal(size=60)
    return [
        {
            "epoch": epoch + 1,
            "step": 20 * (epoch + 1),
            "lr": 0.005 * (1 + math.cos(math.pi * epoch / 60)),
            "train_loss": 0.34 + 2.0 * math.exp(-epoch / 6),
            "train_accuracy": 0.975 - 0.87 * math.exp(-epoch / 5),
            "val_loss": 0.29 + 1.9 * math.exp(-epoch / 5) + 0.02 * abs(float(wobble[epoch])),
            "val_accuracy": min(1.0, 0.986 - 0.86 * math.exp(-epoch / 4) + 0.004 * float(wobble[epoch])),
            "seconds": 2.9 * (epoch + 1),  # since the training began
        }
        for epoch in range(60)
    ]


def mistakes() -> list[dict[str, Any]]:
    pairs = [(8, 1, 0.97), (5, 9, 0.91), (8, 1, 0.83), (9, 3, 0.72), (1, 8, 0.55)]
    return [
        {
            "name": f"digits/{true}/{417 * (index + 1) % 1797:04d}.png",
            "true": CLASSES[true],
            "predicted": CLASSES[called],
            "confidence": confidence,
            "png_base64": picture(true, index),
        }
        for index, (true, called, confidence) in enumerate(pairs)
    ]


def picture(digit: int, seed: int) -> str:
    """A blob of 8 by 8 pixels as base64 PNG."""
    noise = np.random.default_rng(10 * digit + seed).random((8, 8))
    y, x = np.mgrid[-1:1:8j, -1:1:8j]
    ring = np.exp(-((np.hypot(x, y) - 0.6) ** 2) / 0.06) * (0.7 + 0.3 * noise)
    target = io.BytesIO()
    Image.fromarray((255 * ring).clip(0, 255).astype(np.uint8)).save(target, "PNG")
    return base64.b64encode(target.getvalue()).decode()


def provenance() -> dict[str, Any]:
    return {
        "command": 'smidgen fit digits --budget "params=30k, macs=3M" --seed 0',
        "seed": 0,
        "versions": {"smidgen": "0.1.0", "torch": "2.13.0", "numpy": "2.3.1", "python": "3.11.9"},
        "data": {
            "name": "digits",
            "source": "UCI Machine Learning Repository, Optical Recognition of Handwritten Digits",
            "fingerprint": "sha256:5f1c0f2e9c7ad6e1f3a1b7be4a0d25c99e0f61d1a5d3c3a86d7d1d9fb1f0c2ab",
            "pictures": 1797,
            "classes": 10,
            "split": {"train": 1258, "val": 270, "test": 269},
            "aspect": "squash",
            "cut_away": 0.25,
        },
        "date": "2025-11-23T09:14:05Z",
        "machine": {"processor": "Intel Xeon, 2.6 GHz", "cores": 2, "system": "Linux 6.1"},
        "recipe": {"epochs": 60, "batch": 64, "optimiser": "AdamW", "rate": 0.01, "warm_up": 3, "ema": 0.99},
        "time_limit_s": 600,
        "starts": ["2026-11-23T12:00:00+00:00"],
    }


def whole() -> Report:
    """Everything that a report can hold."""
    return complete(digits_report())


def bare() -> Report:
    """The least that a report may hold: everything that could be left unmeasured was."""
    network = {"name": "squeezenet1_1", "family": "squeezenet"}
    return complete({"network": network, "cost": {"params": 1_235_496, "macs": 349_000_000}})


def crowded(classes: int, candidates: int = 27) -> Report:
    """A run with many classes and many candidates, a third of which went on from each rung."""
    report: dict[str, Any] = digits_report()
    random = np.random.default_rng(classes)
    names = [
        f"{kind} {index // 4 + 1}" for index, kind in zip(range(classes), _KINDS * classes, strict=False)
    ]
    confusion = np.diag(random.integers(15, 40, classes))
    pairs = random.integers(0, classes, (3 * classes, 2))
    for row, column in pairs[pairs[:, 0] != pairs[:, 1]]:
        confusion[row, column] += random.integers(1, 4)
    total = int(confusion.sum())
    report["test"] |= {"accuracy": float(np.trace(confusion)) / total, "n": total, "interval": None}
    report["test"]["balanced_accuracy"] = None
    report |= {"classes": names, "confusion": confusion.tolist(), "mistakes": mistakes()}
    report["candidates"] = [_rival(index, random) for index in range(candidates)]
    report["contest"]["rungs"] = [
        {"epochs": 3**step, "candidates": candidates // 3 ** (step - 1), "spearman": 0.61 + 0.1 * step}
        for step in (1, 2, 3)
    ]
    return complete(report)


_KINDS = ("maple", "common oak", "silver birch", "beech")


def _rival(index: int, random: np.random.Generator) -> dict[str, Any]:
    family = ("shiftnet", "efficientnet", "squeezenet", "resnet")[index % 4]
    params = int(random.integers(5_000, 30_000))
    reached = float(0.98 - 0.3 * random.random() ** 2)
    lengths = (3, 9, 27)[: 3 if index < 3 else 2 if index < 9 else 1]
    return {
        "name": f"{family}_{index}@w0.{index + 10},r32",
        "family": family,
        "params": params,
        "macs": params * int(random.integers(20, 90)),
        "peak_bytes": 40_000,
        "weight_bytes": 4 * params,
        "val_accuracy": reached if index else 0.985,
        "epochs": lengths[-1],
        "seconds": 2.0 * lengths[-1],
        "chosen": index == 0,
        "rungs": [{"epochs": n, "val_accuracy": reached - 0.3 / n, "seconds": 2.0 * n} for n in lengths],
    }


def foretold(*, here: bool, value: float = 0.77, device: str = "Cortex-A72, neon") -> dict[str, Any]:
    """Milliseconds as a device file foretells them."""
    return {"value": value, "device": device, "here": here, "error": 0.08, "threads": 2}


def confused(matrix: list[list[int]]) -> Report:
    """A run whose test pictures were called as the matrix says: rows are the true classes."""
    report: dict[str, Any] = digits_report()
    total, right = sum(map(sum, matrix)), sum(row[index] for index, row in enumerate(matrix))
    recalls = [row[index] / sum(row) for index, row in enumerate(matrix) if sum(row)]
    report["test"] |= {"accuracy": right / total, "n": total, "interval": None}
    report["test"]["balanced_accuracy"] = sum(recalls) / len(recalls)
    report |= {"classes": [f"class {n}" for n in range(len(matrix))], "confusion": matrix, "mistakes": []}
    return complete(report)


def lopsided() -> Report:
    """100 to 1: every picture is called the commonest class."""
    return confused([[1500, 0], [15, 0]])


def guessed() -> Report:
    """Ten classes as large as each other, and answers that have nothing to do with them."""
    return confused([[3, 2, 3, 3, 2, 3, 3, 3, 2, 3] for _ in range(10)])
