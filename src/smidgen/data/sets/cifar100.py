"""CIFAR-100: 60,000 colour photographs of 32 x 32 in a hundred classes, 50,000 to train and 10,000 to test.

Read from the folder SMIDGEN_CIFAR100: the archive of the binary version, or its files. No pickle is read.
The classes are the fine ones.
"""

from __future__ import annotations

from smidgen.data.cifar import Batch, Cifar, read_cifar
from smidgen.data.dataset import Dataset

__all__ = ["SOURCE", "read"]

SOURCE = (
    "A. Krizhevsky: Learning Multiple Layers of Features from Tiny Images, 2009, "
    "https://www.cs.toronto.edu/~kriz/cifar.html"
)

# In the order of the archive's fine_label_names.txt.
CLASSES = """
    apple aquarium_fish baby bear beaver bed bee beetle bicycle bottle bowl boy bridge bus butterfly
    camel can castle caterpillar cattle chair chimpanzee clock cloud cockroach couch crab crocodile cup
    dinosaur dolphin elephant flatfish forest fox girl hamster house kangaroo keyboard lamp lawn_mower
    leopard lion lizard lobster man maple_tree motorcycle mountain mouse mushroom oak_tree orange orchid
    otter palm_tree pear pickup_truck pine_tree plain plate poppy porcupine possum rabbit raccoon ray
    road rocket rose sea seal shark shrew skunk skyscraper snail snake spider squirrel streetcar
    sunflower sweet_pepper table tank telephone television tiger tractor train trout tulip turtle
    wardrobe whale willow_tree wolf woman worm
"""

# The archive's MD5 stands on the author's page. Those of its files do not: they are what a public program
# checks them against.
CIFAR = Cifar(
    name="cifar100",
    source=SOURCE,
    variable="SMIDGEN_CIFAR100",
    archive="cifar-100-binary.tar.gz",
    archive_md5="03b5dce01913d631647c71ecec9e9cb8",
    folder="cifar-100-binary",
    batches=(
        Batch("train", "train.bin", "6172c7755cfe09b2fe270c85cebc1b15"),
        Batch("test", "test.bin", "4499cfba6c016c1be1438163640a0898"),
    ),
    label_bytes=2,
    classes=tuple(CLASSES.split()),
)


def read() -> Dataset:
    """Read the set. Raises DataError when it is not there, or is not the published one."""
    return read_cifar(CIFAR)
