"""The shift and the convolution of a shifted map on a GPU, in Triton.

Every function expects what the dispatcher has checked: x is [N, C, H, W], and `runs` is a flat list
(count, dy, dx, count, dy, dx, …) whose counts sum to C.

Kernels see a map as images × channels × pixels with one step in memory for each, so that one kernel serves
both layouts. A tile has the axis that is adjacent in memory last, because neighbouring threads take
neighbours of that axis.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from itertools import accumulate
from typing import Any, Final

import torch
import triton
import triton.language as tl
from torch import Tensor

from smidgen.kernels.offsets import format_of, size_of_output

__all__ = ["SUPPORTED", "refusal", "shift2d", "shift_conv", "shift_conv_backward"]

SUPPORTED: Final = (torch.float32, torch.bfloat16, torch.float16)

# Decided once, when triton.jit sees the kernels: TRITON_INTERPRET=1 must be set before this import.
_INTERPRETED: Final[bool] = triton.knobs.runtime.interpret

_INTEGERS: Final = {1: torch.int8, 2: torch.int16, 4: torch.int32, 8: torch.int64}
_SIZES: Final = ["channels", "outputs", "height", "width", "stride"]  # without the batch: its last is smaller

# Pixels that the weight's gradient adds up at a time.
_PIXELS_A_STEP: Final = 16 if _INTERPRETED else 32


def refusal(operator: str, dtype: torch.dtype) -> str:
    """Why it cannot run the operator on such numbers; empty where it can."""
    if operator == "shift2d" or dtype in SUPPORTED:
        return ""
    return f"the GPU's kernels compute {', '.join(str(kind).removeprefix('torch.') for kind in SUPPORTED)}"


_jit: Callable[[Callable[..., Any]], Any] = triton.jit


def _tuned(*configs: tuple[dict[str, int], int]) -> Callable[[Callable[..., None]], Any]:
    """A kernel whose block sizes are timed once for each set of sizes; (blocks, warps) are the candidates.

    All candidates share the block of the summed axis, so the order of a sum is not left to a stopwatch.
    The interpreter has nothing to time, and gets blocks so small that a small test needs several.
    """
    if _INTERPRETED:
        configs = ((dict.fromkeys(configs[0][0], 16), 1),)

    def build(function: Callable[..., None]) -> Any:
        candidates = [triton.Config(blocks, num_warps=warps) for blocks, warps in configs]
        return triton.autotune(configs=candidates, key=_SIZES)(triton.jit(function))

    return build


@_jit
def _shift_kernel(
    x: tl.tensor,
    y: tl.tensor,
    offsets: tl.tensor,
    channels: tl.tensor,
    height: tl.tensor,
    width: tl.tensor,
    image_step: tl.tensor,
    channel_step: tl.tensor,
    pixel_step: tl.tensor,
    channel_blocks: tl.tensor,
    pixel_blocks: tl.tensor,
    last: tl.constexpr,
    block_channels: tl.constexpr,
    block_pixels: tl.constexpr,
) -> None:
    """Copy one tile of one image."""
    program = tl.program_id(0)
    image = (program // pixel_blocks // channel_blocks).to(tl.int64)
    c = program // pixel_blocks % channel_blocks * block_channels + tl.arange(0, block_channels)
    pixel = program % pixel_blocks * block_pixels + tl.arange(0, block_pixels)
    if last:
        c = c[None, :]
        pixel = pixel[:, None]
    else:
        c = c[:, None]
        pixel = pixel[None, :]
    inside = (c < channels) & (pixel < height * width)
    dy = tl.load(offsets + c, mask=c < channels, other=0)
    dx = tl.load(offsets + channels + c, mask=c < channels, other=0)
    row = pixel // width + dy
    column = pixel % width + dx
    seen = inside & (row >= 0) & (row < height) & (column >= 0) & (column < width)
    place = image * image_step + c.to(tl.int64) * channel_step + pixel.to(tl.int64) * pixel_step
    move = (dy.to(tl.int64) * width + dx) * pixel_step
    tl.store(y + place, tl.load(x + place + move, mask=seen, other=0), mask=inside)


@_jit
def _read(
    x: tl.tensor,
    place: tl.tensor,
    row: tl.tensor,
    column: tl.tensor,
    valid: tl.tensor,
    c: tl.tensor,
    offsets: tl.tensor,
    channels: tl.tensor,
    height: tl.tensor,
    width: tl.tensor,
    channel_step: tl.tensor,
    pixel_step: tl.tensor,
) -> tl.tensor:
    """A tile of the shifted map, zero beyond the border.

    place, row, column, valid  of the unshifted pixels, along one axis of the tile
    c                          channels, along the other
    """
    known = c < channels
    dy = tl.load(offsets + c, mask=known, other=0)
    dx = tl.load(offsets + channels + c, mask=known, other=0)
    h = row + dy
    w = column + dx
    seen = valid & known & (h >= 0) & (h < height) & (w >= 0) & (w < width)
    move = c.to(tl.int64) * channel_step + (dy.to(tl.int64) * width + dx) * pixel_step
    return tl.load(x + place + move, mask=seen, other=0.0)


@_jit
def _pixels(
    first: tl.tensor, pixels: tl.tensor, plane: tl.tensor, last: tl.constexpr, block_pixels: tl.constexpr
) -> tuple[tl.tensor, tl.tensor, tl.tensor]:
    """Image, pixel in its plane, and existence of the pixels from `first` on, along their axis of a tile."""
    # The division by the plane is 64 bits wide once, and 32 bits wide for every pixel.
    first_image = first // plane
    index = (first - first_image * plane).to(tl.int32) + tl.arange(0, block_pixels)
    valid = first + tl.arange(0, block_pixels) < pixels
    if last:
        index = index[:, None]
        valid = valid[:, None]
    else:
        index = index[None, :]
        valid = valid[None, :]
    return first_image + index // plane, index % plane, valid


@_tuned(
    ({"block_pixels": 128, "block_outputs": 64, "block_channels": 32}, 4),
    ({"block_pixels": 64, "block_outputs": 32, "block_channels": 32}, 4),
    ({"block_pixels": 128, "block_outputs": 128, "block_channels": 32}, 8),
)
def _forward_kernel(
    x: tl.tensor,
    weight: tl.tensor,
    bias: tl.tensor,
    y: tl.tensor,
    offsets: tl.tensor,
    pixels: tl.tensor,
    channels: tl.tensor,
    outputs: tl.tensor,
    height: tl.tensor,
    width: tl.tensor,
    out_plane: tl.tensor,
    out_width: tl.tensor,
    x_image_step: tl.tensor,
    x_channel_step: tl.tensor,
    x_pixel_step: tl.tensor,
    y_image_step: tl.tensor,
    y_channel_step: tl.tensor,
    y_pixel_step: tl.tensor,
    has_bias: tl.constexpr,
    stride: tl.constexpr,
    last: tl.constexpr,
    block_pixels: tl.constexpr,
    block_outputs: tl.constexpr,
    block_channels: tl.constexpr,
) -> None:
    """Sum over channels for one tile of output pixels × output channels."""
    program = tl.program_id(0)
    output_blocks = (outputs + block_outputs - 1) // block_outputs
    first = (program // output_blocks).to(tl.int64) * block_pixels
    image, pixel, valid = _pixels(first, pixels, out_plane, last, block_pixels)
    o = program % output_blocks * block_outputs + tl.arange(0, block_outputs)
    c_block = tl.arange(0, block_channels)
    if last:
        o = o[None, :]
        total = tl.full((block_pixels, block_outputs), 0.0, tl.float32)
    else:
        o = o[:, None]
        total = tl.full((block_outputs, block_pixels), 0.0, tl.float32)
    row = pixel // out_width * stride
    column = pixel % out_width * stride
    place = image * x_image_step + (row.to(tl.int64) * width + column) * x_pixel_step
    for start in range(0, channels, block_channels):
        c = start + c_block
        if last:
            c_x = c[None, :]
            c_weight = c[:, None]
        else:
            c_x = c[:, None]
            c_weight = c[None, :]
        shifted = _read(
            x, place, row, column, valid, c_x, offsets, channels, height, width, x_channel_step, x_pixel_step
        )
        taps = tl.load(
            weight + o.to(tl.int64) * channels + c_weight,
            mask=(o < outputs) & (c_weight < channels),
            other=0.0,
        )
        if last:
            total = tl.dot(shifted, taps, total, input_precision="ieee")
        else:
            total = tl.dot(taps, shifted, total, input_precision="ieee")
    if has_bias:
        total += tl.load(bias + o, mask=o < outputs, other=0.0).to(tl.float32)
    y_place = image * y_image_step + o.to(tl.int64) * y_channel_step + pixel.to(tl.int64) * y_pixel_step
    tl.store(y + y_place, total.to(y.dtype.element_ty), mask=valid & (o < outputs))


@_tuned(
    ({"block_pixels": 128, "block_outputs": 32}, 4),
    ({"block_pixels": 64, "block_outputs": 32}, 4),
    ({"block_pixels": 256, "block_outputs": 32}, 8),
)
def _input_gradient_kernel(
    gradient: tl.tensor,
    weight: tl.tensor,
    x_gradient: tl.tensor,
    tiles: tl.tensor,
    tile_count: tl.tensor,
    pixels: tl.tensor,
    channels: tl.tensor,
    outputs: tl.tensor,
    height: tl.tensor,
    width: tl.tensor,
    out_height: tl.tensor,
    out_width: tl.tensor,
    x_image_step: tl.tensor,
    x_channel_step: tl.tensor,
    x_pixel_step: tl.tensor,
    y_image_step: tl.tensor,
    y_channel_step: tl.tensor,
    y_pixel_step: tl.tensor,
    stride: tl.constexpr,
    last: tl.constexpr,
    block_channels: tl.constexpr,
    block_pixels: tl.constexpr,
    block_outputs: tl.constexpr,
) -> None:
    """Sum over outputs for one tile of input pixels × channels of one offset."""
    program = tl.program_id(0)
    tile = tiles + program % tile_count * 4
    start = tl.load(tile)
    count = tl.load(tile + 1)
    dy = tl.load(tile + 2)
    dx = tl.load(tile + 3)
    first = (program // tile_count).to(tl.int64) * block_pixels
    image, pixel, valid = _pixels(first, pixels, height * width, last, block_pixels)
    c = tl.arange(0, block_channels)
    o_block = tl.arange(0, block_outputs)
    if last:
        c = c[None, :]
        total = tl.full((block_pixels, block_channels), 0.0, tl.float32)
    else:
        c = c[:, None]
        total = tl.full((block_channels, block_pixels), 0.0, tl.float32)
    known = c < count
    c = start + c
    # The pixel was read at p·stride + dy, so by no output where that has no whole p ≥ 0. The sign is asked
    # before the division, which rounds towards zero on a GPU and down in the interpreter.
    row = pixel // width - dy
    column = pixel % width - dx
    p = row // stride
    q = column // stride
    reader = valid & (row >= 0) & (column >= 0) & (p * stride == row) & (q * stride == column)
    reader = reader & (p < out_height) & (q < out_width)
    place = image * y_image_step + (p.to(tl.int64) * out_width + q) * y_pixel_step
    for start_output in range(0, outputs, block_outputs):
        o = start_output + o_block
        if last:
            o_gradient = o[None, :]
            o_weight = o[:, None]
        else:
            o_gradient = o[:, None]
            o_weight = o[None, :]
        received = tl.load(
            gradient + place + o_gradient.to(tl.int64) * y_channel_step,
            mask=reader & (o_gradient < outputs),
            other=0.0,
        )
        taps = tl.load(
            weight + o_weight.to(tl.int64) * channels + c, mask=(o_weight < outputs) & known, other=0.0
        )
        if last:
            total = tl.dot(received, taps, total, input_precision="ieee")
        else:
            total = tl.dot(taps, received, total, input_precision="ieee")
    x_place = image * x_image_step + c.to(tl.int64) * x_channel_step + pixel.to(tl.int64) * x_pixel_step
    tl.store(x_gradient + x_place, total.to(x_gradient.dtype.element_ty), mask=valid & known)


@_tuned(
    ({"block_outputs": 64, "block_channels": 64}, 4),
    ({"block_outputs": 32, "block_channels": 32}, 4),
    ({"block_outputs": 128, "block_channels": 64}, 8),
)
def _weight_gradient_kernel(
    gradient: tl.tensor,
    x: tl.tensor,
    partial: tl.tensor,
    offsets: tl.tensor,
    steps: tl.tensor,
    pixels: tl.tensor,
    channels: tl.tensor,
    outputs: tl.tensor,
    height: tl.tensor,
    width: tl.tensor,
    out_plane: tl.tensor,
    out_width: tl.tensor,
    x_image_step: tl.tensor,
    x_channel_step: tl.tensor,
    x_pixel_step: tl.tensor,
    y_image_step: tl.tensor,
    y_channel_step: tl.tensor,
    y_pixel_step: tl.tensor,
    stride: tl.constexpr,
    last: tl.constexpr,
    block_pixels: tl.constexpr,
    block_outputs: tl.constexpr,
    block_channels: tl.constexpr,
) -> None:
    """Sum over one part of the output pixels for one tile of outputs × channels."""
    program = tl.program_id(0)
    output_blocks = (outputs + block_outputs - 1) // block_outputs
    channel_blocks = (channels + block_channels - 1) // block_channels
    o = program % output_blocks * block_outputs + tl.arange(0, block_outputs)
    c = program // output_blocks % channel_blocks * block_channels + tl.arange(0, block_channels)
    split = program // output_blocks // channel_blocks
    begin = split.to(tl.int64) * steps * block_pixels
    total = tl.full((block_outputs, block_channels), 0.0, tl.float32)
    for step in range(steps):
        first = begin + step * block_pixels
        image, pixel, valid = _pixels(first, pixels, out_plane, last, block_pixels)
        if last:
            o_gradient = o[None, :]
            c_x = c[None, :]
        else:
            o_gradient = o[:, None]
            c_x = c[:, None]
        row = pixel // out_width * stride
        column = pixel % out_width * stride
        place = image * x_image_step + (row.to(tl.int64) * width + column) * x_pixel_step
        shifted = _read(
            x, place, row, column, valid, c_x, offsets, channels, height, width, x_channel_step, x_pixel_step
        )
        y_place = image * y_image_step + pixel.to(tl.int64) * y_pixel_step
        received = tl.load(
            gradient + y_place + o_gradient.to(tl.int64) * y_channel_step,
            mask=valid & (o_gradient < outputs),
            other=0.0,
        )
        if last:
            total = tl.dot(tl.trans(received), shifted, total, input_precision="ieee")
        else:
            total = tl.dot(received, tl.trans(shifted), total, input_precision="ieee")
    partial_row = (split.to(tl.int64) * outputs + o)[:, None] * channels
    tl.store(partial + partial_row + c[None, :], total, mask=(o < outputs)[:, None] & (c < channels)[None, :])


def shift2d(x: Tensor, runs: Sequence[int]) -> Tensor:
    """y[n, c, h, w] = x[n, c, h + dy, w + dx], zero outside; the kernel of `smidgen::shift2d`.

    x        any dtype[N, C, H, W] on a CUDA device, in any layout; NCHW and channels_last need no copy
    returns  with the strides of torch.empty_like(x); every value is copied bit by bit
    """
    x = x.resolve_conj().resolve_neg()
    y = torch.empty_like(x)
    if not x.numel():
        return y
    layout = format_of(x)
    if not x.is_contiguous(memory_format=layout):
        return y.copy_(shift2d(x.contiguous(memory_format=layout), runs))
    width = x.element_size()
    if width in _INTEGERS:
        _copy_shifted(x.view(_INTEGERS[width]), y.view(_INTEGERS[width]), runs, layout, words=1)
    else:  # complex128 has two words a value
        for word in (0, 1):
            read, written = (torch.view_as_real(map_).view(torch.int64)[..., word] for map_ in (x, y))
            _copy_shifted(read, written, runs, layout, words=2)
    return y


def shift_conv(x: Tensor, runs: Sequence[int], weight: Tensor, bias: Tensor | None, stride: int) -> Tensor:
    """1 × 1 convolution of the shifted map, which is never written to memory.

    x        SUPPORTED[N, C, H, W] on a CUDA device
    weight   like x[O, C, 1, 1]
    bias     like x[O]
    returns  like x[N, O, ⌈H/stride⌉, ⌈W/stride⌉], rounded once from a sum in float32; channels_last where
             the channels of x are adjacent in memory and its pixels are not
    """
    if _INTERPRETED and x.dtype == torch.bfloat16:
        wide_bias = None if bias is None else bias.float()
        return shift_conv(x.float(), runs, weight.float(), wide_bias, stride).bfloat16()
    layout = format_of(x)
    x = x.contiguous(memory_format=layout)
    _, channels, height, width = x.shape
    size = batch, outputs, out_height, out_width = size_of_output(x, weight, stride)
    y = torch.empty(size, dtype=x.dtype, device=x.device, memory_format=layout)
    if not y.numel():
        return y
    pixels = batch * out_height * out_width

    def grid(blocks: dict[str, int]) -> tuple[int]:
        return (_blocks(pixels, blocks["block_pixels"]) * _blocks(outputs, blocks["block_outputs"]),)

    with torch.cuda.device_of(x):  # type: ignore[no-untyped-call]
        _forward_kernel[grid](
            x,
            weight.reshape(outputs, channels).contiguous(),
            weight if bias is None else bias.contiguous(),
            y,
            _offsets(tuple(runs), height, width, x.device),
            pixels,
            _bound(channels),
            outputs,
            height,
            width,
            out_height * out_width,
            out_width,
            *_steps(layout, channels, height * width),
            *_steps(layout, outputs, out_height * out_width),
            has_bias=bias is not None,
            stride=stride,
            last=layout == torch.channels_last,
        )
    return y


def shift_conv_backward(
    gradient: Tensor,
    x: Tensor,
    runs: Sequence[int],
    weight: Tensor,
    stride: int,
    wanted: tuple[bool, bool, bool],
) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
    """Gradients of `shift_conv` with respect to x, weight and bias; None where not wanted.

    gradient  like x[N, O, ⌈H/stride⌉, ⌈W/stride⌉], in any layout
    returns   each rounded once from sums in float32 whose order does not vary from call to call; that of x
              has the strides of torch.empty_like(x)
    """
    if _INTERPRETED and x.dtype == torch.bfloat16:
        wide = shift_conv_backward(gradient.float(), x.float(), runs, weight.float(), stride, wanted)
        of_x, of_weight, of_bias = (None if one is None else one.bfloat16() for one in wide)
        return of_x, of_weight, of_bias
    layout = format_of(x)
    gradient = gradient.contiguous(memory_format=layout)
    of_bias = gradient.sum((0, 2, 3), dtype=torch.float32).to(weight.dtype) if wanted[2] else None
    with torch.cuda.device_of(x):  # type: ignore[no-untyped-call]
        of_x = _input_gradient(gradient, x, runs, weight, stride, layout) if wanted[0] else None
        of_weight = _weight_gradient(gradient, x, runs, weight, stride, layout) if wanted[1] else None
    return of_x, of_weight, of_bias


def _input_gradient(
    gradient: Tensor, x: Tensor, runs: Sequence[int], weight: Tensor, stride: int, layout: torch.memory_format
) -> Tensor:
    of_x = torch.empty_like(x)
    if not of_x.is_contiguous(memory_format=layout):
        dense = x.contiguous(memory_format=layout)
        return of_x.copy_(_input_gradient(gradient, dense, runs, weight, stride, layout))
    if not of_x.numel():
        return of_x
    batch, channels, height, width = x.shape
    outputs, out_height, out_width = gradient.shape[1:]
    pixels = batch * height * width
    # A tile of one short run computes channels that nobody asked for; 16 is the least that tl.dot takes.
    widest = 16 if _INTERPRETED else 64
    block_channels = min(widest, max(16, _power_of_two(max(runs[::3]))))
    tiles = _tiles(tuple(runs), block_channels, height, width, x.device)

    def grid(blocks: dict[str, int]) -> tuple[int]:
        return (_blocks(pixels, blocks["block_pixels"]) * len(tiles),)

    _input_gradient_kernel[grid](
        gradient,
        weight.reshape(outputs, channels).contiguous(),
        of_x,
        tiles,
        len(tiles),
        pixels,
        channels,
        _bound(outputs),
        height,
        width,
        out_height,
        out_width,
        *_steps(layout, channels, height * width),
        *_steps(layout, outputs, out_height * out_width),
        stride=stride,
        last=layout == torch.channels_last,
        block_channels=block_channels,
    )
    return of_x


def _weight_gradient(
    gradient: Tensor, x: Tensor, runs: Sequence[int], weight: Tensor, stride: int, layout: torch.memory_format
) -> Tensor:
    x = x.contiguous(memory_format=layout)
    _, channels, height, width = x.shape
    outputs, out_height, out_width = gradient.shape[1:]
    pixels = gradient.shape[0] * out_height * out_width
    if not pixels or not weight.numel():
        return torch.zeros_like(weight)
    # Enough parts to fill any GPU, from sizes alone: the same sum on every device and in every call.
    tiles = _blocks(outputs, 64) * _blocks(channels, 64)
    splits = min(_blocks(pixels, 64), _blocks(1024, tiles))
    partial = torch.empty((splits, outputs, channels), dtype=torch.float32, device=x.device)

    def grid(blocks: dict[str, int]) -> tuple[int]:
        return (
            _blocks(outputs, blocks["block_outputs"]) * _blocks(channels, blocks["block_channels"]) * splits,
        )

    _weight_gradient_kernel[grid](
        gradient,
        x,
        partial,
        _offsets(tuple(runs), height, width, x.device),
        _bound(_blocks(pixels, splits * _PIXELS_A_STEP)),
        pixels,
        channels,
        outputs,
        height,
        width,
        out_height * out_width,
        out_width,
        *_steps(layout, channels, height * width),
        *_steps(layout, outputs, out_height * out_width),
        stride=stride,
        last=layout == torch.channels_last,
        block_pixels=_PIXELS_A_STEP,
    )
    return partial.sum(0).to(weight.dtype).reshape(weight.shape)


def _copy_shifted(
    x: Tensor, y: Tensor, runs: Sequence[int], layout: torch.memory_format, *, words: int
) -> None:
    """Shift integers[N, C, H, W] into y, where a value is so many words and the view is of one."""
    batch, channels, height, width = x.shape
    last = layout == torch.channels_last
    # A tile of 2048 values, as long as the picture allows along the axis that is adjacent in memory.
    tile = 64 if _INTERPRETED else 2048
    if last:
        block_channels = min(_power_of_two(channels), tile // 16)
        block_pixels = min(_power_of_two(height * width), tile // block_channels)
    else:
        block_pixels = min(_power_of_two(height * width), tile // 2)
        block_channels = min(_power_of_two(channels), tile // block_pixels)
    channel_blocks, pixel_blocks = _blocks(channels, block_channels), _blocks(height * width, block_pixels)
    with torch.cuda.device_of(x):  # type: ignore[no-untyped-call]
        _shift_kernel[(batch * channel_blocks * pixel_blocks,)](
            x,
            y,
            _offsets(tuple(runs), height, width, x.device),
            channels,
            height,
            width,
            *(words * step for step in _steps(layout, channels, height * width)),
            channel_blocks,
            pixel_blocks,
            last=last,
            block_channels=block_channels,
            block_pixels=block_pixels,
        )


def _steps(layout: torch.memory_format, channels: int, pixels: int) -> tuple[int, int, int]:
    """Elements from one image, channel and pixel to the next; strides would be arbitrary at length 1."""
    channel, pixel = (1, channels) if layout == torch.channels_last else (pixels, 1)
    return channels * pixels, channel, pixel


def _bound(length: int) -> Any:
    """The end of a kernel's loop; NumPy ≥ 2.4 takes the interpreter's own scalars for no index."""
    return tl.constexpr(length) if _INTERPRETED else length


def _blocks(length: int, block: int) -> int:
    return -(-length // block)


def _power_of_two(number: int) -> int:
    """The least power of two that is not below the number; tl.arange takes no other length."""
    return 1 << (number - 1).bit_length()


def _clamped(runs: Sequence[int], height: int, width: int) -> list[tuple[int, int, int]]:
    """Runs (count, dy, dx) in 32 bits: whatever lies beyond the map reads as zero at any distance."""
    return [
        (count, max(-height, min(height, dy)), max(-width, min(width, dx)))
        for count, dy, dx in zip(runs[::3], runs[1::3], runs[2::3], strict=True)
    ]


# A kernel reads its table from the device, and copying it there would wait for the device at every call.
@lru_cache(maxsize=512)
def _offsets(runs: tuple[int, ...], height: int, width: int, device: torch.device) -> Tensor:
    """int32[2, C]: dy and dx of every channel."""
    clamped = _clamped(runs, height, width)
    axes = [[run[axis] for run in clamped for _ in range(run[0])] for axis in (1, 2)]
    return torch.tensor(axes, dtype=torch.int32, device=device)


@lru_cache(maxsize=512)
def _tiles(runs: tuple[int, ...], block: int, height: int, width: int, device: torch.device) -> Tensor:
    """int32[T, 4]: (first channel, channels, dy, dx) of tiles of one offset and at most so many channels."""
    starts = accumulate(runs[::3], initial=0)
    tiles = [
        (start + begin, min(block, count - begin), dy, dx)
        for start, (count, dy, dx) in zip(starts, _clamped(runs, height, width), strict=False)
        for begin in range(0, count, block)
    ]
    return torch.tensor(tiles, dtype=torch.int32, device=device)
