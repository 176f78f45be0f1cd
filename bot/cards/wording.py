"""Phrases about videos, tasks and failures that several messages share."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from fractions import Fraction

from aiogram.utils.formatting import Code, DateTime, Text

from bot.settings import BotSettings
from bot.texts import Tongue, clean_name
from controller.errors import UserError
from controller.records import Job
from controller.settings import Settings
from controller.states import AnyReason
from remote_runner.protocol import (
    NAMED_SIZES,
    SAME_FPS,
    Facts,
    Phase,
    Result,
    Status,
    Task,
    parse_fps,
)

log = logging.getLogger(__name__)

#: Codecs as people write them.
CODEC_NAMES = {
    "h264": "H.264",
    "hevc": "HEVC",
    "av1": "AV1",
    "vp9": "VP9",
    "vp8": "VP8",
    "mpeg4": "MPEG-4",
    "mpeg2video": "MPEG-2",
    "prores": "ProRes",
}
#: Transfer characteristics of HDR, as the runner names them (ITU-R BT.2100).
_HDR = frozenset({"pq", "hlg"})
_DROPPED_SHOWN = 8


def show_name(job: Job, limit: int = 60) -> Text:
    """The user's name of the video: as code, so that no part of it becomes a link or a command."""
    return Code(clean_name(job.source_name, limit))


def show_picture(width: int, height: int) -> str:
    return f"{width}×{height}"


def show_task(task: Task, tongue: Tongue) -> str:
    """``×2 + 2× fps``, ``1920×1080``, ``4K + 60 fps``."""
    parts = []
    if task.mode.upscales:
        parts.append(_show_size(task, tongue))
    if task.mode.interpolates:
        parts.append(_show_rate(task, tongue))
    return " + ".join(parts)


def _show_size(task: Task, tongue: Tongue) -> str:
    if task.size is None:
        return tongue("task-scale", scale=task.scale)
    size = task.size.lower()
    return show_named_size(size) if size in NAMED_SIZES else size.replace("x", "×")


def show_named_size(size: str) -> str:
    """``1080p``, ``4K``."""
    return size.upper() if size.endswith("k") else size


def _show_rate(task: Task, tongue: Tongue) -> str:
    if task.fps is None:
        return tongue("task-factor", factor=task.factor)
    return tongue("task-same") if task.fps == SAME_FPS else tongue.fps(float(parse_fps(task.fps)))


def show_range(low: str, high: str, tongue: Tongue) -> str:
    """One value where both look the same."""
    return low if low == high else tongue("range", low=low, high=high)


def find_rate(facts: Facts) -> float:
    """Frames per second of a file; 0 where it is not known."""
    try:
        return float(Fraction(facts.fps))
    except (ValueError, ZeroDivisionError):
        return 0.0


def find_output_rate(job: Job) -> float:
    """Frames per second that the task asks for."""
    try:
        return float(job.task.target_fps(Fraction(job.facts.fps)))
    except (ValueError, ZeroDivisionError):
        return 0.0


def find_share(status: Status | None) -> float:
    """How much of the processing is done, 0 to 1."""
    if status is None or status.total <= 0:
        return 1.0 if status and status.phase in (Phase.VERIFYING, Phase.UPLOADING) else 0.0
    if status.phase is Phase.PROCESSING:
        return min(1.0, status.done / status.total)
    return 0.0 if status.phase in (Phase.STARTING, Phase.FETCHING) else 1.0


def describe_facts(facts: Facts, tongue: Tongue) -> list[str]:
    """Lines about a file: picture and length, what is unusual, its other streams."""
    first = [
        show_picture(facts.width, facts.height),
        tongue.fps(find_rate(facts)),
        tongue.duration(facts.duration_s),
        CODEC_NAMES.get(facts.codec, clean_name(facts.codec, 20)),
        tongue.size(facts.bytes),
    ]
    none = tongue("plan-none")
    audio = ", ".join(clean_name(each, 20) for each in facts.audio[:6])
    subtitles = ", ".join(clean_name(each, 20) for each in facts.subtitles[:6])
    lines = [" · ".join(first)]
    if special := _find_special(facts, tongue):
        lines.append(" · ".join(special))
    lines.append(tongue("plan-audio", list=audio or none))
    lines.append(tongue("plan-subtitles", list=subtitles or none))
    return lines


def describe_reason(reason: AnyReason | None, tongue: Tongue) -> str:
    return tongue(f"reason-{reason or 'internal'}")


def describe_error(
    error: UserError, tongue: Tongue, settings: Settings, bot_settings: BotSettings
) -> str:
    """What a user did wrong and what to do now: the text of the error's code."""
    values: dict[str, str | int | float] = {
        "max_size": tongue.size(settings.max_input_bytes),
        "max_time": tongue.duration(settings.max_input_min * 60),
        "limit": show_limit(bot_settings.download_limit, tongue),
        "paths": show_paths(settings, tongue),
    }
    if isinstance(size := error.data.get("size"), int):
        values["size"] = tongue.size(size)
    key = f"error-{error.code}"
    if not tongue.has(key):
        log.error("error code %s has no text", error.code)
        key = "error-error"
    return tongue(key, **values)


def show_limit(count: int, tongue: Tongue) -> str:
    """A limit of the platform, which counts in 1024: ``20 MB``."""
    return tongue("size-mb", value=tongue.number(count / 1024**2, 0))


def show_paths(settings: Settings, tongue: Tongue) -> str:
    """Examples of paths in the storage that there is."""
    return tongue("paths-s3" if settings.storage == "s3" else "paths-folder")


def describe_notes(notes: Iterable[str], result: Result | None, tongue: Tongue) -> list[str]:
    """What was left out, first, assumed or converted: a line each.

    Codes come from a rented machine.
    """
    lines = []
    if result and result.dropped:
        names = [clean_name(each, 30) for each in result.dropped[:_DROPPED_SHOWN]]
        if (more := len(result.dropped) - _DROPPED_SHOWN) > 0:
            names.append(f"+{more}")
        lines.append(tongue("result-dropped", list=", ".join(names)))
    return lines + [_describe_note(note, tongue) for note in dict.fromkeys(notes)]


def show_moment(at: float, now: float, tongue: Tongue) -> Text:
    """A time that the client shows as relative and keeps up to date; old ones show the words."""
    away = tongue.duration(abs(at - now))
    words = tongue("when-in" if at > now else "when-ago", time=away)
    return DateTime(words, unix_time=int(at), date_time_format="r")


def _find_special(facts: Facts, tongue: Tongue) -> list[str]:
    found = []
    if facts.vfr:
        found.append(tongue("fact-vfr"))
    if facts.interlaced:
        found.append(tongue("fact-interlaced"))
    if facts.transfer in _HDR:
        found.append(tongue("fact-hdr"))
    if facts.bit_depth > 8:
        found.append(tongue("fact-bits", value=facts.bit_depth))
    if facts.chapters:
        found.append(tongue("fact-chapters", count=facts.chapters))
    return found


def _describe_note(note: str, tongue: Tongue) -> str:
    code, _, value = note.partition(":")
    if code.replace("_", "").isalnum() and code.isascii() and tongue.has(f"note-{code}"):
        return tongue(f"note-{code}", value=clean_name(value, 40))
    log.warning("note code %s has no text", clean_name(code, 40))
    return tongue("note-other", value=clean_name(note, 60))
