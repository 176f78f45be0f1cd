"""Encoding on a card: settings that it knows, a trial of them, and whole files of a real one."""

from dataclasses import replace
from fractions import Fraction

import av
import av.error
import numpy as np
import pytest
import torch

from remote_runner.models.base import identity_upscaler
from remote_runner.pipeline import process
from remote_runner.plan import Equipment
from remote_runner.protocol import Mode, Task
from remote_runner.video import nvenc
from remote_runner.video.encode import EncoderPlan, configure
from remote_runner.video.layout import layout_of
from remote_runner.video.nvenc import candidates, compare, plan_hardware_encoder, relieve
from tests.runner.cards import CARD, CPU, needs_card
from tests.runner.clips import Blend, decoded, make_clip


def a_plan(codec="h264", pix_fmt="yuv420p", width=256, height=192, **options):
    encoders = {"h264": "libx264", "hevc": "libx265", "av1": "libsvtav1"}
    return EncoderPlan(
        encoder=encoders[codec],
        codec=codec,
        pix_fmt=pix_fmt,
        width=width,
        height=height,
        sar=Fraction(1),
        rate=Fraction(25),
        time_base=Fraction(1, 25),
        full_range=False,
        matrix=1,
        primaries=1,
        transfer=1,
        options={"crf": "20", "preset": "medium", **options},
    )


PLANS = [a_plan("h264"), a_plan("hevc"), a_plan("hevc", "yuv420p10le"), a_plan("av1", crf="63")]


def refusal(plan, options):
    """What FFmpeg says to an encoder of a card that is not there."""
    context = av.CodecContext.create(plan.encoder, "w")
    configure(context, replace(plan, options=options))
    with pytest.raises(av.error.FFmpegError) as caught:
        context.open(strict=False)
    return caught.type


@pytest.mark.skipif(torch.cuda.is_available(), reason="the encoder may be there")
@pytest.mark.parametrize("plan", PLANS, ids=lambda plan: f"{plan.codec} {plan.pix_fmt}")
def test_every_setting_is_one_that_the_encoder_knows(plan):
    for preset in nvenc._PRESETS:
        for candidate in candidates(plan, preset):
            # it gets as far as looking for a card
            without = refusal(candidate, {})
            assert refusal(candidate, candidate.options) is without
            for name in candidate.options:
                broken = refusal(candidate, {**candidate.options, name: "no such value"})
                assert broken is not without, name


def test_settings_say_what_those_of_the_processor_said():
    first, second = candidates(a_plan("hevc", "yuv420p10le", crf="23"), "slow")
    assert (first.encoder, first.on_card) == ("hevc_nvenc", True)
    assert (first.options["cq"], first.options["preset"]) == ("23", "p6")
    assert (first.options["bf"], second.options["bf"]) == ("3", "0")
    assert first.pix_fmt == "yuv420p10le"  # segments of either encoder are of one recipe
    context = av.CodecContext.create("hevc_nvenc", "w")
    configure(context, first)
    assert context.pix_fmt == "p010le"
    assert (context.colorspace, context.color_range) == (1, 1)


def test_there_is_no_encoder_of_a_card_without_a_card():
    assert plan_hardware_encoder(a_plan(), CPU) is None


@pytest.mark.parametrize(
    ("plan", "why"),
    [
        (a_plan(pix_fmt="yuv444p"), "no surface holds yuv444p"),
        (a_plan(pix_fmt="yuv420p10le"), "H.264 of cards has 8 bits"),
        (a_plan(width=4098), "4098x192 is too large"),
        (a_plan("hevc", width=8194), "8194x192 is too large"),
        (a_plan(crf="0"), "lossless"),
        (
            a_plan("hevc", "yuv420p10le", **{"x265-params": "log-level=error:max-cll=1000,400"}),
            "HDR10 with a description of the display",
        ),
    ],
)
def test_what_a_card_cannot_do_is_not_tried(monkeypatch, caplog, plan, why):
    caplog.set_level("INFO")
    monkeypatch.setattr(nvenc, "try_on_card", lambda plan, device: pytest.fail("tried"))
    assert plan_hardware_encoder(plan, CARD) is None
    assert why in caplog.text


def test_the_first_settings_that_work_are_taken(monkeypatch):
    def without_b_frames(plan, device):
        return "B-frames are not supported" if plan.options["bf"] != "0" else None

    monkeypatch.setattr(nvenc, "try_on_card", without_b_frames)
    assert plan_hardware_encoder(a_plan("hevc"), CARD).options["bf"] == "0"
    monkeypatch.setattr(nvenc, "try_on_card", lambda plan, device: "no such encoder")
    assert plan_hardware_encoder(a_plan("hevc"), CARD) is None


def encoded(plan, planes):
    context = av.CodecContext.create("libx264", "w")
    configure(context, replace(plan, options={"crf": "20", "preset": "ultrafast"}))
    layout = layout_of(plan.pix_fmt, plan.width, plan.height)
    block = torch.zeros(layout.bytes, dtype=torch.uint8)
    for plane, given in zip(layout.planes(block), planes, strict=True):
        plane.copy_(given)
    frame = layout.frame(block, plan.pix_fmt)
    frame.pts, frame.time_base = 0, plan.time_base
    return [*context.encode(frame), *context.encode(None)]


def test_a_trial_looks_at_the_samples_that_come_back():
    plan = a_plan()
    planes = nvenc._ramps(plan, CPU)
    packets = encoded(plan, planes)
    assert compare(plan, packets, planes) is None
    assert "off by" in compare(plan, packets, [planes[0], planes[2], planes[1]])
    assert "off by" in compare(plan, packets, [planes[0].flip(0), *planes[1:]])
    assert compare(replace(plan, width=258), packets, planes) == "256x192 came back"
    assert compare(replace(plan, pix_fmt="yuv444p"), packets, planes) == "yuv420p came back"
    assert compare(plan, [], planes) == "0 pictures came back"


def test_a_card_without_an_encoder_gets_a_quick_one_beside_it():
    assert relieve(a_plan(), 600_000, 16).options["preset"] == "veryfast"
    assert relieve(a_plan("hevc"), 600_000, 64).options["preset"] == "faster"
    assert relieve(a_plan("av1"), 0, 16).options["preset"] == "9"
    assert relieve(a_plan(), 17_926_848, 16) == a_plan()


@pytest.mark.gpu
@needs_card
def test_a_file_that_the_card_encoded_passes_the_gate(tmp_path):
    if plan_hardware_encoder(a_plan(width=640, height=360), CARD) is None:
        pytest.skip("this card has no encoder")
    source = make_clip(tmp_path / "in.mp4", width=320, height=180, count=40, audio=1)
    equipment = Equipment(
        device="cuda",
        upscaler=identity_upscaler(2, CARD, torch.half),
        interpolator=Blend(),
    )
    report = process(source, tmp_path / "out.mp4", Task(mode=Mode.BOTH), equipment=equipment)
    assert all(check.passed for check in report.checks)
    before, after = decoded(source), decoded(report.output)
    assert np.abs(after[0][::2, ::2].astype(int) - before[0]).mean() < 4


@pytest.mark.gpu
@needs_card
def test_rgb_never_leaves_the_card(tmp_path, monkeypatch):
    crossed = []
    to, copy, cpu = torch.Tensor.to, torch.Tensor.copy_, torch.Tensor.cpu

    def leaves(source, target):
        if source.device.type == "cuda" and target == "cpu":
            crossed.append(tuple(source.shape))

    def watched_to(tensor, *arguments, **named):
        result = to(tensor, *arguments, **named)
        leaves(tensor, result.device.type)
        return result

    def watched_copy(tensor, source, *arguments, **named):
        leaves(source, tensor.device.type)
        return copy(tensor, source, *arguments, **named)

    def watched_cpu(tensor, *arguments, **named):
        leaves(tensor, "cpu")
        return cpu(tensor, *arguments, **named)

    monkeypatch.setattr(torch.Tensor, "to", watched_to)
    monkeypatch.setattr(torch.Tensor, "copy_", watched_copy)
    monkeypatch.setattr(torch.Tensor, "cpu", watched_cpu)
    monkeypatch.setattr(nvenc, "try_on_card", lambda plan, device: "not now")
    source = make_clip(tmp_path / "in.mp4", width=320, height=180, count=12)
    equipment = Equipment(
        device="cuda", upscaler=identity_upscaler(2, CARD, torch.half), interpolator=Blend()
    )
    process(source, tmp_path / "out.mp4", Task(mode=Mode.BOTH), equipment=equipment)
    # blocks of planes, and thumbnails of luma
    assert crossed
    assert [shape for shape in crossed if len(shape) > 2 or 3 in shape] == []
