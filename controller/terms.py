"""What a job may cost and take: the deployment's limits, or what was agreed to for it alone."""

from __future__ import annotations

import math

from controller.records import Job
from controller.settings import Settings

LONGEST_ATTEMPT_S = 5 * 86400.0
"""The addresses that a machine is given end after seven days, and it boots and waits as well."""

ROUNDING_USD = 0.0005
"""Prices of offers and of instances differ by so much for no reason."""


def price_cap(job: Job, settings: Settings) -> float:
    """Dollars an hour, all in, that a machine for this job may cost."""
    agreed = job.approved_usd_per_hour
    return settings.max_price if agreed is None else agreed


def money_cap(job: Job, settings: Settings) -> float:
    """Dollars that all attempts at this job may cost together."""
    return settings.job_budget if job.approved_usd is None else job.approved_usd


def time_limit_s(job: Job, settings: Settings) -> float:
    """How long one attempt may run, from its first sign of life."""
    return settings.job_timeout_s if job.approved_s is None else job.approved_s


def round_price(usd_per_hour: float) -> float:
    """Up to a tenth of a cent, as prices are shown: what was seen is what was agreed to."""
    return math.ceil(round(usd_per_hour * 1000, 6)) / 1000


def round_usd(usd: float) -> float:
    """Up to a cent."""
    return math.ceil(round(usd * 100, 6)) / 100
