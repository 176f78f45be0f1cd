from dataclasses import replace
from fractions import Fraction

import pytest
import torch

from remote_runner.errors import InputError
from remote_runner.models.base import identity_upscaler
from remote_runner.pipeline import process
from remote_runner.protocol import Fit, Mode, Reason, Task
from remote_runner.video.enlarge import Enlarger, cut_to_window, frame_in_borders
from remote_runner.video.geometry import CONTEXT, plan_geometry
from remote_runner.video.signal import Chroma
from tests.runner.clips import make_clip

SQUARE = Fraction(1)


def plan(size, width, height, sar=SQUARE, fit=Fit.LETTERBOX):
    return plan_geometry(Task(size=size, fit=fit), width, height, Fraction(sar), Chroma.C420)


@pytest.mark.parametrize(
    ("name", "source", "sar", "expected"),
    [
        ("1080p", (1280, 720), "1", (1920, 1080)),
        ("1080p", (640, 480), "1", (1440, 1080)),
        ("1080p", (720, 1280), "1", (1080, 1920)),
        ("1080p", (854, 480), "1", (1920, 1080)),
        ("4k", (1920, 800), "1", (3840, 1600)),
        ("4K", (720, 576), "16/15", (2880, 2160)),
        ("720p", (720, 576), "64/45", (1280, 720)),
        ("480p", (1920, 1080), "1", (854, 480)),
        ("2160p", (3000, 64), "1", (3840, 82)),
        ("8k", (101, 99), "1", (4408, 4320)),
    ],
)
def test_a_named_size_is_the_largest_picture_of_the_same_shape_in_the_box(
    name, source, sar, expected
):
    geometry = plan(name, *source, sar)
    assert geometry.outer_size == geometry.inner_size == expected
    assert (geometry.sar, geometry.notes) == (SQUARE, ())
    ideal = Task(size=name).target_size(*source, Fraction(sar))
    assert all(abs(a - b) <= 1 for a, b in zip(ideal, expected, strict=True))


def test_an_exact_size_is_letterboxed_or_cropped():
    boxed = plan("1920x1080", 640, 480)
    assert (boxed.inner_size, boxed.outer_size, boxed.left) == ((1440, 1080), (1920, 1080), 240)
    assert boxed.notes == ("letterboxed:1920x1080",)
    cropped = plan("1920x1080", 640, 480, fit=Fit.CROP)
    assert cropped.picture_size == (1920, 1440)
    assert cropped.outer_size == (1920, 1080)
    assert cropped.notes == ("cropped:1920x1080",)
    same = plan("1920x1080", 640, 360, fit=Fit.CROP)
    assert (same.notes, same.picture_size) == ((), (1920, 1080))


def test_only_what_is_shown_is_worked_on():
    geometry = plan("3840x1080", 1920, 1080, fit=Fit.CROP)
    assert (geometry.width, geometry.height) == (1920, 540 + 2 * CONTEXT)
    assert geometry.y == 270 - CONTEXT
    upright = plan("1080x1920", 1920, 1080, fit=Fit.CROP)
    assert upright.height == 1080
    assert 607 < upright.width < 607 + 2 * CONTEXT + 18


@pytest.mark.parametrize(
    ("source", "size"),
    [
        ((320, 240), "640x160"),
        ((320, 240), "120x480"),
        ((320, 240), "480x100"),
        ((320, 240), "800x200"),
        ((320, 240), "160x40"),
        ((301, 199), "602x80"),
    ],
)
def test_cutting_first_gives_the_same_as_cutting_last(source, size):
    width, height = source
    torch.manual_seed(0)
    picture = torch.rand(3, height, width)
    geometry = plan(size, width, height, fit=Fit.CROP)
    network = identity_upscaler(2)
    cut = frame_in_borders(Enlarger(network, geometry)(cut_to_window(picture, geometry)), geometry)
    assert tuple(cut.shape[-2:]) == geometry.outer_size[::-1]
    assert geometry.width < width or geometry.height < height
    whole_width, whole_height = geometry.picture_size
    everything = replace(
        geometry,
        width=width,
        height=height,
        inner_width=whole_width,
        inner_height=whole_height,
        whole_size=None,
    )
    whole = Enlarger(network, everything)(picture)
    x, y = (whole_width - geometry.outer_width) // 2, (whole_height - geometry.outer_height) // 2
    wanted = whole[:, y : y + geometry.outer_height, x : x + geometry.outer_width]
    assert (cut - wanted).abs().max() < 1e-4


@pytest.mark.parametrize("mode", [Mode.UPSCALE, Mode.BOTH])
@pytest.mark.parametrize("size", ["4k", "200x200", "96x300"])
def test_sizes_hold_from_end_to_end(tmp_path, equipment, mode, size):
    source = make_clip(tmp_path / "in.mp4", width=100, height=52, count=4, sar="4/3", rotation=90)
    if size == "4k":
        size = "480p"
    task = Task(mode=mode, size=size, fit=Fit.CROP, preset="ultrafast")
    report = process(source, tmp_path / "out.mp4", task, equipment=equipment)
    assert all(check.passed for check in report.checks)
    expected = {"480p": (334, 854), "200x200": (200, 200), "96x300": (96, 300)}[size]
    assert (report.facts.width, report.facts.height) == expected
    assert report.facts.sar == "1:1"
    assert ("cropped:" in " ".join(report.notes)) == (size != "480p")


def test_what_no_encoder_takes_is_refused():
    with pytest.raises(InputError) as refusal:
        plan_geometry(Task(scale=4), 3000, 64, SQUARE, Chroma.C420)
    assert refusal.value.reason is Reason.PICTURE_TOO_LARGE
    wide = plan_geometry(Task(codec="av1"), 33, 21, SQUARE, Chroma.C444)
    assert wide.outer_size == (66, 42)
    odd = plan_geometry(Task(mode=Mode.INTERP, codec="av1"), 33, 21, SQUARE, Chroma.C444)
    assert odd.outer_size == (34, 22)
