"""Decoding on a card: what it gives is what the processor gives, or the processor does it."""

from contextlib import contextmanager
from types import SimpleNamespace

import av
import av.error
import pytest
import torch

from remote_runner.errors import InputError, MachineError
from remote_runner.protocol import Reason
from remote_runner.video import decode, hardware
from remote_runner.video.decode import Decoder
from remote_runner.video.hardware import differs, is_decodable
from remote_runner.video.layout import SURFACES
from tests.runner.cards import CARD, CPU, needs_card
from tests.runner.clips import make_clip


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
