"""The settings of a task: what can be chosen for each, and what a choice does. Pure.

Codes stand in buttons. What :meth:`Task.problems` refuses is never offered, nor what would make
the picture of a known video smaller or its motion coarser.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from enum import StrEnum
from fractions import Fraction

from remote_runner.protocol import (
    DENOISABLE,
    INTERPOLATORS,
    MODELS,
    SAME_FPS,
    Facts,
    Mode,
    Task,
    parse_fps,
)

AUTO = "auto"


class Setting(StrEnum):
    """One thing that can be chosen."""

    MODE = "mode"
    SIZE = "size"
    RATE = "rate"
    MODEL = "model"
    BETWEEN = "between"
    CODEC = "codec"
    CONTAINER = "container"
    QUALITY = "quality"
    DENOISE = "denoise"


class Quality(StrEnum):
    """How much of the picture the encoder keeps."""

    SMALL = "small"
    NORMAL = "normal"
    HIGH = "high"


#: By codec; none is the encoder's default here. H.264 is what ``auto`` mostly is.
_CRF: dict[str, dict[Quality, int | None]] = {
    "h264": {Quality.SMALL: 24, Quality.NORMAL: None, Quality.HIGH: 14},
    "hevc": {Quality.SMALL: 26, Quality.NORMAL: None, Quality.HIGH: 16},
    "av1": {Quality.SMALL: 38, Quality.NORMAL: None, Quality.HIGH: 22},
}
_SIZES = ("x2", "x4", "720p", "1080p", "1440p", "4k")
_RATES = ("f2", "f4", "50", "60", SAME_FPS)
_CODECS = (AUTO, "h264", "hevc", "av1")
_CONTAINERS = (AUTO, "mp4", "mkv")
_DENOISE: dict[str, float | None] = {"none": 0.0, "half": 0.5, "full": None}
_CODES: dict[Setting, tuple[str, ...]] = {
    Setting.MODE: tuple(Mode),
    Setting.SIZE: _SIZES,
    Setting.RATE: _RATES,
    Setting.MODEL: MODELS,
    Setting.BETWEEN: INTERPOLATORS,
    Setting.CODEC: _CODECS,
    Setting.CONTAINER: _CONTAINERS,
    Setting.QUALITY: tuple(Quality),
    Setting.DENOISE: tuple(_DENOISE),
}


def list_settings(task: Task) -> list[Setting]:
    """The settings that mean something for a task, in the order of a page."""
    meant = {
        Setting.SIZE: task.mode.upscales,
        Setting.MODEL: task.mode.upscales,
        Setting.DENOISE: task.mode.upscales and task.model == DENOISABLE,
        Setting.RATE: task.mode.interpolates,
        Setting.BETWEEN: task.mode.interpolates,
    }
    return [each for each in Setting if meant.get(each, True)]


def list_codes(setting: Setting, task: Task, facts: Facts | None = None) -> list[str]:
    """What can be chosen for a setting; the present value among it where it is one of them."""
    if setting not in list_settings(task):
        return []
    chosen = find_code(setting, task)
    return [
        code
        for code in _CODES[setting]
        if code == chosen or is_sensible(choose(setting, code, task), facts)
    ]


def list_common_codes(setting: Setting, task: Task, files: Sequence[Facts]) -> list[str]:
    """The same for several files: what goes with each, as far as the task suits it now."""
    # of hundreds of files most are alike
    kinds = {(each.width, each.height, each.sar, each.fps): each for each in files}
    offered = [list_codes(setting, fit_task(task, each), each) for each in kinds.values()]
    chosen = find_code(setting, task)
    return [
        code
        for code in list_codes(setting, task)
        if code == chosen or all(code in codes for codes in offered)
    ]


def choose_offered(
    setting: Setting | None, code: str | None, task: Task, files: Sequence[Facts]
) -> Task | None:
    """The task with a value that may be chosen for these files now, else None; no setting: all
    as usual."""
    if setting is None:
        return Task()
    if code is None or code not in list_common_codes(setting, task, files):
        return None
    return choose(setting, code, task)


def choose(setting: Setting, code: str, task: Task) -> Task:
    """The task with another value; what no longer goes with it follows. ValueError: no code."""
    if code not in _CODES[setting]:
        raise ValueError(f"{setting} has no {code}")
    match setting:
        case Setting.MODE:
            return dataclasses.replace(task, mode=Mode(code))
        case Setting.SIZE if code.startswith("x"):
            return dataclasses.replace(task, size=None, scale=int(code[1:]))
        case Setting.SIZE:
            return dataclasses.replace(task, size=code)
        case Setting.RATE if code.startswith("f"):
            return dataclasses.replace(task, fps=None, factor=int(code[1:]))
        case Setting.RATE:
            return dataclasses.replace(task, fps=code)
        case Setting.MODEL:
            denoise = task.denoise if code == DENOISABLE else None
            return dataclasses.replace(task, model=code, denoise=denoise)
        case Setting.BETWEEN:
            return dataclasses.replace(task, interpolator=code)
        case Setting.CODEC:
            return _with_quality(dataclasses.replace(task, codec=code), find_quality(task))
        case Setting.CONTAINER:
            return dataclasses.replace(task, container=code)
        case Setting.QUALITY:
            return _with_quality(task, Quality(code))
        case Setting.DENOISE:
            return dataclasses.replace(task, denoise=_DENOISE[code])


def find_code(setting: Setting, task: Task) -> str | None:
    """Which choice a task has; None for a value that is none of them."""
    match setting:
        case Setting.MODE:
            return task.mode
        case Setting.SIZE:
            found = f"x{task.scale}" if task.size is None else task.size.lower()
        case Setting.RATE:
            found = f"f{task.factor}" if task.fps is None else task.fps
        case Setting.MODEL:
            found = task.model
        case Setting.BETWEEN:
            found = task.interpolator
        case Setting.CODEC:
            found = task.codec
        case Setting.CONTAINER:
            found = task.container
        case Setting.QUALITY:
            return find_quality(task)
        case Setting.DENOISE:
            return next((code for code, each in _DENOISE.items() if each == task.denoise), None)
    return found if found in _CODES[setting] else None


def find_quality(task: Task) -> Quality | None:
    """None for a factor that somebody chose in figures."""
    return next((each for each, crf in _crf_of(task).items() if crf == task.crf), None)


def is_sensible(task: Task, facts: Facts | None) -> bool:
    """Whether a task can be carried out and makes more of a video than it is."""
    if task.problems():
        return False
    return facts is None or (_enlarges(task, facts) and _smooths(task, facts))


def fit_task(task: Task, facts: Facts) -> Task:
    """A task that makes sense for a video: a size or rate that it has already gives way."""
    if not _enlarges(task, facts):
        task = dataclasses.replace(task, size=None, scale=2)
    if not _smooths(task, facts):
        task = dataclasses.replace(task, fps=None, factor=2)
    return task


def _crf_of(task: Task) -> dict[Quality, int | None]:
    return _CRF.get(task.codec, _CRF["h264"])


def _with_quality(task: Task, quality: Quality | None) -> Task:
    return dataclasses.replace(task, crf=_crf_of(task)[quality or Quality.NORMAL])


def _enlarges(task: Task, facts: Facts) -> bool:
    if not task.mode.upscales or task.size is None:
        return True
    width, height = task.target_size(facts.width, facts.height, _read_shape(facts))
    return width * height > facts.width * facts.height


def _smooths(task: Task, facts: Facts) -> bool:
    if not task.mode.interpolates or task.fps is None or task.fps == SAME_FPS:
        return True
    try:
        return parse_fps(task.fps) > Fraction(facts.fps)
    except (ValueError, ZeroDivisionError):
        return True


def _read_shape(facts: Facts) -> Fraction:
    try:
        shape = Fraction(facts.sar.replace(":", "/"))
    except (ValueError, ZeroDivisionError):
        return Fraction(1)
    return shape if shape > 0 else Fraction(1)
