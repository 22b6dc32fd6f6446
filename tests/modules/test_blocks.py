import pytest
import torch

from smidgen.modules import CSC, SC2, Fire, MBConv, ShiftConv, SqueezeExcite, SqueezeNet
from smidgen.spec import ShapeError, UnknownNameError


def test_mbconv_has_a_residual_only_where_the_shape_stays() -> None:
    x = torch.randn(2, 8, 6, 6)
    block = MBConv(8, 8).eval()
    for parameter in block.get_submodule("block.3.1").parameters():  # the last norm
        torch.nn.init.zeros_(parameter)
    assert torch.equal(block(x), x)
    assert MBConv(8, 12, kernel=5, stride=2).eval()(x).shape == (2, 12, 3, 3)
    assert MBConv(8, 8, fused=True).eval()(x).shape == x.shape


def test_squeeze_excite_scales_channels_by_numbers_between_zero_and_one() -> None:
    x = torch.rand(2, 8, 5, 5) + 0.1
    scale = SqueezeExcite(8, 2)(x).detach() / x
    assert scale.shape == x.shape
    assert 0 < float(scale.min()) < float(scale.max()) < 1
    torch.testing.assert_close(scale, scale[:, :, :1, :1].expand_as(scale))


def test_shift_conv_is_a_dense_convolution_whose_kernel_has_one_tap_a_channel() -> None:
    x = torch.randn(1, 11, 5, 6)
    block = ShiftConv(11, 4)
    dense = torch.zeros(4, 11, 3, 3)
    weight = block.get_parameter("conv.weight")
    # One channel a direction: corners, above and below, left and right; the centre with the two others last.
    for channel, tap in enumerate((0, 2, 6, 8, 1, 7, 3, 5, 4, 4, 4)):
        dense[:, channel, tap // 3, tap % 3] = weight[:, channel, 0, 0]
    torch.testing.assert_close(block(x), torch.nn.functional.conv2d(x, dense, padding=1))


def test_shift_conv_with_too_few_channels_is_refused() -> None:
    with pytest.raises(ShapeError, match="8 channels are too few"):
        ShiftConv(8, 4)


@pytest.mark.parametrize("block", [CSC, SC2])
def test_csc_and_sc2_run_alone_with_and_without_stride(block: type[CSC] | type[SC2]) -> None:
    x = torch.randn(2, 9, 6, 6)
    assert block(9, 9, expand=2).eval()(x).shape == x.shape
    assert block(9, 12, stride=2).eval()(x).shape == (2, 12, 3, 3)


def test_pooled_csc_keeps_the_pooled_input_beside_its_branch() -> None:
    x = torch.randn(2, 9, 6, 6)
    y = CSC(9, 18, stride=2, pool=True).eval()(x)
    assert torch.equal(y[:, 9:], torch.nn.functional.avg_pool2d(x, 3, 2, 1))


@pytest.mark.parametrize("version", ["1_0", "1_1"])
def test_squeezenet_versions_exist(version: str) -> None:
    model = SqueezeNet(version, num_classes=5, dropout=0.25).eval()
    assert model.num_classes == 5
    assert "p=0.25" in repr(model.get_submodule("classifier.0"))
    assert model(torch.randn(1, 3, 64, 64)).shape == (1, 5)


def test_squeezenet_refuses_other_versions_and_names_those_that_exist() -> None:
    with pytest.raises(ValueError, match=r"'2_0'; there are 1_0, .*1_1"):
        SqueezeNet("2_0")
    with pytest.raises(UnknownNameError):
        SqueezeNet("1_2")


def test_squeezenets_final_convolution_starts_small() -> None:
    weight = SqueezeNet().get_parameter("classifier.1.weight").detach()
    assert float(weight.std()) == pytest.approx(0.01, rel=0.02)


def test_fire_remembers_its_input_width() -> None:
    assert Fire(96, 16, 64, 64).inplanes == 96
