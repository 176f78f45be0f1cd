import struct

import pytest

from remote_runner.errors import InputError
from remote_runner.pipeline import process
from remote_runner.protocol import Mode, Task
from remote_runner.video.look import check_hdr
from remote_runner.video.signal import HdrSideData
from tests.runner.clips import make_clip
from tests.runner.video.test_verify import HDR10

COLOURS = (17_000, 50_000, 8_000, 50_000, 13_250, 50_000, 34_500, 50_000) * 2
LUMINANCE = (1, 10_000, 10_005, 10)


def mastering(*, colours=1, luminance=1, most=10_005):
    fractions = (*COLOURS, *LUMINANCE[:2], most, 10)
    return HdrSideData(mastering=struct.pack("=20i2i", *fractions, colours, luminance))


def passed(old, new):
    return [check.passed for check in check_hdr(old, new)]


def test_a_display_must_be_described_in_full_to_be_kept():
    assert passed(mastering(), mastering()) == [True]
    assert passed(mastering(), mastering(luminance=0)) == [False]
    assert passed(mastering(), mastering(most=10_006)) == [False]
    assert passed(mastering(luminance=0), HdrSideData()) == []
    assert passed(mastering(colours=0), mastering()) == []


@pytest.mark.parametrize("codec", ["h264", "hevc"])
def test_every_codec_keeps_what_hdr_says_of_its_display(tmp_path, equipment, codec):
    tags = {"colorspace": 9, "color_primaries": 9, "color_trc": 16, "color_range": 1}
    source = make_clip(
        tmp_path / "in.mkv", pix_fmt="yuv420p10le", codec="libx265", tags=tags, count=4,
        options={"x265-params": HDR10},
    )  # fmt: skip
    report = process(source, tmp_path / "out.mp4", Task(codec=codec), equipment=equipment)
    checks = {check.name: check.passed for check in report.checks}
    assert checks["mastering display"] and checks["light level"]


@pytest.mark.parametrize("container", ["webm", "mkv"])
def test_av1_of_wide_samples_is_made_square_or_refused_at_once(tmp_path, equipment, container):
    source = make_clip(tmp_path / "in.mp4", sar="3/2", count=4)
    task = Task(container=container, codec="av1")
    report = process(source, tmp_path / "out", task, equipment=equipment)
    assert (report.facts.width, report.facts.height, report.facts.sar) == (192, 96, "1:1")
    smoother = Task(container=container, codec="av1", mode=Mode.INTERP)
    with pytest.raises(InputError, match="square samples"):
        process(source, tmp_path / "out", smoother, equipment=equipment)
