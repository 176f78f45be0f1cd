import time
from fractions import Fraction
from itertools import pairwise

import av
import numpy as np
import pytest
import torch

from remote_runner.errors import Cancelled, InputError, MachineError
from remote_runner.video.clip import draw_clip
from remote_runner.video.moments import busiest_start
from remote_runner.video.picture import BAR
from tests.runner.clips import make_clip, moving_texture, video_times


def shown(path):
    """All frames as RGB."""
    with av.open(str(path)) as container:
        return [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]


def stamped(count, width, height, *, each=1):
    """Frames whose brightness tells their number."""
    frames = moving_texture(count, width, height)
    for n, frame in enumerate(frames):
        frame[:] = 20 + 8 * (n // each)
    return frames


def number_at(image):
    return (float(np.median(image)) - 20) / 8


def test_both_sides_show_the_same_moment_and_the_left_is_held(tmp_path):
    source = make_clip(tmp_path / "in.mkv", count=24, frames=stamped(24, 64, 48))
    output = make_clip(
        tmp_path / "out.mkv", width=128, height=96, count=48, rate=48,
        frames=stamped(48, 128, 96, each=2),
    )  # fmt: skip
    draw_clip(source, output, tmp_path / "clip.mp4")
    times = video_times(tmp_path / "clip.mp4")
    assert len(times) == 48 and times[0] == 0
    assert all(abs(b - a - Fraction(1, 48)) <= Fraction(1, 900) for a, b in pairwise(times))
    for n, image in enumerate(shown(tmp_path / "clip.mp4")):
        left, right = image[BAR:, :124], image[BAR:, 132:]
        assert image.shape == (96 + BAR, 256, 3)
        assert abs(number_at(left) - n // 2) < 0.4
        assert abs(number_at(right) - n // 2) < 0.4
        assert image[BAR + 48, 127:129].min() > 180
    assert image[:BAR].max() > 150, "the captions"


def test_times_that_the_container_shifted_make_no_difference(tmp_path):
    source = make_clip(tmp_path / "in.mkv", count=24, frames=stamped(24, 64, 48))
    output = make_clip(
        tmp_path / "out.mkv", width=128, height=96, count=24, start_s=Fraction(21, 1000),
        frames=stamped(24, 128, 96), time_base="1/24000",
    )  # fmt: skip
    draw_clip(source, output, tmp_path / "clip.mp4")
    images = shown(tmp_path / "clip.mp4")
    assert len(images) == 24
    for n, image in enumerate(images):
        assert abs(number_at(image[BAR:, :124]) - n) < 0.4
        assert abs(number_at(image[BAR:, 132:]) - n) < 0.4


def test_a_clip_plays_everywhere_and_has_no_sound(tmp_path):
    source = make_clip(tmp_path / "in.mkv", audio=1)
    draw_clip(source, source, tmp_path / "clip.mp4")
    data = (tmp_path / "clip.mp4").read_bytes()
    assert data.index(b"moov") < data.index(b"mdat")
    with av.open(str(tmp_path / "clip.mp4")) as container:
        assert [each.type for each in container.streams] == ["video"]
        context = container.streams.video[0].codec_context
        assert (context.name, context.pix_fmt) == ("h264", "yuv420p")
        assert (context.colorspace, context.color_range) == (1, 1)


def test_the_left_is_the_source_enlarged_to_where_it_lies(tmp_path):
    frames = moving_texture(6, 64, 48)
    source = make_clip(tmp_path / "in.mkv", frames=frames, count=6)
    tall = [np.pad(each.repeat(2, 0).repeat(2, 1), ((16, 16), (0, 0), (0, 0))) for each in frames]
    output = make_clip(tmp_path / "out.mkv", frames=tall, count=6, width=128, height=128)
    draw_clip(source, output, tmp_path / "clip.mp4")
    image = shown(tmp_path / "clip.mp4")[2].astype(float)
    assert image.shape == (96 + BAR, 256, 3), "the borders are left out"
    left, right = image[BAR:, 4:124], image[BAR:, 132:252]
    assert np.abs(left - right).mean() < 12
    assert np.abs(left[:, 4:] - right[:, :-4]).mean() > 16, "the test sees a shift"


def test_of_a_large_picture_the_busiest_part_is_shown_pixel_by_pixel(tmp_path):
    flat = np.full((600, 1200, 3), 120, np.uint8)
    flat[100:300, 900:1100] = moving_texture(1, 200, 200)[0][:, :, :1]
    small = np.ascontiguousarray(flat[::2, ::2])
    source = make_clip(tmp_path / "in.mkv", width=600, height=300, frames=[small] * 4, count=4)
    output = make_clip(tmp_path / "out.mkv", width=1200, height=600, frames=[flat] * 4, count=4)
    draw_clip(source, output, tmp_path / "clip.mp4")
    image = shown(tmp_path / "clip.mp4")[0]
    assert image.shape == (600 + BAR, 1920, 3)
    for half in (image[BAR:, :950], image[BAR:, 970:]):
        assert (np.abs(half.astype(int) - 120) > 20).sum() > 10_000
    tile, clip = flat[100:300, 900:1100].astype(float), image[BAR:, 960:].astype(float)
    best = min(np.abs(clip[100:300, x : x + 200] - tile).mean() for x in range(600, 960 - 200, 2))
    assert best < 10


def test_the_stretch_with_detail_and_motion_is_chosen(tmp_path):
    lively = moving_texture(96, 64, 48, step=2)
    frames = [np.full((48, 64, 3), 90, np.uint8)] * 240 + lively + [lively[-1]] * 240
    source = make_clip(
        tmp_path / "in.mp4", count=len(frames), frames=frames, options={"crf": "10", "g": "24"}
    )
    start_s = busiest_start(source, 3.0)
    assert 9 <= start_s <= 13
    draw_clip(source, source, tmp_path / "clip.mp4")
    assert len(video_times(tmp_path / "clip.mp4")) == 72


def test_noise_stays_within_the_bytes_that_are_allowed(tmp_path, monkeypatch):
    monkeypatch.setattr("remote_runner.video.clip.MAX_BYTES", 300_000)
    rng = np.random.default_rng(0)
    frames = list(rng.integers(0, 255, (30, 240, 320, 3), np.uint8))
    source = make_clip(
        tmp_path / "in.mkv", width=320, height=240, count=30, frames=frames,
        options={"crf": "5", "preset": "ultrafast"},
    )  # fmt: skip
    draw_clip(source, source, tmp_path / "clip.mp4")
    assert 50_000 < (tmp_path / "clip.mp4").stat().st_size <= 300_000


def test_a_turned_source_with_wide_samples_is_shown_upright(tmp_path):
    frames = moving_texture(6, 64, 48)
    source = make_clip(tmp_path / "in.mp4", frames=frames, count=6, rotation=90, sar="3/2")
    large = [np.rot90(each).repeat(2, 0).repeat(2, 1) for each in frames]
    output = make_clip(
        tmp_path / "out.mp4", width=96, height=128, count=6, sar="2/3",
        frames=[np.ascontiguousarray(each) for each in large],
    )  # fmt: skip
    draw_clip(source, output, tmp_path / "clip.mp4")
    image = shown(tmp_path / "clip.mp4")[2].astype(float)
    assert image.shape == (128 + BAR, 192, 3)
    left, right = image[BAR:, 4:90], image[BAR:, 100:186]
    assert np.abs(left - right).mean() < 16
    assert np.abs(left[8:] - right[:-8]).mean() > 25, "the test sees a shift"
    with av.open(str(tmp_path / "clip.mp4")) as container:
        assert container.streams.video[0].sample_aspect_ratio == Fraction(2, 3)


def test_nothing_is_left_of_a_clip_that_is_not_finished(tmp_path):
    source = make_clip(tmp_path / "in.mkv", count=48)
    target = tmp_path / "clip.mp4"
    asked = []
    draw_clip(source, source, target, should_stop=lambda: bool(asked.append(1)))
    most = len(asked) - 20
    target.unlink()
    asked.clear()
    with pytest.raises(Cancelled):
        draw_clip(source, source, target, should_stop=lambda: asked.append(1) or len(asked) > most)
    started = time.monotonic()
    with pytest.raises(Cancelled):
        draw_clip(source, source, target, should_stop=lambda: True)
    assert time.monotonic() - started < 1
    with pytest.raises(MachineError):
        draw_clip(source, source, tmp_path / "no" / "clip.mp4")
    text = tmp_path / "text.mkv"
    text.write_text("hello")
    with pytest.raises(InputError):
        draw_clip(source, text, target)
    assert sorted(each.name for each in tmp_path.iterdir()) == ["in.mkv", "text.mkv"]


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
