"""Which models a task may ask for, by who asks, and whether the weight files are there."""

from __future__ import annotations

import contextlib
import dataclasses

from controller.errors import BadPath, BadTask, NoSuchFile, NotStored
from controller.grants import own_weights
from controller.model_names import (
    OTHERWISE,
    Kind,
    find_kind,
    is_file,
    resolve_path,
    show_reference,
)
from controller.places import PRIVATE
from controller.records import Actor
from controller.settings import Settings
from controller.storage.base import Storage
from remote_runner.protocol import INTERPOLATORS, MODELS, Task


class Weights:
    """Checks models of tasks. A model of the deployment's own choice is open to everybody."""

    def __init__(self, storage: Storage, settings: Settings) -> None:
        self._storage = storage
        self._settings = settings
        self._ours = {settings.model}
        with contextlib.suppress(BadPath):  # as it is written down in tasks
            self._ours.add(storage.parse(settings.model))

    def settle(self, task: Task, *, by: Actor) -> Task:
        """With the deployment's model where the task leaves it open, keys and paths in full.

        :class:`BadTask` for a model that is none, or that is not for this user to ask for.
        """
        if task.model == "auto":
            task = dataclasses.replace(task, model=self._settings.model)
        return dataclasses.replace(
            task,
            model=self._settle(task.model, MODELS, by),
            interpolator=self._settle(task.interpolator, INTERPOLATORS, by),
        )

    async def require(self, task: Task) -> None:
        """:class:`NoSuchFile` where a weight file that the task names is not in storage."""
        for reference in own_weights(task):
            if reference.startswith("/"):
                continue
            try:
                await self._storage.stat(reference)
            except NotStored:
                raise NoSuchFile(f"no weights at {reference}", path=reference) from None

    def _settle(self, reference: str, names: tuple[str, ...], by: Actor) -> str:
        ours = reference in self._ours
        if by.user == 0 and self._settings.provider == "local":
            reference = resolve_path(reference)
        kind = find_kind(reference, names)
        may = ours or by.admin or kind is Kind.NAME
        if kind is Kind.PATH:
            usable = self._settings.provider == "local" and is_file(reference)
            may = usable and (ours or by.user == 0)
        if kind is None or not may:
            raise _refusal(reference, names, kind)
        return self._to_key(reference, by, ours=ours) if kind is Kind.KEY else reference

    def _to_key(self, reference: str, by: Actor, *, ours: bool) -> str:
        try:
            key = self._storage.parse(reference)
        except BadPath as error:
            raise BadTask(str(error), problem=str(error)) from None
        # what a chat cannot name as a video it cannot name as a model
        if by.user and not ours and key.startswith(PRIVATE):
            raise _refusal(reference, (), Kind.KEY)
        return key


def _refusal(reference: str, names: tuple[str, ...], kind: Kind | None) -> BadTask:
    shown = show_reference(reference)
    if kind is None:
        problem = f"there is no model {shown!r}: choose one of {', '.join(names)}, or {OTHERWISE}"
    elif kind is Kind.PATH:
        problem = f"the model {shown!r} is no weight file of this computer that can be used here"
    else:
        problem = f"the model {shown!r} is not for everybody to ask for"
    return BadTask(problem, problem=problem)
