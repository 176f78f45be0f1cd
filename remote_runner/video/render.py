"""From decoded pictures to frames for the encoder: interpolation and enlargement on a timeline."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property

from torch import Tensor

from remote_runner.memory import try_twice
from remote_runner.models.base import Interpolator
from remote_runner.video.colour import Colours
from remote_runner.video.cuts import is_cut
from remote_runner.video.decode import Picture, orient
from remote_runner.video.enlarge import Enlarger, cut_to_window, frame_in_borders
from remote_runner.video.frames import FrameMaker, Promised
from remote_runner.video.geometry import Geometry
from remote_runner.video.signal import Signal
from remote_runner.video.source import Orientation
from remote_runner.video.timing import HOLD_S, Timeline


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """A source picture that output frames begin at, and all that was counted before it."""

    at: int
    """Ticks of the source, as in ``previous``."""
    previous: int | None = None
    """Time of the picture before it."""
    pictures: int = 0
    cuts: int = 0
    repeated: int = 0


@dataclass(frozen=True, slots=True)
class Timed:
    """A frame for the encoder and when it is shown, in ticks of the timeline."""

    frame: Promised
    at: int
    origin: Origin


class _Made:
    """Everything made of one source picture, each once and only when it is asked for."""

    def __init__(self, picture: Picture, renderer: Renderer) -> None:
        self._picture = picture
        self._renderer = renderer

    @cached_property
    def small(self) -> Tensor:
        """Thumbnail of the luma."""
        return self._picture.small(self._renderer.signal)

    @cached_property
    def rgb(self) -> Tensor:
        return self._renderer.to_rgb(self._picture)

    @cached_property
    def large(self) -> Tensor:
        return self._renderer.enlarge(self.rgb)

    # An interpolator knows a frame that it saw before by its object.
    @cached_property
    def nominal(self) -> Tensor:
        return _nominal(self.rgb)

    @cached_property
    def nominal_large(self) -> Tensor:
        return _nominal(self.large)

    @cached_property
    def frame(self) -> Promised:
        """For the encoder."""
        if self._renderer.passes_through:
            return self._renderer.frames.pass_on(self._picture)
        return self._renderer.to_frame(self.large)


@dataclass(frozen=True, slots=True)
class _Still:
    """A source picture in its place; equal ones in a row share what is made of them."""

    picture: Picture
    made: _Made
    repeats: bool


class OutOfStep(Exception):
    """The pictures are not those that work is to go on with."""


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
        colours: Colours,
        frames: FrameMaker,
    ) -> None:
        self.signal = signal
        self.frames = frames
        self._orientation = orientation
        self._geometry = geometry
        self._enlarger = enlarger
        self._interpolator = interpolator
        self._upscale_first = upscale_first
        self._colours = colours
        self._device = colours.device
        self.pictures = 0
        self.cuts = 0
        self.repeated = 0
        #: Time and end of the last picture, ticks of the source; known when all is rendered.
        self.last_at: int | None = None
        self.until: int | None = None
        # A source frame that stays as it is goes to the encoder without a detour through RGB.
        self.passes_through = (
            enlarger is None
            and orientation.is_upright
            and geometry.outer_size == (geometry.width, geometry.height)
            and output_format == signal.pix_fmt
        )

    def render(
        self,
        pictures: Iterable[Picture],
        timeline: Timeline,
        source_base: Fraction,
        *,
        begin: Origin | None = None,
    ) -> Iterator[Timed]:
        """All output frames in order. Needs inference mode.

        With ``begin``, the frames from that picture on, the same as if all had been rendered: the
        pictures then come from the one before it on. Raises :class:`OutOfStep` if they do not.
        """
        hold = HOLD_S / source_base
        step = 1
        before: _Still | None = None
        last: _Still | None = None
        if begin is not None:
            self.pictures, self.cuts, self.repeated = begin.pictures, begin.cuts, begin.repeated
        for before, first, second, after in _windows(self._stills(pictures)):
            if begin is not None and before is None:
                step = _enter(timeline, begin, first, second)
                continue
            last = first
            if second is None:
                break
            step = second.picture.at - first.picture.at
            origin = self._count(before, first)
            blend: Callable[[float], Promised] | None = None
            for slot in timeline.between(first.picture.at, second.picture.at):
                if slot.t == 0:
                    yield Timed(first.made.frame, slot.at, origin)
                    continue
                if blend is None:
                    joined = step <= hold and not self._is_cut(before, first, second, after)
                    blend = self._blend(first, second, joined=joined)
                yield Timed(blend(float(slot.t)), slot.at, origin)
        if last is not None:
            yield from self._ending(before, last, timeline, step)
        elif begin is not None:
            raise OutOfStep

    def _ending(
        self, before: _Still | None, last: _Still, timeline: Timeline, step: int
    ) -> Iterator[Timed]:
        origin = self._count(before, last)
        self.last_at = last.picture.at
        self.until = last.picture.at + (last.picture.duration or step)
        for slot in timeline.last(self.last_at, self.until):
            yield Timed(last.made.frame, slot.at, origin)

    def _count(self, before: _Still | None, first: _Still) -> Origin:
        origin = Origin(
            at=first.picture.at,
            previous=before.picture.at if before else None,
            pictures=self.pictures,
            cuts=self.cuts,
            repeated=self.repeated,
        )
        self.pictures += 1
        self.repeated += first.repeats
        return origin

    def _stills(self, pictures: Iterable[Picture]) -> Iterator[_Still]:
        previous: _Still | None = None
        for picture in pictures:
            repeats = previous is not None and picture.repeats
            made = previous.made if previous is not None and repeats else _Made(picture, self)
            previous = _Still(picture, made, repeats)
            yield previous

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
    ) -> Callable[[float], Promised]:
        """In-between frames of two neighbours. Across a cut the first stands until its end: the
        second, which sound may go with, must not be seen before its time."""
        if not joined or self._interpolator is None or first.made is second.made:
            return lambda _: first.made.frame
        if self._upscale_first:
            between = self._interpolator.between(
                first.made.nominal_large, second.made.nominal_large
            )
            return lambda t: self.to_frame(self._new(between, t))
        between = self._interpolator.between(first.made.nominal, second.made.nominal)
        return lambda t: self.to_frame(self.enlarge(self._new(between, t)))

    def _new(self, between: Callable[[float], Tensor], t: float) -> Tensor:
        return try_twice(lambda: between(t)[0], self._device)

    def to_rgb(self, picture: Picture) -> Tensor:
        rgb = orient(self._colours.to_rgb(picture.planes()), self._orientation)
        return cut_to_window(rgb, self._geometry)

    def enlarge(self, rgb: Tensor) -> Tensor:
        return self._enlarger(rgb) if self._enlarger else rgb

    def to_frame(self, inner: Tensor) -> Promised:
        """RGB of the inner size → a frame of the outer size in the output format."""
        return self.frames.make(frame_in_borders(inner, self._geometry))


def _enter(timeline: Timeline, begin: Origin, first: _Still, second: _Still | None) -> int:
    """Skip the pair before the beginning; the ticks between the two."""
    if second is None or (first.picture.at, second.picture.at) != (begin.previous, begin.at):
        raise OutOfStep
    timeline.enter(first.picture.at, second.picture.at)
    return second.picture.at - first.picture.at


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
