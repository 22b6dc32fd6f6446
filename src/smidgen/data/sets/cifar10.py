"""CIFAR-10: 60,000 colour photographs of 32 x 32 in ten classes, 50,000 to train and 10,000 to test.

Read from the folder SMIDGEN_CIFAR10: the archive of the binary version, or its files. No pickle is read.
"""

from __future__ import annotations

from smidgen.data.cifar import Batch, Cifar, read_cifar
from smidgen.data.dataset import Dataset

__all__ = ["SOURCE", "read"]

SOURCE = (
    "A. Krizhevsky: Learning Multiple Layers of Features from Tiny Images, 2009, "
    "https://www.cs.toronto.edu/~kriz/cifar.html"
)

# The archive's MD5 stands on the author's page. Those of its files do not: they are what several public build
# scripts check them against.
CIFAR = Cifar(
    name="cifar10",
    source=SOURCE,
    variable="SMIDGEN_CIFAR10",
    archive="cifar-10-binary.tar.gz",
    archive_md5="c32a1d4ab5d03f1284b67883e8d87530",
    folder="cifar-10-batches-bin",
    batches=(
        Batch("train", "data_batch_1.bin", "5dd7e06a14cb22eb9f671a540d1b7c25"),
        Batch("train", "data_batch_2.bin", "5ea93a67294ea407fff1d09f752e9692"),
        Batch("train", "data_batch_3.bin", "942cd6a4bcdd0dd3c604fbe906cb4421"),
        Batch("train", "data_batch_4.bin", "ae636b3ba5c66a11e91e8cb52e771fcb"),
        Batch("train", "data_batch_5.bin", "53f37980c15c3d472c316c40844f3f0d"),
        Batch("test", "test_batch.bin", "803d5f7f4d78ea53de84dbe85f74fb6d"),
    ),
    label_bytes=1,
    classes=(
        "airplane", "automobile", "bird", "cat", "deer",
        "dog", "frog", "horse", "ship", "truck",
    ),
)  # fmt: skip


def read() -> Dataset:
    """Read the set. Raises DataError when it is not there, or is not the published one."""
    return read_cifar(CIFAR)
