"""Promise 5: what is billed is within what is reserved, and that within what was agreed to."""

from controller import policy

_SLACK_USD = 1e-6
_ROUNDING_USD = 0.0005
_AGREED = """
    SELECT coalesce(sum(usd), 0) AS usd FROM (
        SELECT DISTINCT j.id, j.approved_usd AS usd
        FROM jobs j JOIN attempts a ON a.job = j.id JOIN machines m ON m.id = a.machine
        WHERE m.gone_at IS NULL OR m.gone_at >= ?)
"""


class Money:
    """Knows for how much each machine was to be had: what came after that was nobody's wish."""

    def __init__(self, world) -> None:
        self._world = world
        self._offered: dict[str, float] = {}
        """$ an hour, by label."""

    def check(self, rows: dict[str, dict]) -> None:
        """Look at all rows of machines, by id; at every step."""
        world, now = self._world, self._world.now()
        if world.clock.offset_s:
            return
        billed: dict[str, float] = {}
        for instance in world.vast.instances.values():
            if not instance.is_foreign:
                usd = instance.billed_usd()
                billed[instance.label] = billed.get(instance.label, 0.0) + usd
                self._offered[instance.label] = instance.offered_usd_per_hour
        for row in rows.values():
            self._offered.setdefault(row["label"], row["usd_per_hour"])
            reserved = self._find_reserved(row, now)
            # of what no listing has ever had nobody can know
            is_unknown = row["usd_per_hour"] == 0.0 and row["status"] is None
            if billed.get(row["label"], 0.0) > reserved + _SLACK_USD and not is_unknown:
                usd = billed[row["label"]]
                self._note(f"{row['label']}: ${usd:.4f} billed, ${reserved:.4f} reserved")
            if row["job"] is not None and row["state"] != "retiring":
                self._check_terms(row)
        self._check_day(rows, now)

    def is_overpriced(self, row: dict, instance) -> bool:
        """Whether a machine costs more by now than anybody has agreed to for work on it."""
        most = max(self._world.settings.max_price, row["agreed_usd_per_hour"] or 0.0)
        has_risen = instance.usd_per_hour > instance.offered_usd_per_hour + _SLACK_USD
        return has_risen and instance.usd_per_hour > most + 2 * _ROUNDING_USD

    def _find_reserved(self, row: dict, now: float) -> float:
        """The meter counts as well where an end could not be proven in time, where the host has
        raised its price, and where all is over."""
        is_late = row["gone_at"] is None and now > row["expires_at"]
        if is_late or row["gone_at"] is not None or self._has_risen(row):
            return max(row["reserved_usd"], _meter_usd(row, now))
        return row["reserved_usd"]

    def _check_terms(self, row: dict) -> None:
        """Whatever is on a machine is within what the settings, or somebody, allowed for it."""
        settings = self._world.settings
        price = row["approved_usd_per_hour"] or settings.max_price
        if row["usd_per_hour"] > price + _ROUNDING_USD and not self._has_risen(row):
            self._note(f"job {row['job']} is on a machine over its price")
        money = row["approved_usd"] or settings.job_budget
        if row["cost_usd"] + row["traffic_usd"] > money + _SLACK_USD:
            self._note(f"job {row['job']} costs more than was agreed to")
        limit_s = policy.BOOT_ALLOWANCE_S + (row["approved_s"] or settings.job_timeout_s)
        if row["ends_at"] - row["assigned_at"] > limit_s + 1:
            self._note(f"job {row['job']} may run for longer than was agreed to")

    def _check_day(self, rows: dict[str, dict], now: float) -> None:
        """By the prices that were offered, and no longer than was reserved: what a host did, or an
        end that could not be proven, is no decision of ours."""
        world, midnight = self._world, now // 86400 * 86400
        committed = sum(
            self._find_share(row)
            * (
                row["reserved_usd"]
                if row["gone_at"] is None
                else min(row["reserved_usd"], _meter_usd(row, now))
            )
            for row in rows.values()
            if row["gone_at"] is None or row["gone_at"] >= midnight
        )
        (agreed,) = world.rows(_AGREED, midnight)
        if committed > world.settings.day_budget + agreed["usd"] + _SLACK_USD:
            self._note("more is reserved than the day and those who said yes allow")

    def _find_share(self, row: dict) -> float:
        """What of a price is the one that was offered."""
        if not self._has_risen(row):
            return 1.0
        return self._offered[row["label"]] / row["usd_per_hour"]

    def _has_risen(self, row: dict) -> bool:
        return row["usd_per_hour"] > self._offered[row["label"]] + _SLACK_USD

    def _note(self, text: str) -> None:
        self._world.invariants.note(5, text)


def _meter_usd(row: dict, now: float) -> float:
    """What a machine has cost by its row."""
    seconds = (row["gone_at"] or now) - row["created_at"]
    return row["usd_per_hour"] * max(0.0, seconds) / 3600 + row["traffic_usd"]
