import av
import cv2
import numpy as np
import pytest
import torch

from remote_runner.errors import Cancelled, InputError, MachineError
from remote_runner.video import moments
from remote_runner.video.moments import busiest_frame, frame_at
from remote_runner.video.picture import BAR, draw_picture
from remote_runner.video.placement import find_placement
from tests.runner.clips import make_clip, moving_texture


def drawn(source, output, png):
    draw_picture(source, output, png)
    return cv2.imread(str(png))[:, :, ::-1].astype(float)


def doubled(frames):
    return [each.repeat(2, 0).repeat(2, 1) for each in frames]


def test_the_halves_belong_together(tmp_path):
    frames = moving_texture(12, 64, 48)
    source = make_clip(tmp_path / "in.mkv", frames=frames)
    output = make_clip(tmp_path / "out.mkv", frames=doubled(frames), width=128, height=96)
    image = drawn(source, output, tmp_path / "p.png")
    assert image.shape == (BAR + 96 + 48, 128, 3)
    moment = busiest_frame(source)
    before = moments.as_image(moment.rgb)[:, :, ::-1].repeat(2, 0).repeat(2, 1).astype(float)
    whole = image[BAR : BAR + 96]
    for half in (np.s_[:, 2:60], np.s_[:, 68:126]):
        assert np.abs(whole[half] - before[half]).mean() < 16
    assert np.abs(whole[:, 2:60] - before[:, 6:64]).mean() > 20, "the test sees a shift"
    pair = image[BAR + 96 :]
    assert np.abs(pair[:, 2:60] - pair[:, 66:124]).mean() < 16


def test_turned_and_bordered_pictures_lie_over_each_other(tmp_path):
    frames = moving_texture(6, 64, 48)
    source = make_clip(tmp_path / "in.mp4", frames=frames, count=6, rotation=90)
    upright = doubled([np.rot90(each) for each in frames])
    tall = [np.pad(each, ((0, 0), (16, 16), (0, 0))) for each in upright]
    output = make_clip(tmp_path / "out.mkv", frames=tall, count=6, width=128, height=128)
    draw_picture(source, output, tmp_path / "p.png")
    old, new = busiest_frame(source), busiest_frame(output)
    assert old.rgb.shape == (3, 64, 48)
    placement = find_placement(48 / 64, new.rgb, 1.0)
    assert (placement.left, placement.top) == (16, 0)
    assert (placement.width, placement.height) == (96, 128)
    cut = find_placement(48 / 64, new.rgb[:, 16:112, 16:112], 1.0)
    assert (cut.width, cut.height, cut.left, cut.top) == (96, 128, 0, -16)


def test_hdr_is_mapped_and_said_so(tmp_path):
    tags = {"colorspace": 9, "color_primaries": 9, "color_trc": 16, "color_range": 1}

    def planes(_, frame):
        for plane, level in zip(frame.planes, (64 + 876 * 0.58, 512, 512), strict=True):
            torch.from_dlpack(plane).fill_(round(level))

    hdr = {
        "planes": planes, "pix_fmt": "yuv420p10le", "codec": "libx265", "width": 640, "height": 96,
        "count": 3, "options": {"x265-params": "log-level=error:bframes=0"},
    }  # fmt: skip
    source = make_clip(tmp_path / "hdr.mkv", tags=tags, **hdr)
    plain = make_clip(tmp_path / "sdr.mkv", tags={**tags, "color_trc": 1}, **hdr)
    mapped = drawn(source, source, tmp_path / "hdr.png")
    assert np.median(mapped[BAR : BAR + 96]) == pytest.approx(0.744 * 255, abs=4)
    unmapped = drawn(plain, plain, tmp_path / "sdr.png")
    assert np.median(unmapped[BAR : BAR + 96]) == pytest.approx(0.58 * 255, abs=4)
    assert (mapped[:BAR] > 128).sum() > (unmapped[:BAR] > 128).sum() * 1.5, "a longer caption"


def test_the_moment_has_the_most_to_see(tmp_path):
    flat = [np.full((48, 64, 3), 90, np.uint8)] * 48
    frames = flat + moving_texture(24, 64, 48) + flat
    source = make_clip(
        tmp_path / "in.mkv", frames=frames, count=120, options={"g": "12", "crf": "10"}
    )
    assert 2 <= busiest_frame(source).at_s < 3


def test_work_is_bounded_where_nothing_can_be_sought(tmp_path, monkeypatch):
    frames = moving_texture(200, 64, 48)
    clip = make_clip(tmp_path / "in.h264", frames=frames, count=200, options={"g": "300"})
    decoded = 0
    plain = moments.Reader.frames

    def counted(self, at_s):
        nonlocal decoded
        for frame in plain(self, at_s):
            decoded += 1
            yield frame

    monkeypatch.setattr(moments.Reader, "frames", counted)
    busiest_frame(clip)
    assert 8 <= decoded <= 8 * moments._NEAR + 8
    decoded = 0
    moments.busiest_start(clip, 3.0)
    assert decoded <= 8 * moments._NEAR + 8


def test_a_frame_is_found_by_the_time_it_is_shown(tmp_path):
    frames = [np.full((48, 64, 3), 20 + 9 * n, np.uint8) for n in range(24)]
    clip = make_clip(tmp_path / "in.mkv", frames=frames, count=24)
    for n in (0, 7, 23):
        shown = frame_at(clip, n / 24 + 0.01)
        assert abs(float(shown.rgb.median()) * 255 - (20 + 9 * n)) < 4
        assert shown.at_s == pytest.approx(n / 24, abs=1e-3)


@pytest.mark.parametrize("group", [12, 250])
def test_a_frame_is_found_where_seeking_leads_amid_a_group(tmp_path, group):
    frames = [np.full((48, 64, 3), 20 + 3 * n, np.uint8) for n in range(72)]
    clip = make_clip(
        tmp_path / "in.ts", frames=frames, count=72, options={"g": str(group), "crf": "10"}
    )
    start_s = moments.first_moment(clip)
    for n in (0, 7, 40, 71):
        shown = frame_at(clip, start_s + n / 24 + 0.01)
        assert abs(float(shown.rgb.median()) * 255 - (20 + 3 * n)) < 2
    assert busiest_frame(clip).at_s >= start_s


def test_what_cannot_be_drawn_is_said(tmp_path):
    source = make_clip(tmp_path / "in.mkv")
    with pytest.raises(Cancelled):
        draw_picture(source, source, tmp_path / "p.png", should_stop=lambda: True)
    with pytest.raises(MachineError):
        draw_picture(source, source, tmp_path / "no" / "p.png")
    sound = tmp_path / "sound.mkv"
    with av.open(str(sound), "w") as out:
        track = out.add_stream("flac", rate=48_000)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 8192), np.int16), "s16", "stereo")
        frame.sample_rate = 48_000
        out.mux(track.encode(frame))
        out.mux(track.encode(None))
    with pytest.raises(InputError):
        draw_picture(source, sound, tmp_path / "p.png")


def test_borders_of_few_pixels_are_seen():
    frame = torch.full((3, 1080, 1920), 0.5)
    frame[:, :, :6] = frame[:, :, -6:] = 0
    placement = find_placement(848 / 480, frame, 1.0)
    assert (placement.width, placement.height, placement.left) == (1908, 1080, 6)
    cut = find_placement(848 / 480, torch.full((3, 1080, 1920), 0.5), 1.0)
    assert (cut.width, cut.height, cut.top) == (1920, 1086, -3)


def test_rgb_keeps_its_colours(tmp_path):
    frames = [np.full((48, 64, 3), (220, 30, 40), np.uint8)] * 3
    clip = make_clip(
        tmp_path / "in.mkv", codec="ffv1", pix_fmt="bgr0", frames=frames, count=3,
        options={"level": "3"},
    )  # fmt: skip
    shown = moments.as_image(busiest_frame(clip).rgb)[20, 20, ::-1].astype(int)
    assert np.abs(shown - (220, 30, 40)).max() <= 3


def test_a_file_whose_times_were_shifted_shows_the_same_moment(tmp_path):
    frames = [np.full((96, 128, 3), 20 + 9 * n, np.uint8) for n in range(24)]
    source = make_clip(tmp_path / "in.mkv", width=128, height=96, frames=frames, count=24)
    shifted = make_clip(
        tmp_path / "out.mkv", width=128, height=96, frames=frames, count=24, start_s=0.25
    )
    image = drawn(source, shifted, tmp_path / "p.png")[BAR : BAR + 96]
    assert abs(np.median(image[:, 2:60]) - np.median(image[:, 68:126])) < 3
