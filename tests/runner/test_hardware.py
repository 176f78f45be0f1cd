from contextlib import contextmanager
from dataclasses import replace
from fractions import Fraction
from types import SimpleNamespace

import av
import av.error
import numpy as np
import pytest
import torch

from remote_runner.errors import InputError, MachineError
from remote_runner.models.base import identity_upscaler
from remote_runner.pipeline import process
from remote_runner.plan import Equipment
from remote_runner.protocol import Mode, Reason, Task
from remote_runner.video import decode, hardware, nvenc
from remote_runner.video.decode import Decoder
from remote_runner.video.encode import EncoderPlan, configure
from remote_runner.video.hardware import differs, is_decodable
from remote_runner.video.layout import SURFACES, layout_of
from remote_runner.video.nvenc import candidates, compare, plan_hardware_encoder, relieve
from tests.runner.clips import Blend, decoded, make_clip

CPU, CARD = torch.device("cpu"), torch.device("cuda", 0)
needs_card = pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device")


class HostCopies:
    """Stands in for copies to a card."""

    def __init__(self, device):
        pass

    def take(self, frame):
        planes = [torch.from_dlpack(plane).clone() for plane in frame.planes]
        return SimpleNamespace(tensors=planes, take=lambda: planes)


@pytest.fixture
def card(monkeypatch):
    """A card that decodes on the processor: NV12 frames that say they lie on it."""
    found = SimpleNamespace(opened=[], error=None, change=lambda planes: planes)
    real_open, split = hardware.open_source, hardware.split_surface

    def open_on_card(path, device):
        if found.error:
            raise found.error
        found.opened.append(real_open(path))
        return found.opened[-1]

    def copy_out(frame, device):
        planes = split(frame.reformat(format=SURFACES[frame.format.name]))
        return SimpleNamespace(tensors=planes, take=lambda: planes)

    def compared(on_card, frame):
        planes = split(on_card.reformat(format=SURFACES[on_card.format.name]))
        same = hardware.equal_samples(found.change(planes), frame)
        return None if same else "the card gives other samples"

    monkeypatch.setattr(hardware, "open_on_card", open_on_card)
    monkeypatch.setattr(hardware, "copy_out", copy_out)
    monkeypatch.setattr(hardware, "differs", compared)
    monkeypatch.setattr(hardware, "is_on_card", lambda frame: bool(found.opened))
    monkeypatch.setattr(decode, "Uploader", HostCopies)
    return found


@contextmanager
def decoding(path, **settings):
    decoder = Decoder(path, packets=12, device=CARD, **settings)
    try:
        yield decoder
    finally:
        decoder.close()


def planes_of(pictures):
    return [[plane.clone() for plane in picture.planes()] for picture in pictures]


def same(mine, theirs):
    return len(mine) == len(theirs) and all(
        torch.equal(one, other)
        for planes, others in zip(mine, theirs, strict=True)
        for one, other in zip(planes, others, strict=True)
    )


def on_processor(path):
    decoder = Decoder(path, packets=12)
    pictures = list(decoder)
    decoder.close()
    return pictures


def test_a_card_that_decodes_right_decodes(tmp_path, card, caplog):
    source = make_clip(tmp_path / "in.mp4")
    truth = on_processor(source)
    with decoding(source) as decoder:
        pictures = list(decoder)
    assert decoder.on_card
    assert all(picture.frame is None for picture in pictures)
    assert same(planes_of(pictures), planes_of(truth))
    assert [picture.at for picture in pictures] == [picture.at for picture in truth]
    for mine, theirs in zip(pictures, truth, strict=True):
        assert mine.thumbnail.device == CPU
        assert torch.equal(mine.small(decoder.signal), theirs.small(decoder.signal))


@pytest.mark.parametrize(
    "error",
    [
        av.error.ExternalError(1, "no device"),
        RuntimeError("no stream is compatible"),
        ValueError("a version that does not know cards"),
        InputError(Reason.CORRUPT, "decoding"),
    ],
)
def test_a_card_that_cannot_leaves_it_to_the_processor(tmp_path, card, error):
    card.error = error
    source = make_clip(tmp_path / "in.mp4")
    with decoding(source) as decoder:
        pictures = list(decoder)
    assert not decoder.on_card
    assert same(planes_of(pictures), planes_of(on_processor(source)))
    assert decoder.notes == {"matrix_assumed:bt601"}  # nothing of the card: it is no defect
    assert decoder.bad_packets == 0


def test_a_card_that_decodes_wrong_leaves_it_to_the_processor(tmp_path, card, caplog):
    def off_by_one(planes):
        planes[2][3, 3] += 1
        return planes

    card.change = off_by_one
    caplog.set_level("INFO")
    source = make_clip(tmp_path / "in.mp4")
    with decoding(source) as decoder:
        card.opened.clear()  # what follows comes from the processor
        pictures = list(decoder)
    assert not decoder.on_card
    assert "the card gives other samples" in caplog.text
    assert same(planes_of(pictures), planes_of(on_processor(source)))


def test_interlaced_video_stays_on_the_processor(tmp_path, card):
    with decoding(make_clip(tmp_path / "in.mp4"), interlaced=True) as decoder:
        assert not decoder.on_card
    assert card.opened == []


def test_a_card_that_fails_later_on_is_the_machines_fault(tmp_path, card):
    with decoding(make_clip(tmp_path / "in.mp4")) as decoder:
        decoder._container = SimpleNamespace(
            demux=fail, close=decoder._container.close, format=decoder._container.format
        )
        decoder._raw = decoder._decode()
        with pytest.raises(MachineError) as caught:
            list(decoder)
    assert caught.value.reason == Reason.NO_DEVICE


def fail(stream):
    raise av.error.ExternalError(1, "the decoder is lost")


@pytest.mark.parametrize(
    ("codec", "pix_fmt", "size", "wanted"),
    [
        ("libx264", "yuv420p", (64, 48), True),
        ("libx265", "yuv420p", (64, 48), True),
        ("libx265", "yuv420p10le", (64, 48), True),
        ("libx264", "yuv420p10le", (64, 48), False),
        ("libx264", "yuv444p", (64, 48), False),
        ("libx264", "yuv422p", (64, 48), False),
        ("mpeg2video", "yuv420p", (64, 48), False),
        ("ffv1", "yuv420p", (64, 48), False),
        ("ffv1", "yuv420p", (65, 49), False),
    ],
)
def test_only_what_cards_decode_exactly_is_tried_there(tmp_path, codec, pix_fmt, size, wanted):
    options = {"x265-params": "log-level=none"} if codec == "libx265" else {"b": "200k"}
    width, height = size
    source = make_clip(
        tmp_path / "in.mkv",
        codec=codec,
        pix_fmt=pix_fmt,
        width=width,
        height=height,
        count=3,
        options=options,
    )
    decoder = Decoder(source, packets=3)
    assert is_decodable(decoder._stream, decoder._first, decoder.signal) == wanted
    decoder.close()


def test_lossless_h264_is_never_given_to_a_card(tmp_path):
    decoder = Decoder(make_clip(tmp_path / "in.mp4", options={"crf": "0"}), packets=12)
    assert not is_decodable(decoder._stream, decoder._first, decoder.signal)
    decoder.close()


def test_ffmpeg_is_not_asked_for_the_context_that_pytorch_set_up():
    assert hardware._accelerator(torch.device("cuda", 1)).options == {
        "primary_ctx": "0",
        "current_ctx": "1",
    }


def test_a_frame_that_is_not_on_the_card_is_no_frame_of_its_decoder():
    frame = av.VideoFrame(16, 16, "yuv420p")
    assert differs(frame, frame) == "the card left the decoding to the processor"
    assert differs(None, frame) == "the card left the decoding to the processor"


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
@pytest.mark.parametrize("codec", ["libx264", "libx265"])
def test_a_real_card_decodes_what_the_processor_decodes(tmp_path, codec):
    options = {"x265-params": "log-level=none"} if codec == "libx265" else {"crf": "20"}
    source = make_clip(
        tmp_path / "in.mp4", width=320, height=180, count=40, codec=codec, options=options
    )
    with decoding(source) as decoder:
        pictures = [[plane.cpu() for plane in picture.planes()] for picture in decoder]
    assert decoder.on_card
    assert same(pictures, planes_of(on_processor(source)))


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
