"""The networks as they were published, written down plainly: what ours are compared with."""

import torch
from torch.nn import functional


def draw_state(shapes, seed=0):
    """Weights that keep the size of signals, so that every layer counts."""
    generator = torch.Generator().manual_seed(seed)
    state = {}
    for key, shape in shapes.items():
        values = torch.rand(shape, generator=generator) * 2 - 1
        if len(shape) > 1:
            fan_in = torch.Size(shape[1:]).numel()
            values *= (2.5 / fan_in) ** 0.5
        else:
            values *= 0.1
        state[key] = values
    return state


def run_rrdb(state, frames, fold):
    """RRDBNet with the names of Real-ESRGAN, N×3×H×W, sizes that ``fold`` divides."""

    def conv(name, x):
        return functional.conv2d(x, state[f"{name}.weight"], state[f"{name}.bias"], padding=1)

    def leaky(x):
        return functional.leaky_relu(x, 0.2)

    def dense(name, x):
        seen = [x]
        for number in range(1, 5):
            seen.append(leaky(conv(f"{name}.conv{number}", torch.cat(seen, 1))))
        return conv(f"{name}.conv5", torch.cat(seen, 1)) * 0.2 + x

    blocks = 1 + max(int(key.split(".")[1]) for key in state if key.startswith("body."))
    doublings = sum(key.startswith("conv_up") and key.endswith("weight") for key in state)
    x = conv("conv_first", functional.pixel_unshuffle(frames, fold))
    deep = x
    for block in range(blocks):
        inside = deep
        for number in (1, 2, 3):
            inside = dense(f"body.{block}.rdb{number}", inside)
        deep = inside * 0.2 + deep
    x = x + conv("conv_body", deep)
    for step in range(1, doublings + 1):
        x = leaky(conv(f"conv_up{step}", functional.interpolate(x, scale_factor=2)))
    return conv("conv_last", leaky(conv("conv_hr", x)))


def run_ifnet(state, first, second, t, scales):
    """IFNet 4.6 or 4.25 on sizes that fit: every step at full size, as it was published."""
    heads = "encode.cnn0.weight" in state
    height, width = first.shape[-2:]

    def conv(name, x, stride=1):
        weight, bias = state[f"{name}.weight"], state[f"{name}.bias"]
        return functional.conv2d(x, weight, bias, stride=stride, padding=1)

    def up(name, x):
        weight, bias = state[f"{name}.weight"], state[f"{name}.bias"]
        return functional.conv_transpose2d(x, weight, bias, stride=2, padding=1)

    def leaky(x):
        return functional.leaky_relu(x, 0.2)

    def resize(x, factor):
        return functional.interpolate(x, scale_factor=factor, mode="bilinear", align_corners=False)

    def warp(x, flow):
        columns = torch.linspace(-1, 1, width).view(1, 1, width).expand(1, height, width)
        rows = torch.linspace(-1, 1, height).view(1, height, 1).expand(1, height, width)
        x_at = columns + flow[:, 0] / ((width - 1) / 2)
        y_at = rows + flow[:, 1] / ((height - 1) / 2)
        return functional.grid_sample(
            x, torch.stack([x_at, y_at], -1), padding_mode="border", align_corners=True
        )

    def encode(x):
        x = leaky(conv("encode.cnn0", x, 2))
        x = leaky(conv("encode.cnn2", leaky(conv("encode.cnn1", x))))
        return up("encode.cnn3", x)

    def block(number, x, flow, scale):
        x = resize(x, 1 / scale)
        if flow is not None:
            x = torch.cat([x, resize(flow, 1 / scale) / scale], 1)
        x = leaky(conv(f"block{number}.conv0.0.0", x, 2))
        x = leaky(conv(f"block{number}.conv0.1.0", x, 2))
        for each in range(8):
            name = f"block{number}.convblock.{each}"
            x = leaky(conv(f"{name}.conv", x) * state[f"{name}.beta"] + x)
        x = resize(functional.pixel_shuffle(up(f"block{number}.lastconv.0", x), 2), scale)
        return x[:, :4] * scale, x[:, 4:5], x[:, 5:]

    sides = [first, second, *(map(encode, (first, second)) if heads else ())]
    plane = torch.full((1, 1, height, width), t)
    flow, mask, features = None, None, None
    for number, scale in enumerate(scales):
        if flow is None:
            flow, mask, features = block(number, torch.cat([*sides, plane], 1), None, scale)
            continue
        warped = [warp(x, flow[:, 2 * (i % 2) : 2 * (i % 2) + 2]) for i, x in enumerate(sides)]
        seen = [*warped, plane, mask, *([features] if heads else ())]
        step, new_mask, features = block(number, torch.cat(seen, 1), flow, scale)
        flow, mask = flow + step, new_mask if heads else mask + new_mask
    share = torch.sigmoid(mask)
    return warp(first, flow[:, :2]) * share + warp(second, flow[:, 2:]) * (1 - share)
