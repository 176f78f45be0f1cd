"""Looks at the figures, tells the log of what is wrong, and keeps it for those who tell people.

The log comes first, and from memory: what is wrong may be the database. What is kept decides
when people are rung, so that a restart neither repeats nor forgets.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence

from controller.alarms import follow_up
from controller.alerts import Alert, AlertKind, Severity, find_alerts, list_unknown
from controller.errors import DatabaseError, ProviderError, Unclear
from controller.gauges import CREDIT, LOOKED_AT, WRITABLE, Gauges
from controller.loops.context import Context

log = logging.getLogger(__name__)

_CREDIT_S = 300.0
_CREDIT_ANSWER_S = 15.0
_LEVELS = {Severity.WARNING: logging.WARNING, Severity.CRITICAL: logging.ERROR}


class AlarmLoop:
    """One look at everything."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._gauges = Gauges(store=context.store, settings=context.settings, clock=context.clock)
        self._logged: dict[AlertKind, Severity] = {}
        self._credit_at = float("-inf")

    async def tick(self) -> int:
        """How many alarms have changed."""
        await self._look_at_credit()
        is_writable = self._try_to_write()
        now = self._context.clock()
        readings = self._gauges.read(self._context.vitals)
        alerts = find_alerts(readings, self._context.settings, now)
        unknown = list_unknown(readings, now)
        self._log(alerts, unknown)
        if readings.rows is None or not is_writable:
            return 0  # nothing can be kept; what is said of it is in the log and the figures
        alarms = self._context.store.alarms
        changed = follow_up(alarms.select(), alerts, unknown, now)
        for alarm in changed:
            alarms.save(alarm)
        for kind in AlertKind:
            if kind not in unknown:
                self._context.vitals.beat(f"{LOOKED_AT}:{kind}")
        return len(changed)

    async def _look_at_credit(self) -> None:
        """What is not told now was told before, or is not known."""
        provider, now = self._context.provider, self._context.clock()
        if not provider.rents or 0 <= now - self._credit_at < _CREDIT_S:
            return
        self._credit_at = now
        try:
            async with asyncio.timeout(_CREDIT_ANSWER_S):
                credit = await provider.credit_usd()
        except (ProviderError, Unclear, TimeoutError) as error:
            log.info("The credit is not known: %s", error or type(error).__name__)
            return
        if credit is not None:
            self._context.vitals.note(CREDIT, credit)

    def _try_to_write(self) -> bool:
        try:
            self._context.store.figures.check_writable()
        except DatabaseError as error:
            if self._context.vitals.figure(WRITABLE) != 0:
                log.warning("The database does not work: %s", error)
            self._context.vitals.note(WRITABLE, 0)
            return False
        self._context.vitals.note(WRITABLE, 1)
        return True

    def _log(self, alerts: Sequence[Alert], unknown: frozenset[AlertKind]) -> None:
        """Each once, again where it gets worse or better, and its end."""
        for alert in alerts:
            if self._logged.get(alert.kind) is not alert.severity:
                figures = ", ".join(f"{name} {value}" for name, value in alert.figures.items())
                log.log(_LEVELS[alert.severity], "Alert %s: %s", alert.kind, figures or "now")
        over = self._logged.keys() - {alert.kind for alert in alerts} - unknown
        for kind in sorted(over):
            log.info("Alert %s is over", kind)
        kept = {kind: self._logged[kind] for kind in self._logged.keys() & unknown}
        self._logged = kept | {alert.kind: alert.severity for alert in alerts}
