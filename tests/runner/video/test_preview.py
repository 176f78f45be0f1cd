from fractions import Fraction

import av
import numpy as np
import pytest
import torch

from remote_runner.errors import Cancelled, InputError
from remote_runner.video import preview
from remote_runner.video.preview import make_preview, preview_size
from remote_runner.video.signal import Chroma, Signal
from remote_runner.video.tonemap import to_sdr
from tests.runner.clips import decoded, make_clip, moving_texture, video_times

X265 = {"x265-params": "log-level=error:bframes=0", "crf": "10"}
HDR_TAGS = {"colorspace": 9, "color_primaries": 9, "color_trc": 16, "color_range": 1}


def signal(**changes):
    wanted = {
        "chroma": Chroma.C420, "bits": 10, "full_range": False, "matrix": 9, "primaries": 9,
        "transfer": 16, "used_matrix": 9, "pix_fmt": "yuv420p10le",
    }  # fmt: skip
    return Signal(**{**wanted, **changes})


@pytest.mark.parametrize(
    "codec, options", [("libx264", {"crf": "10"}), ("libx265", X265), ("libsvtav1", {"crf": "20"})]
)
def test_a_segment_becomes_a_video_that_plays_from_its_beginning(tmp_path, codec, options):
    frames = moving_texture(12, 128, 96)
    segment = make_clip(
        tmp_path / "segment.nut", codec=codec, options=options, frames=frames, width=128,
        height=96, start_s=40, tags={"colorspace": 1, "color_range": 1},
    )  # fmt: skip
    make_preview(segment, tmp_path / "preview.mp4")
    assert video_times(tmp_path / "preview.mp4") == [Fraction(n, 24) for n in range(12)]
    data = (tmp_path / "preview.mp4").read_bytes()
    assert data.index(b"moov") < data.index(b"mdat")
    with av.open(str(tmp_path / "preview.mp4")) as container:
        context = container.streams.video[0].codec_context
        assert (context.name, context.pix_fmt, context.width) == ("h264", "yuv420p", 128)
        assert (context.colorspace, context.color_primaries, context.color_range) == (1, 1, 1)
    for mine, theirs in zip(decoded(tmp_path / "preview.mp4"), decoded(segment), strict=True):
        assert np.abs(mine.astype(int) - theirs).mean() < 4


def test_a_preview_is_no_longer_and_no_larger_than_was_said(tmp_path, monkeypatch):
    monkeypatch.setattr(preview, "MAX_BYTES", 200_000)
    monkeypatch.setattr(preview, "LONGEST_SIDE", 200)
    frames = list(np.random.default_rng(0).integers(0, 255, (48, 240, 320, 3), np.uint8))
    segment = make_clip(
        tmp_path / "segment.nut", width=320, height=240, frames=frames, count=48,
        options={"crf": "10", "preset": "ultrafast"},
    )  # fmt: skip
    make_preview(segment, tmp_path / "preview.mp4", seconds=1.0)
    assert len(video_times(tmp_path / "preview.mp4")) == 24
    assert 20_000 < (tmp_path / "preview.mp4").stat().st_size <= 200_000
    assert decoded(tmp_path / "preview.mp4")[0].shape == (150, 200)


def test_sizes_are_even_square_and_bounded():
    assert preview_size(3840, 2160, Fraction(1)) == (1280, 720)
    assert preview_size(2160, 3840, Fraction(1)) == (720, 1280)
    assert preview_size(720, 576, Fraction(16, 11)) == (1048, 576)
    assert preview_size(640, 360, Fraction(1)) == (640, 360)


def test_other_matrices_and_full_range_are_converted(tmp_path):
    frames = [np.full((48, 64, 3), (200, 60, 40), np.uint8)] * 4
    for name, tags in (
        ("full.nut", {"colorspace": 1, "color_range": 2}),
        ("sd.nut", {"colorspace": 6, "color_range": 1}),
    ):

        def planes(_, frame, tags=tags):
            made = av.VideoFrame.from_ndarray(frames[0], "rgb24").reformat(
                format="yuv420p",
                dst_colorspace="ITU709" if tags["colorspace"] == 1 else "ITU601",
                dst_color_range="JPEG" if tags["color_range"] == 2 else "MPEG",
            )
            for mine, theirs in zip(frame.planes, made.planes, strict=True):
                torch.from_dlpack(mine).copy_(torch.from_dlpack(theirs))

        segment = make_clip(tmp_path / name, planes=planes, count=4, tags=tags)
        make_preview(segment, tmp_path / "preview.mp4")
        with av.open(str(tmp_path / "preview.mp4")) as container:
            shown = next(container.decode(video=0)).reformat(
                format="rgb24", src_colorspace="ITU709"
            )
        found = np.median(shown.to_ndarray().reshape(-1, 3), axis=0)
        assert np.abs(found - (200, 60, 40)).max() <= 6, name


def test_hdr_is_shown_as_bright_as_a_page(tmp_path):
    white, dark = 0.5806, 0.3  # PQ of 203 and of about 11 cd/m²
    mapped = to_sdr(torch.tensor([[[white]], [[white]], [[white]]]), signal())
    assert mapped.flatten().tolist() == pytest.approx([0.744] * 3, abs=0.01)

    def planes(i, frame):
        for plane, level in zip(frame.planes, (64 + 876 * (white, dark)[i % 2], 512, 512),
                                strict=True):  # fmt: skip
            torch.from_dlpack(plane).fill_(round(level))

    segment = make_clip(
        tmp_path / "segment.nut", planes=planes, count=4, codec="libx265", options=X265,
        pix_fmt="yuv420p10le", tags=HDR_TAGS, width=96, height=64,
    )  # fmt: skip
    make_preview(segment, tmp_path / "preview.mp4")
    for n, image in enumerate(decoded(tmp_path / "preview.mp4")):
        level = torch.tensor((white, dark)[n % 2]).expand(3, 1, 1)
        expected = 16 + 219 * float(to_sdr(level.clone(), signal())[0])
        assert abs(float(np.median(image)) - expected) < 4
    assert sorted(each.name for each in tmp_path.iterdir()) == ["preview.mp4", "segment.nut"]


def test_hlg_and_what_is_no_hdr_are_told_apart():
    grey = torch.full((3, 4, 4), 0.75)
    assert torch.equal(to_sdr(grey, signal(transfer=1)), grey)
    hlg = to_sdr(grey, signal(transfer=18))
    assert float(hlg.mean()) == pytest.approx(0.744, abs=0.01), "75 % is the white of a page"
    steps = torch.linspace(0, 1, 50).expand(3, 1, 50).clone()
    for transfer in (16, 18):
        shown = to_sdr(steps, signal(transfer=transfer))[0, 0]
        assert bool((shown.diff() >= 0).all()) and 0 <= float(shown[0]) < 0.01
        assert float(shown[-1]) > 0.98


def test_nothing_is_left_of_a_preview_that_is_not_finished(tmp_path):
    segment = make_clip(tmp_path / "segment.nut", count=48)
    asked = []
    with pytest.raises(Cancelled):
        make_preview(
            segment, tmp_path / "p.mp4", should_stop=lambda: asked.append(1) or len(asked) > 30
        )
    text = tmp_path / "text.nut"
    text.write_text("hello")
    with pytest.raises(InputError):
        make_preview(text, tmp_path / "p.mp4")
    assert sorted(each.name for each in tmp_path.iterdir()) == ["segment.nut", "text.nut"]
