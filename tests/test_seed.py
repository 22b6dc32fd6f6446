"""The note that the project comes from, run with nothing but its imports changed."""

import re
from typing import Any

import pytest
import torch
from prettytable import PrettyTable
from torch import nn
from torch.nn import init

import smidgen
from smidgen import models

# What the seed prints for EfficientNet-B0, up to where it says "...".
PRINTED = """
+---------------------------------+------------+
|             Modules             | Parameters |
+---------------------------------+------------+
|       features.0.0.weight       |    864     |
|       features.0.1.weight       |     32     |
|        features.0.1.bias        |     32     |
|  features.1.0.block.0.0.weight  |    288     |
|  features.1.0.block.0.1.weight  |     32     |
|   features.1.0.block.0.1.bias   |     32     |
| features.1.0.block.1.fc1.weight |    256     |
|  features.1.0.block.1.fc1.bias  |     8      |
| features.1.0.block.1.fc2.weight |    256     |
|  features.1.0.block.1.fc2.bias  |     32     |
|  features.1.0.block.2.0.weight  |    512     |
|  features.1.0.block.2.1.weight  |     16     |
|   features.1.0.block.2.1.bias   |     16     |
|  features.2.0.block.0.0.weight  |    1536    |
|  features.2.0.block.0.1.weight  |     96     |
|   features.2.0.block.0.1.bias   |     96     |
|  features.2.0.block.1.0.weight  |    864     |
|  features.2.0.block.1.1.weight  |     96     |
|   features.2.0.block.1.1.bias   |     96     |
| features.2.0.block.2.fc1.weight |    384     |
|  features.2.0.block.2.fc1.bias  |     4      |
| features.2.0.block.2.fc2.weight |    384     |
...
|       classifier.1.weight       |  1280000   |
|        classifier.1.bias        |    1000    |
+---------------------------------+------------+
Total Trainable Params: 5288548
5288548
"""

COUNT = """
def count_parameters(model):
    table = PrettyTable(["Modules", "Parameters"])
    n_params = 0
    for name, parameter in model.named_parameters():
        if not parameter.requires_grad: 
          continue
        n_param = parameter.numel()
        table.add_row([name, n_param])
        n_params+=n_param
    print(table)
    print(f"Total Trainable Params: {total_params}")
    return total_params
"""  # noqa: W291

CLASSES = """
class Fire(nn.Module):
    def __init__(self, inplanes: int, squeeze_planes: int, expand1x1_planes: int, expand3x3_planes: int) -> None:
        super().__init__()
        self.inplanes = inplanes
        #----------------------------------------------------------------#
        # [1] Squeeze convolution layer
        self.squeeze = nn.Conv2d(inplanes, squeeze_planes, kernel_size=1)
        self.squeeze_activation = nn.ReLU(inplace=True)
        #----------------------------------------------------------------#
        # [2] Expand convolution layer
        self.expand1x1 = nn.Conv2d(squeeze_planes, expand1x1_planes, kernel_size=1)
        self.expand1x1_activation = nn.ReLU(inplace=True)
        self.expand3x3 = nn.Conv2d(squeeze_planes, expand3x3_planes, kernel_size=3, padding=1)
        self.expand3x3_activation = nn.ReLU(inplace=True)
        #----------------------------------------------------------------#

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.squeeze_activation(self.squeeze(x))
        return torch.cat(
            [self.expand1x1_activation(self.expand1x1(x)),
             self.expand3x3_activation(self.expand3x3(x))], 1)

class SqueezeNet(nn.Module):
    def __init__(self, version: str = "1_0", num_classes: int = 1000, dropout: float = 0.5) -> None:
        super().__init__()
        _log_api_usage_once(self)
        self.num_classes = num_classes
        if version == "1_0":
            self.features = nn.Sequential(
                nn.Conv2d(3, 96, kernel_size=7, stride=2),
                nn.ReLU(inplace=True),
                nn.MaxPool2d(kernel_size=3, stride=2, ceil_mode=True),
                Fire(96, 16, 64, 64),
                Fire(128, 16, 64, 64),
                Fire(128, 32, 128, 128),
                nn.MaxPool2d(kernel_size=3, stride=2, ceil_mode=True),
                Fire(256, 32, 128, 128),
                Fire(256, 48, 192, 192),
                Fire(384, 48, 192, 192),
                Fire(384, 64, 256, 256),
                nn.MaxPool2d(kernel_size=3, stride=2, ceil_mode=True),
                Fire(512, 64, 256, 256),
            )
        elif version == "1_1":
            self.features = nn.Sequential(
                nn.Conv2d(3, 64, kernel_size=3, stride=2),
                nn.ReLU(inplace=True),
                nn.MaxPool2d(kernel_size=3, stride=2, ceil_mode=True),
                Fire(64, 16, 64, 64),
                Fire(128, 16, 64, 64),
                nn.MaxPool2d(kernel_size=3, stride=2, ceil_mode=True),
                Fire(128, 32, 128, 128),
                Fire(256, 32, 128, 128),
                nn.MaxPool2d(kernel_size=3, stride=2, ceil_mode=True),
                Fire(256, 48, 192, 192),
                Fire(384, 48, 192, 192),
                Fire(384, 64, 256, 256),
                Fire(512, 64, 256, 256),
            )
        else:
            raise ValueError(f"Unsupported SqueezeNet version {version}: 1_0 or 1_1 expected")

        final_conv = nn.Conv2d(512, self.num_classes, kernel_size=1)
        self.classifier = nn.Sequential(
            nn.Dropout(p=dropout), final_conv, nn.ReLU(inplace=True), nn.AdaptiveAvgPool2d((1, 1))
        )

        for m in self.modules():
            if isinstance(m, nn.Conv2d):
                if m is final_conv:
                    init.normal_(m.weight, mean=0.0, std=0.01)
                else:
                    init.kaiming_uniform_(m.weight)
                if m.bias is not None:
                    init.constant_(m.bias, 0)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.features(x)
        x = self.classifier(x)
        return torch.flatten(x, 1)
"""  # noqa: E501


@pytest.fixture(scope="module")
def seed() -> dict[str, Any]:
    """Names that the seed's code defines; its imports are these."""
    names: dict[str, Any] = {
        "torch": torch,
        "nn": nn,
        "init": init,
        "PrettyTable": PrettyTable,
        "_log_api_usage_once": lambda _module: None,
    }
    exec(COUNT + CLASSES, names)
    return names


def test_the_seeds_table_has_every_row_that_the_seed_printed_and_ours_is_the_same(
    seed: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    efficientnet_b0 = models.efficientnet_b0()
    with pytest.raises(NameError, match="total_params"):  # the seed never defines what it returns
        seed["count_parameters"](efficientnet_b0)
    theirs = capsys.readouterr().out
    total = smidgen.count_parameters(efficientnet_b0)
    ours = capsys.readouterr().out
    assert ours == f"{theirs}Total Trainable Params: 5288548\n"
    assert total == 5288548
    head, tail = PRINTED.strip().removesuffix("\n5288548").split("...\n")
    assert ours.startswith(head)
    assert ours.endswith(f"{tail}\n")


def test_import_lines_of_the_seed_build_the_published_sizes() -> None:
    published = [5288548, 7794184, 9109994, 12233232, 19341616, 30389784, 43040704, 66347960]
    with torch.device("meta"):
        for number, params in enumerate(published):
            model = getattr(models, f"efficientnet_b{number}")(pretrained=False)
            assert sum(p.numel() for p in model.parameters()) == params
        for squeezenet in (models.SqueezeNet(), models.squeezenet1_0()):
            assert sum(p.numel() for p in squeezenet.parameters()) == 1248424
        assert sum(p.numel() for p in models.squeezenet1_1().parameters()) == 1235496


def test_fire_of_the_seed_and_ours_agree_in_attributes_and_outputs(seed: dict[str, Any]) -> None:
    theirs, ours = seed["Fire"](96, 16, 64, 64), models.Fire(96, 16, 64, 64)
    assert list(ours.state_dict()) == list(theirs.state_dict())
    assert [name for name, _ in ours.named_children()] == [name for name, _ in theirs.named_children()]
    assert ours.inplanes == theirs.inplanes
    ours.load_state_dict(theirs.state_dict())
    x = torch.randn(2, 96, 9, 7)
    assert torch.equal(ours(x), theirs(x))


@pytest.mark.parametrize("version", ["1_0", "1_1"])
def test_squeezenet_of_the_seed_and_ours_agree_in_keys_outputs_and_initialisation(
    seed: dict[str, Any], version: str
) -> None:
    theirs = seed["SqueezeNet"](version=version, num_classes=11, dropout=0.5)
    ours = models.SqueezeNet(version=version, num_classes=11, dropout=0.5)
    assert ours.num_classes == theirs.num_classes
    for (key, mine), (their_key, value) in zip(
        ours.named_parameters(), theirs.named_parameters(), strict=True
    ):
        assert key == their_key
        assert mine.shape == value.shape
        spread, expected = float(mine.detach().std()), float(value.detach().std())
        assert spread == pytest.approx(expected, rel=0.15), key
    ours.load_state_dict(theirs.state_dict())
    x = torch.randn(2, 3, 65, 64)
    assert torch.equal(ours.eval()(x), theirs.eval()(x))


def test_a_version_that_the_seed_refuses_is_refused_by_the_same_kind_of_error(seed: dict[str, Any]) -> None:
    for squeezenet in (seed["SqueezeNet"], models.SqueezeNet):
        with pytest.raises(ValueError, match=re.escape("1_1")):
            squeezenet(version="2_0")
