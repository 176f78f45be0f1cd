"""Networks as CUDA graphs: all kernels of a run are started at once, by one call.

A graph works on buffers of its own, for inputs of one shape: those given are copied in, and the
result is copied out. It is used only where what it calculates is, bit by bit, what the network
itself calculates.
"""

from __future__ import annotations

import contextlib
import logging
from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from functools import cache
from typing import Any, TypeAlias

import torch
from torch import Tensor

from remote_runner.devices import new_stream

log = logging.getLogger(__name__)

#: Tensors, and values that decide which kernels run.
Argument: TypeAlias = Tensor | int
Network: TypeAlias = Callable[..., Tensor]
_Pool: TypeAlias = Any

#: Graphs that are kept: each holds memory for all that goes on in it. Bands come in three shapes,
#: or a few more where a network sees further than a band is high.
_MOST = 4

#: Runs before a capture: libraries choose their algorithms and take their buffers in them.
_WARM_UP = 3


def graphed(network: Network, device: torch.device) -> Network:
    """The network with graphs on a card, and itself on the processor."""
    return GraphedNetwork(network) if device.type == "cuda" else network


@dataclass(frozen=True, slots=True)
class _Graph:
    graph: torch.cuda.CUDAGraph
    inputs: list[Tensor]
    output: Tensor

    def replay(self, tensors: list[Tensor]) -> Tensor:
        for own, given in zip(self.inputs, tensors, strict=True):
            own.copy_(given)
        self.graph.replay()
        return self.output.clone()


class GraphedNetwork:
    """A network that runs as graphs on a card, and as it is on the processor.

    It takes tensors and whole numbers; the former must be on one device. Use in one thread. What
    had a graph that had to make room gets no second one: where shapes take turns, that would be a
    capture for each picture.
    """

    def __init__(self, network: Network, *, most: int = _MOST) -> None:
        self.network = network
        self._most = most
        self._graphs: OrderedDict[Hashable, _Graph] = OrderedDict()
        self._captured: set[Hashable] = set()
        self._works = True
        # Graphs may share their memory: one runs at a time, and its result is copied at once.
        self._pool: _Pool | None = None

    def __call__(self, *arguments: Argument) -> Tensor:
        tensors = [each for each in arguments if isinstance(each, Tensor)]
        if not self._works or not _on_card(tensors[0]):
            return self.network(*arguments)
        key = tuple(_key(each) for each in arguments)
        try:
            known = self._graphs.get(key)
            if known is None:
                if key in self._captured:
                    return self.network(*arguments)
                return self._first(key, arguments)
            self._graphs.move_to_end(key)
            return known.replay(tensors)
        except torch.OutOfMemoryError:
            # smaller pictures come next: what is kept for larger ones is in their way
            self.release()
            raise

    def release(self) -> None:
        """Let go of all graphs and their memory."""
        self._graphs.clear()
        self._captured.clear()
        # PyTorch does not take a pool again whose last graph is gone
        self._pool = None

    def _first(self, key: Hashable, arguments: tuple[Argument, ...]) -> Tensor:
        """The network's own result; a graph is made for the next time, if it gives the same."""
        plain = self.network(*arguments)
        while len(self._graphs) >= self._most:
            self._graphs.popitem(last=False)
        try:
            if self._pool is None:
                self._pool = torch.cuda.graph_pool_handle()
            graph = _capture(self.network, arguments, self._pool)
            tensors = [each for each in arguments if isinstance(each, Tensor)]
            same = torch.equal(graph.replay(tensors), plain)
        except torch.OutOfMemoryError:
            # the network itself did fit: no graphs, then
            self._give_up("memory does not suffice for it")
        except RuntimeError as error:
            self._give_up(str(error).partition("\n")[0])
        else:
            if same:
                self._graphs[key] = graph
                self._captured.add(key)
            else:
                self._give_up("it gives other results")
        return plain

    def _give_up(self, why: str) -> None:
        log.warning("the network runs without a CUDA graph: %s", why)
        self._works = False
        self.release()


def _on_card(tensor: Tensor) -> bool:
    return tensor.device.type == "cuda"


def _key(argument: Argument) -> Hashable:
    if isinstance(argument, Tensor):
        return tuple(argument.shape), argument.stride(), argument.dtype, argument.device
    return argument


@cache
def _capture_stream(device: torch.device) -> torch.cuda.Stream:
    """One for all captures: PyTorch gives out 32 streams again and again, and what another thread
    put into a stream that is recorded would become part of the graph."""
    return new_stream(device, urgent=True)


def _capture(network: Network, arguments: tuple[Argument, ...], pool: _Pool) -> _Graph:
    """Record one run. Only this thread may do nothing else meanwhile: others decode and copy."""
    own = [each.clone() if isinstance(each, Tensor) else each for each in arguments]
    inputs = [each for each in own if isinstance(each, Tensor)]
    device = inputs[0].device
    stream = _capture_stream(device)
    stream.wait_stream(torch.cuda.current_stream(device))
    with torch.cuda.stream(stream):
        for _ in range(_WARM_UP):
            network(*own)
    torch.cuda.current_stream(device).wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    try:
        with (
            torch.cuda.stream(torch.cuda.current_stream(device)),
            torch.cuda.graph(graph, pool, stream=stream, capture_error_mode="thread_local"),
        ):
            output = network(*own)
    except RuntimeError:
        _end_capture(device, pool)
        raise
    return _Graph(graph, inputs, output)


def _end_capture(device: torch.device, pool: _Pool) -> None:
    """A capture that fails at its very end leaves its stream current, which the caller undoes, and
    the allocator in its hands: memory that two streams used would never be given out again."""
    with contextlib.suppress(RuntimeError):  # it ended properly
        torch._C._cuda_endAllocateToPool(device.index, pool)
