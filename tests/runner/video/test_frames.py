from contextlib import nullcontext
from types import SimpleNamespace

import av
import pytest
import torch

from remote_runner.video import frames
from remote_runner.video.colour import Colours
from remote_runner.video.decode import Picture
from remote_runner.video.frames import Fetcher, HostFrames, Once, ready
from remote_runner.video.layout import (
    SURFACES,
    as_signed,
    empty_surface,
    fill_surface,
    layout_of,
    split_surface,
    surface_frame,
)
from tests.runner.video.test_colour import a_signal

CPU = torch.device("cpu")
FORMATS = ["yuv420p", "yuv422p", "yuv444p", "gray", "yuv420p10le", "yuv422p10le", "yuv444p10le"]


def noise(pix_fmt, width=34, height=18, seed=0):
    """Planes of random samples of a format."""
    generator = torch.Generator().manual_seed(seed)
    layout = layout_of(pix_fmt, width, height)
    planes = layout.planes(torch.zeros(layout.bytes, dtype=torch.uint8))
    for plane in planes:
        top = 1024 if plane.dtype is torch.int16 else 256
        plane.copy_(torch.randint(0, top, plane.shape, generator=generator))
    return planes


def samples(frame):
    return [as_signed(torch.from_dlpack(plane)) for plane in frame.planes]


def same(mine, theirs):
    return all(torch.equal(one, other) for one, other in zip(mine, theirs, strict=True))


def on_card(planes):
    """A picture that a card decoded, its planes being where the test can see them."""
    return Picture(None, 0, 0, card=SimpleNamespace(take=lambda: planes))


@pytest.mark.parametrize("pix_fmt", FORMATS)
def test_a_block_of_memory_becomes_a_frame_of_the_format(pix_fmt):
    layout = layout_of(pix_fmt, 34, 18)
    block = torch.zeros(layout.bytes, dtype=torch.uint8)
    given = noise(pix_fmt)
    for plane, source in zip(layout.planes(block), given, strict=True):
        plane.copy_(source)
    frame = layout.frame(block, pix_fmt)
    assert (frame.format.name, frame.width, frame.height) == (pix_fmt, 34, 18)
    truth = av.VideoFrame(34, 18, pix_fmt)
    assert [tuple(plane.shape) for plane in samples(truth)] == list(layout.shapes)
    assert same(samples(frame), given)
    assert all(offset % 64 == 0 for offset in layout.offsets)


@pytest.mark.parametrize("pix_fmt", SURFACES)
def test_surfaces_of_cards_hold_the_samples_that_ffmpeg_sees_in_them(pix_fmt):
    surface = SURFACES[pix_fmt]
    given = noise(pix_fmt)
    luma, chroma = empty_surface(surface, (18, 34), CPU)
    fill_surface(surface, luma, chroma, given)
    frame = surface_frame(surface, luma, chroma)
    assert frame.format.name == surface
    # with several threads swscale now and then reads memory that is not its own
    assert same(samples(frame.reformat(format=pix_fmt, threads=1)), given)
    assert same(split_surface(frame), given)


@pytest.mark.parametrize("surface", SURFACES.values())
def test_chroma_of_a_surface_begins_where_the_cards_encoder_looks_for_it(surface):
    luma, chroma = empty_surface(surface, (18, 34), CPU)
    frame = surface_frame(surface, luma, chroma)
    pitch = frame.planes[0].line_size
    assert pitch == frame.planes[1].line_size and pitch % 256 == 0
    assert frame.planes[1].buffer_ptr - frame.planes[0].buffer_ptr == 18 * pitch


@pytest.mark.parametrize(("number", "stream"), [(0, 7), (1, 0)])
def test_the_cards_encoder_works_in_the_context_of_pytorch(monkeypatch, number, stream):
    made = []
    monkeypatch.setattr(torch.cuda, "device", lambda device: nullcontext())
    monkeypatch.setattr(torch.cuda, "default_stream", lambda device: "default")
    monkeypatch.setattr(frames, "new_stream", lambda device: SimpleNamespace(cuda_stream=7))
    monkeypatch.setattr(frames, "empty_surface", lambda *_: (None, None))
    monkeypatch.setattr(frames, "surface_frame", lambda *given: made.append(given[-1]))
    _, context = frames.encoder_context(torch.device("cuda", number))
    assert (context.device_id, context.cuda_stream) == (number, stream)
    assert (context.primary_ctx, context.current_ctx) == (False, True)
    assert made == [context]  # in this thread, where the context is current


@pytest.mark.parametrize("pix_fmt", SURFACES)
def test_ffmpegs_own_surfaces_with_their_wide_rows_are_split(pix_fmt):
    layout = layout_of(pix_fmt, 70, 38)
    block = torch.zeros(layout.bytes, dtype=torch.uint8)
    given = noise(pix_fmt, 70, 38)
    for plane, source in zip(layout.planes(block), given, strict=True):
        plane.copy_(source)
    frame = layout.frame(block, pix_fmt).reformat(format=SURFACES[pix_fmt])
    assert frame.planes[0].line_size > 70 * layout.dtype.itemsize
    split = split_surface(frame)
    assert same(split, given)
    frame.planes[0].update(bytes(frame.planes[0].buffer_size))
    assert same(split, given)  # a copy: the decoder may use the surface again


@pytest.mark.parametrize("pix_fmt", ["yuv420p", "yuv444p", "yuv420p10le"])
def test_what_comes_from_a_card_is_what_the_processor_makes(pix_fmt):
    signal = a_signal(chroma=pix_fmt[3:6], bits=10 if "10" in pix_fmt else 8)
    colours = Colours(signal, CPU)
    frames = HostFrames((34, 18), pix_fmt, colours)
    rgb = torch.rand(3, 18, 34)
    direct = ready(frames.make(rgb))
    block = torch.empty(layout_of(pix_fmt, 34, 18).bytes, dtype=torch.uint8)
    colours.to_planes(rgb, layout_of(pix_fmt, 34, 18).planes(block))
    assert same(samples(ready(frames._fetch(block))), samples(direct))


def test_colours_are_written_into_surfaces_as_into_planes():
    for pix_fmt, surface in SURFACES.items():
        colours = Colours(a_signal(bits=10 if "10" in pix_fmt else 8), CPU)
        rgb = torch.rand(3, 18, 34)
        layout = layout_of(pix_fmt, 34, 18)
        planes = layout.planes(torch.empty(layout.bytes, dtype=torch.uint8))
        colours.to_planes(rgb, planes)
        luma, chroma = empty_surface(surface, (18, 34), CPU)
        colours.to_planes(rgb, [luma, chroma[..., 0], chroma[..., 1]])
        assert same([luma, chroma[..., 0], chroma[..., 1]], planes)


@pytest.mark.parametrize("pix_fmt", FORMATS)
def test_a_picture_that_a_card_decoded_is_passed_on_as_it_is(pix_fmt):
    chroma = "444" if pix_fmt == "gray" else pix_fmt[3:6]
    frames = HostFrames((34, 18), pix_fmt, Colours(a_signal(chroma=chroma), CPU))
    given = noise(pix_fmt)
    frame = ready(frames.pass_on(on_card(given)))
    assert frame.format.name == pix_fmt
    assert same(samples(frame), given)


def test_a_picture_of_the_processor_is_passed_on_without_a_copy():
    frame = av.VideoFrame(34, 18, "yuv420p")
    frames = HostFrames((34, 18), "yuv420p", Colours(a_signal(), CPU))
    assert frames.pass_on(Picture(frame, 0, 0)) is frame


def test_a_promise_is_kept_once_and_lets_go_of_what_it_was_made_of():
    made = []

    def give():
        made.append(av.VideoFrame(16, 16, "yuv420p"))
        return made[-1]

    promise = Once(give)
    assert made == []
    assert ready(promise) is ready(promise) is made[0]
    assert len(made) == 1
    assert promise._give is None


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device")
def test_blocks_of_a_card_arrive_whole_however_many_are_on_their_way():
    device = torch.device("cuda", 0)
    fetcher = Fetcher(device)
    with torch.cuda.stream(torch.cuda.Stream(device)):
        waits = []
        for number in range(50):
            block = torch.empty(3 << 20, dtype=torch.uint8, device=device)
            block.fill_(number)
            waits.append(fetcher.fetch(block))
            del block
    for number, wait in enumerate(waits):
        assert bool((wait() == number).all())
