"""The one message that shows a job: a pure function of what is known about it."""

from __future__ import annotations

from bot.cards.asking import draw_held, draw_no_offer, waits_for_price
from bot.cards.ended import draw_cancelled, draw_done, draw_failed
from bot.cards.plan import draw_plan
from bot.cards.progress import SILENT_AFTER_S, draw_running, draw_waiting
from bot.cards.view import Snapshot, View
from bot.cards.wording import find_share
from bot.texts import Tongue
from controller.states import JobState

__all__ = ["SILENT_AFTER_S", "Snapshot", "View", "draw_card", "find_share"]


def draw_card(shot: Snapshot, tongue: Tongue) -> View:
    """The card of a job in any state."""
    match shot.job.state:
        case JobState.DRAFT:
            return draw_plan(shot, tongue)
        case JobState.HELD:
            return draw_held(shot, tongue)
        case JobState.QUEUED if waits_for_price(shot.job):
            return draw_no_offer(shot, tongue)
        case JobState.QUEUED:
            return draw_waiting(shot, tongue)
        case JobState.RUNNING:
            return draw_running(shot, tongue)
        case JobState.DONE:
            return draw_done(shot, tongue)
        case JobState.FAILED:
            return draw_failed(shot, tongue)
        case JobState.CANCELLED:
            return draw_cancelled(shot, tongue)
