"""Everything that is decided, tried and loaded before the first frame of a video."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

import torch

from remote_runner.assembly import build_renderer, fastest_encoder
from remote_runner.devices import choose_device, tune_card
from remote_runner.errors import InputError
from remote_runner.limits import WALL_S, in_time
from remote_runner.memory import Admission
from remote_runner.models import Engine
from remote_runner.models.base import Interpolator, Upscaler
from remote_runner.protocol import Facts, Reason, Task
from remote_runner.video.containers import MuxPlan, plan_mux
from remote_runner.video.decode import Decoder
from remote_runner.video.encode import EncoderPlan, plan_encoder, try_encoder
from remote_runner.video.fields import parity_of
from remote_runner.video.geometry import Geometry, plan_geometry
from remote_runner.video.probe import probe
from remote_runner.video.render import Renderer
from remote_runner.video.timing import Timeline, expected_frames, plan_timeline

#: The slowest that packets of a file on this machine are counted.
_SLOWEST_BYTES_S = 20e6


@dataclass(frozen=True, slots=True, kw_only=True)
class Equipment:
    """What the work is done with; networks that are not given are loaded as the task says."""

    device: str = "auto"
    engine: Engine = Engine.TORCH
    upscaler: Upscaler | None = None
    interpolator: Interpolator | None = None
    cache_dir: Path | None = None
    weights: Mapping[str, str] = field(default_factory=dict, repr=False)
    """URLs (secrets) by file name of published weights, or by an object key of the task."""
    allow_paths: bool = False
    """Whether the task may name a weight file on this machine."""


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
    admission: Admission
    total: int
    """Output frames, as far as can be told."""
    model_notes: tuple[str, ...] = ()
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
        notes.update(self.model_notes)
        counts = {
            "damaged_packets": decoder.bad_packets,
            "frames_missing": max(0, self.facts.frames - self.decoded),
            "scene_cuts": renderer.cuts,
            "rotated": decoder.orientation.degrees,
        }
        notes |= {f"{name}:{count}" for name, count in counts.items() if count}
        if decoder.has_captions and not renderer.passes_through:
            notes.add("closed_captions_dropped")
        if decoder.signal.is_hdr and self.upscaler is not None:
            notes.add("hdr_processed_as_is")
        return tuple(sorted(notes))


def plan_work(source: Path, task: Task, equipment: Equipment, container: str | None) -> Plan:
    """Decide and try everything; ``container`` is the wish for one, ``mp4`` or ``mkv``.

    Raises :class:`~remote_runner.errors.RunnerError` for whatever stands in the way.
    """
    facts = _check_task(source, task)
    device = choose_device(equipment.device)
    tune_card(device)
    decoder = Decoder(
        source,
        packets=facts.frames,
        interlaced=facts.interlaced,
        parity=parity_of(facts.notes),
        device=device,
    )
    try:
        return _plan(source, task, facts, device, decoder, equipment, container)
    except BaseException:
        decoder.close()
        raise


def _check_task(source: Path, task: Task) -> Facts:
    if problems := task.problems():
        raise InputError(Reason.BAD_TASK, "; ".join(problems))
    facts = in_time(lambda: probe(source), WALL_S + source.stat().st_size / _SLOWEST_BYTES_S)
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
    mux = plan_mux(source, encoder, container, wish=task.container)
    upscaler, upscaler_notes = _choose_upscaler(task, device, equipment)
    interpolator, interpolator_notes = _choose_interpolator(task, device, equipment)
    encoder = fastest_encoder(encoder, device, upscaler, task.preset)
    renderer, admission = build_renderer(
        decoder=decoder,
        geometry=geometry,
        encoder=encoder,
        device=device,
        upscaler=upscaler,
        interpolator=interpolator,
    )
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
        renderer=renderer,
        admission=admission,
        total=total,
        model_notes=upscaler_notes + interpolator_notes,
    )


def _choose_upscaler(
    task: Task, device: torch.device, equipment: Equipment
) -> tuple[Upscaler | None, tuple[str, ...]]:
    """The upscaler, if one is wanted, and notes about the choice."""
    if not task.mode.upscales or equipment.upscaler is not None:
        return equipment.upscaler if task.mode.upscales else None, ()
    if equipment.engine is Engine.REALESRGAN:
        from remote_runner.models.reference import load_reference  # noqa: PLC0415 - likewise

        upscaler = load_reference(
            task.model,
            device,
            weights=equipment.weights,
            allow_paths=equipment.allow_paths,
            cache_dir=equipment.cache_dir,
        )
        return upscaler, ()
    from remote_runner.models import catalog, load  # noqa: PLC0415 - only where they are needed

    def load_named(name: str) -> Upscaler:
        return load.load_upscaler(
            name,
            device,
            denoise=task.denoise,
            weights=equipment.weights,
            allow_paths=equipment.allow_paths,
            cache_dir=equipment.cache_dir,
        )

    return load.or_shipped(task.model, catalog.AUTO_UPSCALERS, device, load_named)


def _choose_interpolator(
    task: Task, device: torch.device, equipment: Equipment
) -> tuple[Interpolator | None, tuple[str, ...]]:
    """The interpolator, if one is wanted, and notes about the choice."""
    if not task.mode.interpolates or equipment.interpolator is not None:
        return equipment.interpolator if task.mode.interpolates else None, ()
    from remote_runner.models import catalog, load  # noqa: PLC0415 - only where they are needed

    def load_named(name: str) -> Interpolator:
        return load.load_interpolator(
            name,
            device,
            weights=equipment.weights,
            allow_paths=equipment.allow_paths,
            cache_dir=equipment.cache_dir,
        )

    return load.or_shipped(task.interpolator, catalog.AUTO_INTERPOLATORS, device, load_named)
