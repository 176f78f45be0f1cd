"""Colours come out as they went in, from the file to the file."""

from itertools import product

import av
import numpy as np
import pytest
import torch

from remote_runner.models.base import identity_upscaler
from remote_runner.pipeline import process
from remote_runner.plan import Equipment
from remote_runner.protocol import Mode, Task
from tests.runner.clips import Blend, make_clip, plane_array

MATRICES = {"bt601": 6, "bt601_625": 5, "bt709": 1, "bt2020": 9}
PATCH = 32
ACROSS, DOWN = 8, 4
WIDTH, HEIGHT = PATCH * ACROSS, PATCH * DOWN
#: Chroma is interpolated where two patches meet.
RIM = 8


def patches(bits, full_range, matrix):
    """Codes of 32 flat colours, 3×4×8: greys from black to white, and colours that a screen can
    show (ITU-T H.273 8.3, equations 16 to 46)."""
    kr, kb = {6: (0.299, 0.114), 5: (0.299, 0.114), 1: (0.2126, 0.0722), 9: (0.2627, 0.0593)}[
        matrix
    ]
    rgb = np.random.default_rng(7).uniform(0.02, 0.98, (3, DOWN, ACROSS))
    rgb[:, 0] = np.linspace(0, 1, ACROSS)
    rgb[:, 1, :3] = np.eye(3) * 0.9 + 0.05
    luma = kr * rgb[0] + (1 - kr - kb) * rgb[1] + kb * rgb[2]
    blue, red = (rgb[2] - luma) / (2 - 2 * kb), (rgb[0] - luma) / (2 - 2 * kr)
    unit, top = 1 << (bits - 8), (1 << bits) - 1
    if full_range:
        codes = [luma * top, blue * top + 128 * unit, red * top + 128 * unit]
    else:
        codes = [(219 * luma + 16) * unit, *((224 * c + 128) * unit for c in (blue, red))]
    return np.rint(np.stack(codes)).astype(int)


def make_patches(path, pix_fmt, bits, full_range, matrix):
    codes = patches(bits, full_range, matrix)

    def fill(_, frame):
        for plane, values in zip(frame.planes, codes, strict=True):
            target = torch.from_dlpack(plane)
            height, width = target.shape
            large = values.repeat(height // DOWN, 0).repeat(width // ACROSS, 1)
            target.copy_(torch.from_numpy(large))

    tags = {"colorspace": matrix, "color_range": 2 if full_range else 1}
    return make_clip(
        path,
        width=WIDTH,
        height=HEIGHT,
        count=3,
        codec="ffv1",
        options={"level": "3"},
        pix_fmt=pix_fmt,
        planes=fill,
        tags=tags,
    ), codes


def worst(path, codes):
    """Largest difference from the codes, inside the patches, over all frames."""
    found = 0
    with av.open(str(path)) as container:
        for frame in container.decode(video=0):
            for index, values in enumerate(codes):
                plane = plane_array(frame, index).astype(int)
                side_y, side_x = plane.shape[0] // DOWN, plane.shape[1] // ACROSS
                rim_y, rim_x = side_y * RIM // PATCH, side_x * RIM // PATCH
                tiles = plane.reshape(DOWN, side_y, ACROSS, side_x).swapaxes(1, 2)
                inner = tiles[:, :, rim_y : side_y - rim_y, rim_x : side_x - rim_x]
                found = max(found, int(np.abs(inner - values[:, :, None, None]).max()))
    return found


QUICK = {"bt601", "bt709", "bt2020"}, {"yuv420p", "yuv420p10le"}
CASES = [
    pytest.param(
        matrix,
        full,
        pix_fmt,
        id=f"{matrix}-{'full' if full else 'limited'}-{pix_fmt}",
        marks=() if matrix in QUICK[0] and pix_fmt in QUICK[1] else pytest.mark.slow,
    )
    for matrix, full, pix_fmt in product(
        MATRICES, (False, True), ("yuv420p", "yuv420p10le", "yuv422p", "yuv444p10le")
    )
]


@pytest.mark.parametrize(("matrix", "full", "pix_fmt"), CASES)
def test_colour_patches_come_out_as_they_went_in(tmp_path, matrix, full, pix_fmt):
    bits = 10 if "10" in pix_fmt else 8
    code = MATRICES[matrix]
    source, codes = make_patches(tmp_path / "in.mkv", pix_fmt, bits, full, code)
    same_size = Task(size=f"{WIDTH}x{HEIGHT}", crf=0, preset="ultrafast")
    for task, scale in (
        (Task(crf=0, preset="ultrafast"), 2),
        (same_size, 1),
        (Task(mode=Mode.INTERP, crf=0, preset="ultrafast"), 1),
    ):
        equipment = Equipment(
            device="cpu", upscaler=identity_upscaler(scale), interpolator=Blend()
        )
        report = process(source, tmp_path / "out.mkv", task, equipment=equipment)
        assert all(check.passed for check in report.checks)
        assert report.facts.pix_fmt.replace("yuvj", "yuv") == pix_fmt
        assert report.facts.range == ("full" if full else "limited")
        assert report.facts.matrix == matrix.partition("_")[0]
        assert worst(report.output, codes) <= 1


@pytest.mark.parametrize("codec", ["h264", "hevc"])
@pytest.mark.parametrize("bits", [8, 10])
def test_a_rate_factor_of_0_loses_nothing(tmp_path, codec, bits):
    def noise(i, frame):
        for plane in frame.planes:
            target = torch.from_dlpack(plane)
            values = np.random.default_rng(i).integers(0, 1 << bits, tuple(target.shape))
            target.copy_(torch.from_numpy(values))

    source = make_clip(
        tmp_path / "in.mkv",
        codec="ffv1",
        options={"level": "3"},
        pix_fmt="yuv420p" if bits == 8 else "yuv420p10le",
        planes=noise,
        count=3,
    )
    equipment = Equipment(device="cpu", interpolator=Blend())
    task = Task(mode=Mode.INTERP, codec=codec, crf=0, preset="ultrafast")
    report = process(source, tmp_path / "out.mkv", task, equipment=equipment)
    with av.open(str(source)) as old, av.open(str(report.output)) as new:
        kept = [*new.decode(video=0)][::2]
        for before, after in zip(old.decode(video=0), kept, strict=True):
            for index in range(3):
                assert np.array_equal(plane_array(before, index), plane_array(after, index))


@pytest.mark.parametrize("bits", [8, 10])
def test_av1_of_444_keeps_colours_but_for_the_coarser_chroma(tmp_path, bits):
    pix_fmt = "yuv444p" if bits == 8 else "yuv444p10le"
    source, codes = make_patches(tmp_path / "in.mkv", pix_fmt, bits, False, 1)
    equipment = Equipment(device="cpu", upscaler=identity_upscaler(2))
    task = Task(codec="av1", crf=1, preset="fast")
    report = process(source, tmp_path / "out.mkv", task, equipment=equipment)
    assert report.facts.pix_fmt == ("yuv420p" if bits == 8 else "yuv420p10le")
    assert worst(report.output, codes) <= 2 << (bits - 8)
