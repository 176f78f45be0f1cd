"""From decoded pictures to frames for the encoder: interpolation and enlargement on a timeline."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property

import torch
from av.video.frame import VideoFrame
from torch import Tensor
from torch.utils.dlpack import from_dlpack

from remote_runner.models.base import Interpolator
from remote_runner.video.colour import Colours, small_luma
from remote_runner.video.cuts import is_cut
from remote_runner.video.decode import Picture, orient
from remote_runner.video.enlarge import Enlarger, frame_in_borders
from remote_runner.video.geometry import Geometry
from remote_runner.video.signal import Signal
from remote_runner.video.source import Orientation
from remote_runner.video.timing import HOLD_S, Timeline


@dataclass(frozen=True, slots=True)
class Timed:
    """A frame for the encoder and when it is shown, in ticks of the timeline."""

    frame: VideoFrame
    at: int
    end: int | None = None
    """Known for the last frame only; the others end where the next begins."""


class _Made:
    """Everything made of one source picture, each once and only when it is asked for."""

    def __init__(self, picture: Picture, renderer: Renderer) -> None:
        self._picture = picture
        self._renderer = renderer

    @cached_property
    def small(self) -> Tensor:
        """Thumbnail of the luma."""
        return small_luma(self._picture.planes()[0], self._renderer.signal)

    @cached_property
    def rgb(self) -> Tensor:
        return self._renderer.to_rgb(self._picture)

    @cached_property
    def large(self) -> Tensor:
        return self._renderer.enlarge(self.rgb)

    @cached_property
    def frame(self) -> VideoFrame:
        """Ready for the encoder."""
        if self._renderer.passes_through:
            return self._picture.frame
        return self._renderer.to_frame(self.large)


@dataclass(frozen=True, slots=True)
class _Still:
    """A source picture in its place; equal ones in a row share what is made of them."""

    picture: Picture
    made: _Made


class Renderer:
    """Makes the output frames of one video."""

    def __init__(
        self,
        *,
        signal: Signal,
        orientation: Orientation,
        geometry: Geometry,
        enlarger: Enlarger | None,
        interpolator: Interpolator | None,
        upscale_first: bool,
        output_format: str,
        device: torch.device,
    ) -> None:
        self.signal = signal
        self._orientation = orientation
        self._geometry = geometry
        self._enlarger = enlarger
        self._interpolator = interpolator
        self._upscale_first = upscale_first
        self._format = output_format
        self._colours = Colours(signal, device)
        self.cuts = 0
        self.repeated = 0
        # A source frame that stays as it is goes to the encoder without a detour through RGB.
        self.passes_through = (
            enlarger is None
            and orientation.is_upright
            and geometry.outer_size == (geometry.width, geometry.height)
            and output_format == signal.pix_fmt
        )

    def render(
        self, pictures: Iterable[Picture], timeline: Timeline, source_base: Fraction
    ) -> Iterator[Timed]:
        """All output frames in order; the last one knows its end. Needs inference mode."""
        hold = HOLD_S / source_base
        step = 1
        last: _Still | None = None
        for before, first, second, after in _windows(self._stills(pictures)):
            last = first
            if second is None:
                break
            step = second.picture.at - first.picture.at
            blend: Callable[[float], VideoFrame] | None = None
            for slot in timeline.between(first.picture.at, second.picture.at):
                if slot.t == 0:
                    yield Timed(first.made.frame, slot.at)
                    continue
                if blend is None:
                    joined = step <= hold and not self._is_cut(before, first, second, after)
                    blend = self._blend(first, second, joined=joined)
                yield Timed(blend(float(slot.t)), slot.at)
        if last is not None:
            yield from self._ending(last, timeline, step)

    def _ending(self, last: _Still, timeline: Timeline, step: int) -> Iterator[Timed]:
        start = last.picture.at
        end = start + (last.picture.duration or step)
        slots = timeline.last(start, end)
        for place, slot in enumerate(slots, 1):
            stop = timeline.end(end) if place == len(slots) else None
            yield Timed(last.made.frame, slot.at, stop)

    def _stills(self, pictures: Iterable[Picture]) -> Iterator[_Still]:
        previous: _Still | None = None
        for picture in pictures:
            if previous is not None and picture.equals(previous.picture):
                self.repeated += 1
                still = _Still(picture, previous.made)
            else:
                still = _Still(picture, _Made(picture, self))
            yield still
            previous = still

    def _is_cut(
        self, before: _Still | None, first: _Still, second: _Still, after: _Still | None
    ) -> bool:
        cut = is_cut(
            before.made.small if before else None,
            first.made.small,
            second.made.small,
            after.made.small if after else None,
        )
        self.cuts += cut
        return cut

    def _blend(
        self, first: _Still, second: _Still, *, joined: bool
    ) -> Callable[[float], VideoFrame]:
        """In-between frames of two neighbours. Across a cut the first stands until its end: the
        second, which sound may go with, must not be seen before its time."""
        if not joined or self._interpolator is None or first.made is second.made:
            return lambda _: first.made.frame
        if self._upscale_first:
            between = self._interpolator.between(
                _nominal(first.made.large), _nominal(second.made.large)
            )
            return lambda t: self.to_frame(between(t)[0])
        between = self._interpolator.between(_nominal(first.made.rgb), _nominal(second.made.rgb))
        return lambda t: self.to_frame(self.enlarge(between(t)[0]))

    def to_rgb(self, picture: Picture) -> Tensor:
        return orient(self._colours.to_rgb(picture.planes()), self._orientation)

    def enlarge(self, rgb: Tensor) -> Tensor:
        return self._enlarger(rgb) if self._enlarger else rgb

    def to_frame(self, inner: Tensor) -> VideoFrame:
        """RGB of the inner size → a frame of the outer size in the output format."""
        outer = frame_in_borders(inner, self._geometry)
        frame = VideoFrame(self._geometry.outer_width, self._geometry.outer_height, self._format)
        self._colours.to_planes(outer, [from_dlpack(plane) for plane in frame.planes])
        return frame


def _nominal(rgb: Tensor) -> Tensor:
    return rgb.clamp(0, 1)[None]


def _windows(
    stills: Iterator[_Still],
) -> Iterator[tuple[_Still | None, _Still, _Still | None, _Still | None]]:
    """Each still with the one before it and the two after it."""
    before, first, second = None, next(stills, None), next(stills, None)
    while first is not None:
        after = next(stills, None)
        yield before, first, second, after
        before, first, second = first, second, after
