"""Everything that is decided, tried and loaded before the first frame of a video."""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

import torch

from remote_runner.devices import choose_device
from remote_runner.errors import InputError
from remote_runner.models.base import Interpolator, Upscaler
from remote_runner.protocol import Facts, Reason, Task
from remote_runner.video.containers import MuxPlan, plan_mux
from remote_runner.video.decode import Decoder
from remote_runner.video.encode import EncoderPlan, output_format, plan_encoder, try_encoder
from remote_runner.video.enlarge import Enlarger, upscales_first
from remote_runner.video.geometry import Geometry, plan_geometry
from remote_runner.video.probe import probe
from remote_runner.video.render import Renderer
from remote_runner.video.timing import Timeline, expected_frames, plan_timeline


@dataclass(frozen=True, slots=True, kw_only=True)
class Equipment:
    """What the work is done with; networks that are not given are loaded as the task says."""

    device: str = "auto"
    upscaler: Upscaler | None = None
    interpolator: Interpolator | None = None
    cache_dir: Path | None = None


@dataclass(slots=True, kw_only=True)
class Plan:
    """One video, ready to be worked on. Holds the decoder open: :meth:`close` it."""

    source: Path
    task: Task
    facts: Facts
    device: torch.device
    decoder: Decoder
    geometry: Geometry
    timeline: Timeline
    encoder: EncoderPlan
    mux: MuxPlan
    upscaler: Upscaler | None
    interpolator: Interpolator | None
    renderer: Renderer
    total: int
    """Output frames, as far as can be told."""
    decoded: int = 0
    timings: dict[str, float] = field(default_factory=dict)

    def close(self) -> None:
        self.decoder.close()

    @property
    def model(self) -> str:
        names = [each.name for each in (self.upscaler, self.interpolator) if each is not None]
        return "+".join(names)

    def notes(self) -> tuple[str, ...]:
        """What was assumed, converted or found on the way; complete after the last frame."""
        renderer, decoder = self.renderer, self.decoder
        notes = {*self.facts.notes, *decoder.notes, *self.geometry.notes, *self.mux.notes}
        counts = {
            "damaged_packets": decoder.bad_packets,
            "frames_missing": max(0, self.facts.frames - self.decoded),
            "scene_cuts": renderer.cuts,
            "rotated": decoder.orientation.degrees,
        }
        notes |= {f"{name}:{count}" for name, count in counts.items() if count}
        if decoder.has_captions and not renderer.passes_through:
            notes.add("closed_captions_dropped")
        return tuple(sorted(notes))


def plan_work(source: Path, task: Task, equipment: Equipment, container: str | None) -> Plan:
    """Decide and try everything; ``container`` is the wish for one, ``mp4`` or ``mkv``.

    Raises :class:`~remote_runner.errors.RunnerError` for whatever stands in the way.
    """
    facts = _check_task(source, task)
    device = choose_device(equipment.device)
    decoder = Decoder(source, packets=facts.frames, interlaced=facts.interlaced)
    try:
        return _plan(source, task, facts, device, decoder, equipment, container)
    except BaseException:
        decoder.close()
        raise


def _check_task(source: Path, task: Task) -> Facts:
    if problems := task.problems():
        raise InputError(Reason.BAD_TASK, "; ".join(problems))
    facts = probe(source)
    if task.fps is None or task.mode.upscales or facts.vfr:
        return facts
    if task.target_fps(Fraction(facts.fps)) == Fraction(facts.fps):
        raise InputError(Reason.NOTHING_TO_DO, f"the video has {facts.fps} frames per second")
    return facts


def _plan(  # noqa: PLR0917 - one call, right above
    source: Path,
    task: Task,
    facts: Facts,
    device: torch.device,
    decoder: Decoder,
    equipment: Equipment,
    container: str | None,
) -> Plan:
    sar = Fraction(facts.sar.replace(":", "/"))
    geometry = plan_geometry(task, facts.width, facts.height, sar, decoder.signal.chroma)
    rate = task.target_fps(Fraction(facts.fps))
    timeline = plan_timeline(task, rate, decoder.time_base, decoder.start)
    total = expected_frames(task, facts)
    encoder = plan_encoder(
        task,
        decoder.signal,
        geometry,
        rate=rate,
        time_base=timeline.time_base,
        frames=total,
        side_data=decoder.side_data,
    )
    try_encoder(encoder)
    mux = plan_mux(source, encoder, container)
    upscaler = _choose_upscaler(task, device, equipment)
    interpolator = _choose_interpolator(task, equipment)
    return Plan(
        source=source,
        task=task,
        facts=facts,
        device=device,
        decoder=decoder,
        geometry=geometry,
        timeline=timeline,
        encoder=encoder,
        mux=mux,
        upscaler=upscaler,
        interpolator=interpolator,
        renderer=_build_renderer(decoder, geometry, device, upscaler, interpolator),
        total=total,
    )


def _choose_upscaler(task: Task, device: torch.device, equipment: Equipment) -> Upscaler | None:
    if not task.mode.upscales or equipment.upscaler is not None:
        return equipment.upscaler if task.mode.upscales else None
    from remote_runner.models.load import load_upscaler  # noqa: PLC0415 - only where it is needed

    return load_upscaler(task.model, device, cache_dir=equipment.cache_dir)


def _choose_interpolator(task: Task, equipment: Equipment) -> Interpolator | None:
    if not task.mode.interpolates or equipment.interpolator is not None:
        return equipment.interpolator if task.mode.interpolates else None
    from remote_runner.models.flow import FlowInterpolator  # noqa: PLC0415 - only where needed

    return FlowInterpolator()


def _upscales_first(
    upscaler: Upscaler | None, interpolator: Interpolator | None, geometry: Geometry
) -> bool:
    if upscaler is None or interpolator is None:
        return upscaler is not None
    return upscales_first(upscaler, interpolator, geometry)


def _build_renderer(
    decoder: Decoder,
    geometry: Geometry,
    device: torch.device,
    upscaler: Upscaler | None,
    interpolator: Interpolator | None,
) -> Renderer:
    return Renderer(
        signal=decoder.signal,
        orientation=decoder.orientation,
        geometry=geometry,
        enlarger=Enlarger(upscaler, geometry) if upscaler is not None else None,
        interpolator=interpolator,
        upscale_first=_upscales_first(upscaler, interpolator, geometry),
        output_format=output_format(decoder.signal),
        device=device,
    )
