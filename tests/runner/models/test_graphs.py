from contextlib import nullcontext
from types import SimpleNamespace

import pytest
import torch

from remote_runner.models import graphs
from remote_runner.models.graphs import GraphedNetwork, graphed

CPU = torch.device("cpu")


class Recorded:
    """What a capture gives, calculating on the processor."""

    def __init__(self, network, arguments, off=0.0):
        self._network = network
        self._numbers = [each for each in arguments if not isinstance(each, torch.Tensor)]
        self._off = off
        self.replays = 0

    def replay(self, tensors):
        self.replays += 1
        return self._network(*tensors, *self._numbers) + self._off


@pytest.fixture
def card(monkeypatch):
    """Tensors count as being on a card, and captures are recorded."""
    captures = []

    def capture(network, arguments, pool):
        assert pool == (0, 1)
        captures.append(Recorded(network, arguments))
        return captures[-1]

    monkeypatch.setattr(graphs, "_on_card", lambda tensor: True)
    monkeypatch.setattr(graphs, "_capture", capture)
    monkeypatch.setattr(torch.cuda, "graph_pool_handle", lambda: (0, 1))
    return captures


def double(frames, by=2):
    return frames * by


def test_on_the_processor_a_network_is_itself():
    assert graphed(double, CPU) is double
    assert isinstance(graphed(double, torch.device("cuda", 0)), GraphedNetwork)
    assert torch.equal(GraphedNetwork(double)(torch.ones(2, 2)), torch.full((2, 2), 2.0))


def test_a_shape_is_captured_once_and_then_replayed(card):
    network = GraphedNetwork(double)
    for number in range(4):
        frames = torch.full((1, 3, 4, 4), float(number))
        assert torch.equal(network(frames, 3), frames * 3)
    assert len(card) == 1
    assert card[0].replays == 1 + 3  # the first one is the comparison


def test_another_shape_layout_type_or_number_is_another_graph(card):
    network = GraphedNetwork(double, most=9)
    frames = torch.rand(1, 3, 4, 6)
    network(frames, 2)
    network(frames.contiguous(memory_format=torch.channels_last), 2)
    network(frames.half(), 2)
    network(frames[..., :4], 2)
    network(frames, 3)
    network(frames.clone(), 2)
    assert len(card) == 5


def test_only_the_graphs_used_last_are_kept(card):
    network = GraphedNetwork(double, most=2)
    for rows in (1, 2, 1, 3, 1):
        network(torch.rand(rows, 4))
    assert [key[0][0] for key in network._graphs] == [(3, 4), (1, 4)]
    assert len(card) == 3


def test_shapes_that_take_turns_are_not_captured_for_every_picture(card):
    network = GraphedNetwork(double, most=2)
    for rows in (1, 2, 3) * 4:
        frames = torch.rand(rows, 4)
        assert torch.equal(network(frames), frames * 2)
    assert len(card) == 3


def test_a_pool_of_memory_is_not_used_again_after_its_last_graph(card, monkeypatch):
    handles = []
    monkeypatch.setattr(torch.cuda, "graph_pool_handle", lambda: handles.append(0) or (0, 1))
    network = GraphedNetwork(double)
    frames = torch.rand(2, 4)
    network(frames)
    network.release()
    network(frames)
    assert (len(handles), len(card)) == (2, 2)


def test_a_graph_that_gives_other_results_is_never_used(card, monkeypatch, caplog):
    monkeypatch.setattr(
        graphs, "_capture", lambda network, arguments, pool: Recorded(network, arguments, 1e-7)
    )
    network = GraphedNetwork(double)
    frames = torch.rand(4, 4)
    assert torch.equal(network(frames), frames * 2)
    assert torch.equal(network(frames), frames * 2)
    assert caplog.text.count("it gives other results") == 1


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError("operation not permitted when stream is capturing\nmore"),
        torch.OutOfMemoryError("CUDA out of memory"),
    ],
)
def test_a_capture_that_fails_leaves_the_network_as_it_was(card, monkeypatch, caplog, error):
    tried = []

    def capture(network, arguments, pool):
        tried.append(1)
        raise error

    monkeypatch.setattr(graphs, "_capture", capture)
    network = GraphedNetwork(double)
    frames = torch.rand(4, 4)
    for _ in range(3):
        assert torch.equal(network(frames), frames * 2)
    assert len(tried) == 1
    assert caplog.text.count("without a CUDA graph") == 1


def test_a_capture_that_fails_at_its_end_lets_go_of_the_allocator(monkeypatch):
    class Capture:
        def __init__(self, *arguments, **named):
            pass

        def __enter__(self):
            pass

        def __exit__(self, *error):
            raise RuntimeError("capture was invalidated")

    ended = []
    stream = SimpleNamespace(wait_stream=lambda other: None)
    monkeypatch.setattr(graphs, "_capture_stream", lambda device: stream)
    monkeypatch.setattr(torch.cuda, "current_stream", lambda device: stream)
    monkeypatch.setattr(torch.cuda, "stream", lambda stream: nullcontext())
    monkeypatch.setattr(torch.cuda, "CUDAGraph", object)
    monkeypatch.setattr(torch.cuda, "graph", Capture)
    monkeypatch.setattr(torch._C, "_cuda_endAllocateToPool", lambda *what: ended.append(what))
    with pytest.raises(RuntimeError, match="invalidated"):
        graphs._capture(double, (torch.rand(2, 2), 3), (0, 1))
    assert ended == [(None, (0, 1))]


def test_graphs_make_room_when_a_picture_does_not_fit(card):
    def network(frames):
        if len(frames) > 4:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return frames * 2

    wrapped = GraphedNetwork(network)
    wrapped(torch.rand(2, 2))
    with pytest.raises(torch.OutOfMemoryError):
        wrapped(torch.rand(8, 2))
    wrapped(torch.rand(2, 2))
    assert len(card) == 2  # the first graph was let go of


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device")
def test_replays_on_a_card_are_bitwise_what_the_network_calculates():
    device = torch.device("cuda", 0)
    plain = torch.nn.Sequential(
        torch.nn.Conv2d(3, 64, 3, padding=1),
        torch.nn.PReLU(64),
        torch.nn.Conv2d(64, 48, 3, padding=1),
        torch.nn.PixelShuffle(4),
    )
    plain = plain.to(device, torch.half).to(memory_format=torch.channels_last)
    plain = plain.eval().requires_grad_(False)
    network = graphed(plain, device)
    with torch.inference_mode(), torch.cuda.stream(torch.cuda.Stream(device)):
        for size in ((90, 160), (45, 80), (90, 160)):
            for _ in range(3):
                frames = torch.rand(1, 3, *size, device=device).half()
                frames = frames.contiguous(memory_format=torch.channels_last)
                assert torch.equal(network(frames), plain(frames))
    assert network._works
    assert len(network._graphs) == 2
