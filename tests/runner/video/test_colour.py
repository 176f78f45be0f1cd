from fractions import Fraction

import av
import numpy as np
import pytest
import torch

from remote_runner.models.base import identity_upscaler
from remote_runner.pipeline import process
from remote_runner.plan import Equipment
from remote_runner.protocol import Mode, Task
from remote_runner.video.colour import Colours
from remote_runner.video.signal import Chroma, Signal
from tests.runner.clips import make_clip, plane_array

MATRICES = {"bt601": 6, "bt709": 1, "bt2020": 9}
LOSSLESS = {
    8: ("libx264", {"qp": "0"}),
    10: ("libx265", {"x265-params": "lossless=1:log-level=none"}),
}
PIX_FMT = {("420", 8): "yuv420p", ("422", 8): "yuv422p", ("444", 8): "yuv444p"}


def a_signal(*, chroma="420", bits=8, full=False, matrix=1):
    suffix = "" if bits == 8 else "10le"
    return Signal(
        chroma=Chroma(chroma),
        bits=bits,
        full_range=full,
        matrix=matrix,
        primaries=2,
        transfer=2,
        used_matrix=matrix,
        pix_fmt=f"yuv{chroma}p{suffix}",
    )


def empty_planes(signal, height, width):
    frame = av.VideoFrame(width, height, signal.pix_fmt)
    return frame, [torch.from_dlpack(plane) for plane in frame.planes]


@pytest.mark.parametrize("matrix", MATRICES.values(), ids=MATRICES)
@pytest.mark.parametrize("full", [False, True], ids=["limited", "full"])
@pytest.mark.parametrize("bits", [8, 10])
@pytest.mark.parametrize("chroma", ["420", "422", "444"])
def test_flat_colours_and_grey_ramp_survive_the_round_trip(matrix, full, bits, chroma):
    signal = a_signal(chroma=chroma, bits=bits, full=full, matrix=matrix)
    colours = Colours(signal, torch.device("cpu"))
    rng = np.random.default_rng(1)
    for _ in range(20):
        _, given = empty_planes(signal, 16, 32)
        for plane in given:
            plane.fill_(int(rng.integers(0, 1 << bits)))
        _, back = empty_planes(signal, 16, 32)
        colours.to_planes(colours.to_rgb(given), back)
        for mine, theirs in zip(given, back, strict=True):
            assert (mine.int() - theirs.int()).abs().max() <= 1
    _, ramp = empty_planes(signal, 4, 1 << bits)
    ramp[0].copy_(torch.arange(1 << bits).expand(4, -1))
    for plane in ramp[1:]:
        plane.fill_(1 << (bits - 1))
    _, back = empty_planes(signal, 4, 1 << bits)
    colours.to_planes(colours.to_rgb(ramp), back)
    assert torch.equal(ramp[0].int(), back[0].int())


def test_known_colours_have_their_known_codes():
    red = torch.tensor([1.0, 0, 0])[:, None, None].expand(3, 4, 4)
    expected = {6: (81, 90, 240), 1: (63, 102, 240), 9: (74, 97, 240)}
    for matrix, codes in expected.items():
        signal = a_signal(matrix=matrix)
        _, planes = empty_planes(signal, 4, 4)
        Colours(signal, torch.device("cpu")).to_planes(red, planes)
        assert tuple(int(plane[0, 0]) for plane in planes) == codes


def test_chroma_is_sited_at_the_left():
    signal = a_signal()
    colours = Colours(signal, torch.device("cpu"))
    _, planes = empty_planes(signal, 8, 16)
    planes[0].fill_(120)
    planes[1].fill_(128)
    planes[2].copy_(torch.arange(8).mul(8).add(96).expand(4, -1))
    red = colours.to_rgb(planes)[0]
    # On even columns the sample itself, on odd ones the mean of its neighbours: a straight ramp.
    steps = red[4, 1:15] - red[4, 0:14]
    assert float(steps.max() - steps.min()) < 1e-4
    _, back = empty_planes(signal, 8, 16)
    colours.to_planes(colours.to_rgb(planes), back)
    assert (planes[2][:, 1:-1].int() - back[2][:, 1:-1].int()).abs().max() <= 1


def test_values_outside_the_nominal_range_are_kept():
    signal = a_signal()
    colours = Colours(signal, torch.device("cpu"))
    _, planes = empty_planes(signal, 2, 4)
    planes[0].copy_(torch.tensor([[2, 10, 240, 254]] * 2))
    planes[1].fill_(128)
    planes[2].fill_(128)
    _, back = empty_planes(signal, 2, 4)
    colours.to_planes(colours.to_rgb(planes), back)
    assert torch.equal(planes[0].int(), back[0].int())


@pytest.mark.parametrize("matrix", MATRICES, ids=str)
@pytest.mark.parametrize("bits", [8, 10])
@pytest.mark.parametrize("full", [False, True], ids=["limited", "full"])
def test_bars_come_back_from_a_file_with_matrix_and_range(tmp_path, matrix, bits, full):
    codec, options = LOSSLESS[bits]
    unit = 1 << (bits - 8)
    bars = [(60, 112, 144), (90, 120, 118), (150, 140, 122), (210, 128, 128)]

    def fill(_, frame):
        planes = [torch.from_dlpack(plane) for plane in frame.planes]
        for index, plane in enumerate(planes):
            width = plane.shape[1] // 4
            for place, bar in enumerate(bars):
                plane[:, place * width : (place + 1) * width] = bar[index] * unit

    source = make_clip(
        tmp_path / "bars.mkv",
        pix_fmt="yuv420p" if bits == 8 else "yuv420p10le",
        codec=codec,
        options=options,
        planes=fill,
        count=3,
        tags={"colorspace": MATRICES[matrix], "color_range": 2 if full else 1},
    )
    report = process(
        source,
        tmp_path / "out.mkv",
        Task(mode=Mode.UPSCALE, scale=2, crf=0, codec="h264" if bits == 8 else "hevc"),
        equipment=Equipment(device="cpu", upscaler=identity_upscaler(2)),
    )
    assert (report.facts.matrix, report.facts.bit_depth) == (matrix, bits)
    assert report.facts.range == ("full" if full else "limited")
    with av.open(str(report.output)) as container:
        frame = next(container.decode(video=0))
        for index in range(3):
            plane = plane_array(frame, index).astype(int)
            width = plane.shape[1] // 4
            for place, bar in enumerate(bars):
                # Bars are looked at inside: chroma mixes at their edges, as it must. x264 is
                # lossless at crf 0 in 8 bit; x265 is not, and may add a step of its own.
                inside = plane[4:-4, place * width + 4 : (place + 1) * width - 4]
                off = np.abs(inside - bar[index] * unit).max()
                assert off <= (1 if bits == 8 else 2)


@pytest.mark.parametrize(
    ("pix_fmt", "expected"),
    [
        ("yuv422p", "yuv422p"),
        ("yuv444p", "yuv444p"),
        ("gray", "yuv420p"),
        ("nv12", "yuv420p"),
        ("yuvj420p", "yuvj420p"),
    ],
)
def test_layouts_keep_their_chroma_where_players_know_it(tmp_path, equipment, pix_fmt, expected):
    source = make_clip(tmp_path / "in.mkv", pix_fmt=pix_fmt, count=4)
    report = process(source, tmp_path / "out.mkv", Task(), equipment=equipment)
    assert report.facts.pix_fmt == expected


def test_a_picture_without_chroma_stays_without_colour(tmp_path, equipment):
    source = make_clip(tmp_path / "in.mkv", pix_fmt="gray", count=2)
    report = process(source, tmp_path / "out.mkv", Task(), equipment=equipment)
    with av.open(str(report.output)) as container:
        frame = next(container.decode(video=0))
    assert np.abs(plane_array(frame, 1).astype(int) - 128).max() <= 1


def test_screen_recordings_in_rgb_become_bt709(tmp_path, equipment):
    source = make_clip(tmp_path / "in.mkv", codec="libx264rgb", pix_fmt="rgb24", count=3)
    report = process(source, tmp_path / "out.mkv", Task(), equipment=equipment)
    assert report.facts.matrix == "bt709"
    assert any(note.startswith("converted:") for note in report.notes)


def test_hdr_stays_ten_bit_with_its_tags(tmp_path, equipment):
    mastering = (
        "master-display=G(13250,34500)B(7500,3000)R(34000,16000)WP(15635,16450)L(10000000,50)"
    )
    source = make_clip(
        tmp_path / "in.mp4",
        codec="libx265",
        pix_fmt="yuv420p10le",
        options={"x265-params": f"{mastering}:max-cll=1000,400:hdr10=1:log-level=none"},
        tags={"colorspace": 9, "color_primaries": 9, "color_trc": 16, "color_range": 1},
        count=4,
    )
    report = process(source, tmp_path / "out.mp4", Task(), equipment=equipment)
    facts = report.facts
    assert (facts.codec, facts.bit_depth) == ("hevc", 10)
    assert (facts.matrix, facts.transfer) == ("bt2020", "pq")
    assert _mastering(source) == _mastering(report.output) is not None


def _mastering(path):
    with av.open(str(path)) as container:
        frame = next(container.decode(video=0))
        kinds = av.sidedata.sidedata.Type
        display = bytes(frame.side_data[kinds.MASTERING_DISPLAY_METADATA])
        values = np.frombuffer(display[:80], np.int32).reshape(-1, 2)
        light = bytes(frame.side_data[kinds.CONTENT_LIGHT_LEVEL])[:8]
        return [Fraction(int(a), int(b)) for a, b in values], light
