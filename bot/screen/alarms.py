"""Sees when what is wrong has changed, so that the admins' cards are looked at.

What is wrong, and when people are rung for it, are rows that the loops keep; what each admin was
shown and rung for is on the card's row. So a restart repeats nothing, and a chat that is closed
to the bot is told when it opens.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from bot.roles import find_admins
from bot.settings import BotSettings
from controller.alarms import Alarm, list_standing
from controller.errors import DatabaseFull
from controller.service import Controller

PREFIX = "alerts:"


class Alarms:
    """Remembers what was last shown, so that the same is not looked at again and again."""

    def __init__(self, controller: Controller, settings: BotSettings) -> None:
        self._controller = controller
        self._settings = settings
        self._seen: object = None

    def show(self, route: Callable[[str], None]) -> None:
        """Have the cards of all admins looked at, where rows or admins are others than before.

        :class:`DatabaseFull` where a card cannot be made; then the next call tries again, and the
        other admins' cards are looked at all the same.
        """
        alarms, admins = self._controller.alarms(), find_admins(self._controller, self._settings)
        if (alarms, admins) == self._seen:
            return
        failure: DatabaseFull | None = None
        for admin in admins:
            try:
                route(f"{PREFIX}{admin}")
            except DatabaseFull as error:
                failure = error
        if failure is not None:
            raise failure
        self._seen = (alarms, admins)


def find_ring(alarms: list[Alarm]) -> int:
    """When people were last rung for what is wrong now, in milliseconds; 0 where nothing is."""
    # what comes back soon after it rang is wrong again, and is no reason to ring again
    return max((math.floor(each.rung_at * 1000) for each in list_standing(alarms)), default=0)
