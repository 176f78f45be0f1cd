import json
from fractions import Fraction

import numpy as np
import pytest

from remote_runner import commands
from remote_runner.__main__ import main
from remote_runner.errors import Cancelled
from remote_runner.pipeline import process
from remote_runner.protocol import Fit, Task
from remote_runner.video.quality import BEST_PSNR, measure_quality
from remote_runner.video.verify import verify
from tests.runner.clips import decoded, make_clip, plane_array
from tests.runner.video.difficult import FFV1, woven

LOSSLESS = {"crf": "0", "preset": "ultrafast"}


def noise(count, width, height, seed=1):
    return np.random.default_rng(seed).integers(30, 220, (count, height, width), np.uint8)


def grey_clip(path, levels, **options):
    """Lossless, with these levels as luma."""

    def planes(i, frame):
        import torch

        views = [torch.from_dlpack(plane) for plane in frame.planes]
        views[0].copy_(torch.from_numpy(levels[i]))
        for each in views[1:]:
            each.fill_(128)

    count, height, width = levels.shape
    wanted = {"width": width, "height": height, "count": count, "options": LOSSLESS}
    return make_clip(path, planes=planes, **{**wanted, **options})


def psnr(a, b):
    error = np.mean((a.astype(float) - b.astype(float)) ** 2)
    return 10 * np.log10(255**2 / error)


def ssim(a, b):
    """Mean over blocks of 8×8 every 4 pixels, with FFmpeg's sums and constants."""
    a, b = a.astype(np.int64), b.astype(np.int64)
    c1, c2 = int(0.01**2 * 255**2 * 64 + 0.5), int(0.03**2 * 255**2 * 64 * 63 + 0.5)
    found = []
    for y in range(0, a.shape[0] - 7, 4):
        for x in range(0, a.shape[1] - 7, 4):
            p, q = a[y : y + 8, x : x + 8], b[y : y + 8, x : x + 8]
            s1, s2, ss, s12 = p.sum(), q.sum(), (p * p + q * q).sum(), (p * q).sum()
            variance, covariance = ss * 64 - s1 * s1 - s2 * s2, s12 * 64 - s1 * s2
            found.append(
                (2 * s1 * s2 + c1) * (2 * covariance + c2)
                / ((s1 * s1 + s2 * s2 + c1) * (variance + c2))
            )  # fmt: skip
    return np.mean(found)


def test_figures_are_those_of_the_definitions(tmp_path):
    old, change = noise(4, 64, 48), noise(4, 64, 48, seed=2) // 32
    new = old + np.where(np.arange(4)[:, None, None] == 2, 2 * change, change).astype(np.uint8)
    source, output = grey_clip(tmp_path / "a.mkv", old), grey_clip(tmp_path / "b.mkv", new)
    assert all(np.array_equal(a, b) for a, b in zip(decoded(output), new, strict=True))
    found = measure_quality(source, output)
    assert (found.frames, found.unmatched, found.vmaf) == (4, 0, None)
    assert found.psnr.mean == pytest.approx(psnr(old, new), abs=1e-4)
    assert found.psnr.worst == pytest.approx(psnr(old[2], new[2]), abs=1e-4)
    assert found.psnr.worst_at_s == pytest.approx(2 / 24, abs=1e-3)
    expected = [ssim(a, b) for a, b in zip(old, new, strict=True)]
    assert found.ssim.mean == pytest.approx(np.mean(expected), abs=1e-4)
    assert found.ssim.worst == pytest.approx(min(expected), abs=1e-4)


def test_ten_bits_are_measured_against_their_own_peak(tmp_path):
    old = noise(2, 64, 48).astype(np.uint16) * 4

    def clip(name, levels):
        def planes(i, frame):
            import torch

            views = [torch.from_dlpack(plane) for plane in frame.planes]
            views[0].copy_(torch.from_numpy(levels[i].astype(np.int32)))
            for each in views[1:]:
                each.fill_(512)

        return make_clip(
            tmp_path / name, planes=planes, count=2, pix_fmt="yuv420p10le", options={"qp": "0"}
        )

    source, output = clip("a.mkv", old), clip("b.mkv", old + 8)
    found = measure_quality(source, output)
    assert found.psnr.mean == pytest.approx(20 * np.log10(1023 / 8), abs=1e-3)


def test_an_enlarged_output_is_averaged_down_to_its_source(tmp_path):
    old = noise(3, 64, 48)
    source = grey_clip(tmp_path / "a.mkv", old)
    double = grey_clip(tmp_path / "b.mkv", old.repeat(2, 1).repeat(2, 2))
    found = measure_quality(source, double)
    assert (found.psnr.mean, found.ssim.mean) == (BEST_PSNR, 1.0)
    brighter = grey_clip(tmp_path / "c.mkv", old.repeat(2, 1).repeat(2, 2) + np.uint8(5))
    assert measure_quality(source, brighter).psnr.mean == pytest.approx(
        20 * np.log10(255 / 5), abs=0.01
    )


def test_frames_are_matched_by_their_times_alone(tmp_path):
    old = noise(12, 64, 48)
    source = grey_clip(tmp_path / "a.mkv", old)
    between = old.repeat(2, 0)
    between[1::2] = 255 - between[1::2]
    output = grey_clip(tmp_path / "b.mkv", between, rate=48, start_s=Fraction(1))
    found = measure_quality(source, output)
    assert (found.frames, found.unmatched, found.psnr.mean) == (12, 0, BEST_PSNR)
    grid = grey_clip(tmp_path / "c.mkv", old[:10], rate=20)
    assert measure_quality(source, grid).unmatched == 10
    assert measure_quality(source, grid).frames == 2


def test_turned_bordered_and_cut_pictures_are_compared_where_they_lie(tmp_path):
    old = noise(3, 64, 48)
    turned = grey_clip(tmp_path / "turned.mp4", old, rotation=90)
    upright = grey_clip(tmp_path / "upright.mp4", np.ascontiguousarray(np.rot90(old, 1, (1, 2))))
    assert measure_quality(turned, upright).psnr.mean == BEST_PSNR
    source = grey_clip(tmp_path / "in.mkv", old)
    inner = old.repeat(2, 1).repeat(2, 2)
    black = np.pad(inner, ((0, 0), (16, 16), (0, 0)), constant_values=16)
    bordered = grey_clip(tmp_path / "bordered.mkv", black)
    assert measure_quality(source, bordered).psnr.mean == BEST_PSNR
    cut = grey_clip(tmp_path / "cut.mkv", np.ascontiguousarray(inner[:, :, 16:112]))
    assert measure_quality(source, cut).psnr.mean == BEST_PSNR
    assert all(check.passed for check in verify(source, cut, fit=Fit.CROP))


def test_what_was_woven_of_fields_is_compared_as_it_was_worked_on(tmp_path, equipment):
    source = woven(top_first=False, **FFV1)(tmp_path)
    task = Task(preset="ultrafast", crf=1)
    report = process(source, tmp_path / "out.mkv", task, equipment=equipment)
    found = measure_quality(source, report.output)
    assert (found.unmatched, report.facts.interlaced) == (0, False)
    assert found.psnr.worst > 40


def test_the_command_prints_figures_and_says_what_it_lacks(tmp_path, capsys):
    source = make_clip(tmp_path / "in.mkv")
    assert main(["verify", str(source), str(source), "--quality"]) == commands.EXIT_DONE
    text = capsys.readouterr().out
    assert "psnr         mean 100.00 dB, worst 100.00 dB at 0.00 s" in text
    assert "vmaf         not available" in text
    assert main(["verify", str(source), str(source), "--quality", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["quality"]["ssim"]["mean"] == 1.0
    assert {each["name"] for each in found["checks"]} > {"decodes", "times"}
    broken = tmp_path / "broken.mkv"
    broken.write_bytes(source.read_bytes()[:3000])
    assert main(["verify", str(source), str(broken), "--quality", "--json"]) == 1
    assert json.loads(capsys.readouterr().out)["quality"] is None


def test_measuring_stops_when_asked(tmp_path):
    source = make_clip(tmp_path / "in.mkv")
    with pytest.raises(Cancelled):
        measure_quality(source, source, should_stop=lambda: True)


def test_the_clips_of_these_tests_hold_what_they_are_given(tmp_path):
    import av

    levels = noise(2, 64, 48)
    with av.open(str(grey_clip(tmp_path / "a.mkv", levels))) as container:
        shown = [plane_array(frame, 0) for frame in container.decode(video=0)]
    assert np.array_equal(np.stack(shown), levels)
