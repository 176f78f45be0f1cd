"""The four things that are offered with one press each."""

from __future__ import annotations

import dataclasses
from enum import StrEnum
from fractions import Fraction

from remote_runner.protocol import Mode, Task


class Preset(StrEnum):
    """A button of the plan card."""

    X2 = "x2"
    X4 = "x4"
    FPS2 = "fps2"
    BOTH = "both"


#: Target rates and factors are compared at a rate that no target is a multiple of.
_ANY_RATE = Fraction(997, 100)
_CHANGES: dict[Preset, tuple[Mode, int]] = {
    Preset.X2: (Mode.UPSCALE, 2),
    Preset.X4: (Mode.UPSCALE, 4),
    Preset.FPS2: (Mode.INTERP, 2),
    Preset.BOTH: (Mode.BOTH, 2),
}


def apply_preset(preset: Preset, task: Task) -> Task:
    """The task with another mode and scale; what else was chosen for it stays."""
    mode, scale = _CHANGES[preset]
    return dataclasses.replace(task, mode=mode, scale=scale, size=None, factor=2, fps=None)


def find_preset(task: Task) -> Preset | None:
    """Which preset a task is, if it is one."""
    done = task.what(_ANY_RATE)
    for preset in Preset:
        if apply_preset(preset, task).what(_ANY_RATE) == done:
            return preset
    return None
