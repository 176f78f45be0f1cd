from dataclasses import replace
from fractions import Fraction

import av
import numpy as np
import pytest
import torch

from remote_runner.models.base import Upscaler, identity_upscaler
from remote_runner.pipeline import process
from remote_runner.plan import Equipment
from remote_runner.protocol import Mode, Task
from remote_runner.video.cuts import is_cut
from remote_runner.video.enlarge import Enlarger, upscales_first
from remote_runner.video.geometry import plan_geometry
from remote_runner.video.signal import Chroma
from tests.runner.clips import Blend, decoded, make_clip, moving_texture

INTERP = Task(mode=Mode.INTERP)


def small(frames):
    """Thumbnails of luma as the cut detector sees them."""
    return [torch.from_numpy(frame.mean(2)[::2, ::2] / 255).float() for frame in frames]


def test_before_a_cut_the_last_frame_of_the_scene_is_repeated(tmp_path, equipment):
    frames = moving_texture(6, 64, 48) + moving_texture(6, 64, 48, seed=7)
    source = make_clip(tmp_path / "in.mp4", frames=frames, options={"crf": "1"})
    report = process(source, tmp_path / "out.mp4", replace(INTERP, crf=1), equipment=equipment)
    assert "scene_cuts:1" in report.notes
    out = decoded(report.output)
    assert _far(out[11], out[10]) < 3
    assert _far(out[11], out[12]) > 20
    assert _far(out[9], out[8]) > 1 and _far(out[9], out[10]) > 1  # elsewhere it is in between


def _far(first, second):
    return np.abs(first.astype(int) - second.astype(int)).mean()


def test_a_flash_a_pan_and_a_fade_are_no_cuts():
    still = small(moving_texture(1, 128, 72))[0]
    flash = (still * 0.3 + 0.7).clamp(0, 1)
    assert not is_cut(still, still, flash, still)
    assert not is_cut(still, flash, still, still)
    white = torch.ones_like(still)
    assert not is_cut(still, still, white, still)
    assert not is_cut(still, white, still, still)
    pan = small(moving_texture(40, 128, 72, step=11))
    assert not any(is_cut(*pan[i : i + 4]) for i in range(30))
    fade = [still * (1 - n / 10) for n in range(11)]
    assert not any(is_cut(*fade[i : i + 4]) for i in range(7))


def test_a_cut_is_a_cut_at_the_ends_of_the_video_too():
    one, other = (small(moving_texture(1, 128, 72, seed=seed))[0] for seed in (1, 2))
    assert is_cut(one, one, other, other)
    assert is_cut(None, one, other, None)
    assert not is_cut(None, one, one, None)


def test_equal_frames_are_worked_on_once(tmp_path):
    calls = []

    def count(frames):
        calls.append(1)
        return frames.repeat_interleave(2, 2).repeat_interleave(2, 3)

    network = replace(identity_upscaler(2), network=count)
    texture = moving_texture(1, 64, 48)[0]
    frames = [texture] * 9 + [moving_texture(1, 64, 48, seed=3)[0]] * 3
    source = make_clip(tmp_path / "in.mkv", frames=frames, codec="ffv1", options={"level": "3"})
    report = process(
        source,
        tmp_path / "out.mkv",
        Task(),
        equipment=Equipment(device="cpu", upscaler=network),
    )
    assert len(calls) == 2
    assert report.frames == 12


def test_interpolation_alone_leaves_source_frames_untouched_by_rgb(tmp_path, equipment):
    source = make_clip(tmp_path / "in.mkv", options={"crf": "12"})
    task = replace(INTERP, crf=0, preset="ultrafast")
    report = process(source, tmp_path / "out.mkv", task, equipment=equipment)
    for mine, theirs in zip(decoded(source), decoded(report.output)[::2], strict=True):
        assert np.array_equal(mine, theirs)


@pytest.mark.parametrize(("degrees", "turns"), [(90, 1), (180, 2), (270, 3), (-90, 3)])
def test_rotation_is_carried_out_and_its_tag_is_gone(tmp_path, equipment, degrees, turns):
    source = make_clip(tmp_path / "in.mp4", rotation=degrees)
    report = process(source, tmp_path / "out.mp4", replace(INTERP, crf=0), equipment=equipment)
    assert (report.source.rotation, report.facts.rotation) == (90 * turns, 0)
    shown = (48, 64) if turns % 2 else (64, 48)
    assert (report.facts.width, report.facts.height) == shown
    expected = np.rot90(decoded(source)[3], turns)
    assert _far(expected, decoded(report.output)[6]) < 1


def test_sample_aspect_ratio_is_kept_and_turned(tmp_path, equipment):
    source = make_clip(tmp_path / "in.mp4", sar="4/3")
    report = process(source, tmp_path / "out.mp4", Task(), equipment=equipment)
    assert report.facts.sar == "4:3"
    turned = make_clip(tmp_path / "turned.mp4", sar="4/3", rotation=90)
    report = process(turned, tmp_path / "out2.mp4", Task(), equipment=equipment)
    assert report.facts.sar == "3:4"


@pytest.mark.parametrize("mode", [Mode.UPSCALE, Mode.INTERP, Mode.BOTH])
def test_odd_sizes_are_padded_where_the_encoder_needs_it(tmp_path, equipment, mode):
    source = make_clip(
        tmp_path / "in.mkv", width=65, height=49, codec="ffv1", options={"level": "3"}, count=4
    )
    report = process(source, tmp_path / "out.mkv", Task(mode=mode), equipment=equipment)
    expected = (66, 50) if mode is Mode.INTERP else (130, 98)
    assert (report.facts.width, report.facts.height) == expected
    assert ("padded:66x50" in report.notes) == (mode is Mode.INTERP)


@pytest.mark.parametrize("network_scale", [1, 2, 4])
@pytest.mark.parametrize("scale", [2, 4])
def test_networks_of_any_scale_reach_the_size(tmp_path, scale, network_scale):
    source = make_clip(tmp_path / "in.mp4", count=2)
    report = process(
        source,
        tmp_path / "out.mp4",
        Task(scale=scale),
        equipment=Equipment(device="cpu", upscaler=identity_upscaler(network_scale)),
    )
    assert (report.facts.width, report.facts.height) == (64 * scale, 48 * scale)


def test_an_exact_size_is_filled_with_black_borders(tmp_path, equipment):
    source = make_clip(tmp_path / "in.mp4", count=2)
    task = Task(size="256x144")
    report = process(source, tmp_path / "out.mp4", task, equipment=equipment)
    assert (report.facts.width, report.facts.height) == (256, 144)
    luma = decoded(report.output)[0]
    assert luma[:, :30].max() <= 18 and luma[:, -30:].max() <= 18
    assert luma[:, 40:-40].mean() > 60


def test_a_smaller_size_and_anamorphic_pixels_keep_the_shape(tmp_path):
    geometry = plan_geometry(Task(size="1280x720"), 720, 576, Fraction(64, 45), Chroma.C420)
    assert geometry.inner_size == (1280, 720)
    narrow = plan_geometry(Task(size="1280x720"), 720, 576, Fraction(16, 15), Chroma.C420)
    assert narrow.inner_size == (960, 720)
    assert (narrow.left, narrow.top) == (160, 0)


def test_bands_give_the_same_picture_as_the_whole():
    kernel = torch.randn(3, 3, 3, 3, generator=torch.Generator().manual_seed(2)) / 9

    def blur(frames):
        if frames.shape[-2] > 40:
            raise torch.OutOfMemoryError("too large")
        return torch.nn.functional.conv2d(frames, kernel, padding=1)

    picture = torch.rand(3, 96, 40)
    network = Upscaler(
        name="blur",
        scale=1,
        macs_per_pixel=81,
        receptive_radius=1,
        device=torch.device("cpu"),
        dtype=torch.float32,
        network=blur,
    )
    geometry = plan_geometry(Task(mode=Mode.INTERP), 40, 96, Fraction(1), Chroma.C420)
    enlarger = Enlarger(network, geometry)
    banded = enlarger(picture)
    assert enlarger.bands == 4
    whole = torch.nn.functional.conv2d(picture[None], kernel, padding=1)[0].clamp(0, 1)
    assert torch.allclose(banded, whole, atol=1e-6)


def test_a_heavy_network_runs_before_interpolation_and_a_light_one_after():
    geometry = plan_geometry(Task(scale=2), 320, 180, Fraction(1), Chroma.C420)
    heavy, light = (
        replace(identity_upscaler(2), macs_per_pixel=macs) for macs in (4_483_008, 20_000)
    )
    assert upscales_first(heavy, Blend(), geometry)
    assert not upscales_first(light, Blend(), geometry)


@pytest.mark.parametrize("macs", [0, 4_000_000])
def test_both_orders_give_the_same_times_and_nearly_the_same_picture(tmp_path, macs):
    source = make_clip(tmp_path / "in.mp4")
    upscaler = replace(identity_upscaler(2), macs_per_pixel=macs)
    report = process(
        source,
        tmp_path / "out.mp4",
        Task(mode=Mode.BOTH),
        equipment=Equipment(device="cpu", upscaler=upscaler, interpolator=Blend()),
    )
    assert report.frames == 24
    before, after = decoded(source), decoded(report.output)
    middle = (before[2].astype(int) + before[3]) / 2
    assert _far(middle.repeat(2, 0).repeat(2, 1), after[5]) < 6


def test_interlaced_video_is_deinterlaced_and_said_to_be(tmp_path, equipment):
    fields = moving_texture(24, 64, 48)
    frames = []
    for i in range(12):
        woven = fields[2 * i].copy()
        woven[1::2] = fields[2 * i + 1][1::2]
        frames.append(woven)
    source = make_clip(
        tmp_path / "in.mkv",
        frames=frames,
        options={"crf": "5", "x264-params": "tff=1"},
    )
    report = process(source, tmp_path / "out.mkv", Task(), equipment=equipment)
    assert report.source.interlaced and not report.facts.interlaced
    assert "deinterlaced" in report.notes
    combed = np.mean([_combing(each) for each in decoded(source)])
    cleaned = np.mean([_combing(each[::2]) for each in decoded(report.output)])
    assert cleaned < combed / 1.3
    assert video_count(report.output) == 12


def _combing(luma):
    """How much rows differ from the mean of the rows around them."""
    rows = luma.astype(float)
    return np.abs(rows[1:-1] - (rows[:-2] + rows[2:]) / 2).mean()


def video_count(path):
    with av.open(str(path)) as container:
        return sum(1 for _ in container.decode(video=0))


def test_a_size_that_changes_on_the_way_is_brought_to_the_first(tmp_path, equipment):
    first, second = (tmp_path / f"{n}.264" for n in "ab")
    make_clip(first, width=64, height=48)
    make_clip(second, width=96, height=64)
    joined = tmp_path / "in.264"
    joined.write_bytes(first.read_bytes() + second.read_bytes())
    report = process(joined, tmp_path / "out.mkv", Task(), equipment=equipment)
    assert (report.facts.width, report.facts.height) == (128, 96)
    assert "size_changes" in report.notes
    assert report.frames == 24
