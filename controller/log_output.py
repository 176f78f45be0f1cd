"""How the program tells its log: where to, in which form, how much."""

from __future__ import annotations

import logging

from controller.log_ids import IdFilter
from controller.redaction import JsonFormatter, RedactingFormatter
from controller.settings import Settings

_OURS = ("bot", "controller", "remote_runner")


def configure_logging(settings: Settings, *, level: int = logging.INFO) -> None:
    """To standard error, every line with its ids and redacted.

    ``level`` where the settings name none. Only our own parts ever tell details: clients of
    others would tell what they sign and send.
    """
    handler = logging.StreamHandler()
    handler.addFilter(IdFilter())
    form = "%(asctime)s %(levelname)s %(name)s: %(message)s"
    as_json = settings.log_format == "json"
    handler.setFormatter(
        JsonFormatter(settings.secrets) if as_json else RedactingFormatter(settings.secrets, form)
    )
    if settings.log_level:
        level = logging.getLevelNamesMapping()[settings.log_level.upper()]
    logging.basicConfig(level=max(level, logging.INFO), handlers=[handler], force=True)
    for name in _OURS:
        logging.getLogger(name).setLevel(level)
