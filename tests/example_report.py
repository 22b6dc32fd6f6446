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
        "test": {"accuracy": right / total, "interval": [0.9572, 0.9920], "n": total},
        "measured": {
            "latency_ms": {
                "value": 0.84,
                "p95": 1.12,
                "device": "Intel Xeon, 2.6 GHz",
                "precision": "fp32",
                "threads": 2,
            }
        },
        "candidates": candidates(),
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
    return [dict(zip(keys, row, strict=True)) for row in rows]


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
        },
        "date": "2025-11-23T09:14:05Z",
        "machine": {"processor": "Intel Xeon, 2.6 GHz", "cores": 2, "system": "Linux 6.1"},
        "recipe": {"epochs": 60, "batch": 64, "optimiser": "AdamW", "rate": 0.01, "warm_up": 3, "ema": 0.99},
    }


def whole() -> Report:
    """Everything that a report can hold."""
    return complete(digits_report())


def bare() -> Report:
    """The least that a report may hold: everything that could be left unmeasured was."""
    network = {"name": "squeezenet1_1", "family": "squeezenet"}
    return complete({"network": network, "cost": {"params": 1_235_496, "macs": 349_000_000}})
