"""What somebody chose last: the settings that their next video begins with. A row."""

from __future__ import annotations

import dataclasses

from controller.service import Controller
from remote_runner.protocol import (
    INTERPOLATORS,
    MODELS,
    ProtocolError,
    Task,
    from_json,
    to_json,
)

_NAME = "task"


def find_task(controller: Controller, user: int) -> Task:
    """The usual one where nothing was chosen, or nothing that is known here any more."""
    chosen = controller.preference(user, _NAME)
    if not chosen:
        return Task()
    try:
        task = from_json(Task, chosen)
    except (ProtocolError, ValueError):
        return Task()
    named = task.model in MODELS and task.interpolator in INTERPOLATORS
    return task if named and not task.problems() else Task()


def save_task(controller: Controller, user: int, task: Task) -> None:
    """Weight files stay with the job they were named for."""
    kept = dataclasses.replace(
        task,
        model=task.model if task.model in MODELS else "auto",
        interpolator=task.interpolator if task.interpolator in INTERPOLATORS else "auto",
    )
    if kept.problems():
        return
    text = "" if kept == Task() else to_json(kept)
    if (controller.preference(user, _NAME) or "") != text:
        controller.set_preference(user, _NAME, text)
