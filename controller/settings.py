"""Settings from the environment or a ``.env`` file, validated once, all mistakes at once."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar
from urllib.parse import SplitResult, urlsplit

from dotenv import dotenv_values

from controller.errors import SettingsError
from controller.model_names import (
    OTHERWISE,
    Kind,
    find_kind,
    is_file,
    resolve_path,
    show_reference,
)
from remote_runner.protocol import MODELS

T = TypeVar("T")

_LOCAL = ("127.0.0.1", "localhost", "::1")
_ID = re.compile("-?[0-9]{1,18}")
_PORT = re.compile("[0-9]{1,5}")
_SHOWN = 80
"""Characters of a wrong value that are repeated."""

#: An image with Python, PyTorch and CUDA; the tag names the CUDA release, which decides the cards
#: and drivers that will do.
IMAGE = "pytorch/pytorch:2.11.0-cuda12.8-cudnn9-runtime"

BIND = "127.0.0.1:8080"
LOG_FORMATS = ("text", "json")
LOG_LEVELS = ("debug", "info", "warning", "error")


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What the controller needs to know. Money in US dollars, times in seconds, GB are 10⁹."""

    provider: str = "local"
    storage: str = "folder"
    data_dir: Path = Path("data")
    max_price: float = 0.10
    job_budget: float = 1.00
    day_budget: float = 5.00
    max_input_gb: float = 20.0
    max_input_min: float = 240.0
    job_timeout_s: float = 7200.0
    poll_s: float = 10.0
    idle_s: float = 120.0
    max_machines: int = 4
    segment_s: float = 20.0
    backup_s: float = 0.0
    """How often the database is copied where it has changed; 0 for never. From the environment it
    is six hours if nothing is said."""
    backup_gb: float = 1.0
    """What all copies may take; the newest stays in any case."""
    model: str = "auto"
    device: str = "auto"
    vast_api_key: str = field(default="", repr=False)
    vast_url: str = "https://console.vast.ai"
    b2_bucket: str = ""
    b2_key: str = field(default="", repr=False)
    b2_secret: str = field(default="", repr=False)
    b2_endpoint: str = ""
    b2_region: str = ""
    image: str = IMAGE
    git_url: str = ""
    git_ref: str = ""
    webhook_url: str = ""
    webhook_secret: str = field(default="", repr=False)
    public_url: str = ""
    """Where people's browsers reach this program's pages; empty where they cannot."""
    bind: str = BIND
    """``host:port`` that the pages are served on."""
    log_format: str = "text"
    log_level: str = ""
    """Empty for what suits the command: ``info`` for the bot, ``error`` for the others."""
    secrets: tuple[str, ...] = field(default=(), repr=False)
    """Every secret value, for the log filter; never shown."""

    @property
    def runner_device(self) -> str:
        """What a runner is told to compute with: a rented machine never falls back to its CPU."""
        return "cuda" if self.device == "auto" and self.provider != "local" else self.device

    @property
    def max_input_bytes(self) -> int:
        return int(self.max_input_gb * 1e9)

    @property
    def bind_address(self) -> tuple[str, int]:
        host, _, port = self.bind.rpartition(":")
        return host.strip("[]"), int(port)

    @property
    def must_serve(self) -> bool:
        """Whether somebody counts on the pages; else they are left out where the port is taken."""
        return bool(self.public_url) or self.bind != BIND

    @property
    def database(self) -> Path:
        return self.data_dir / "noxfvr.db"

    @property
    def backups_dir(self) -> Path:
        return self.data_dir / "backups"

    @property
    def logs_dir(self) -> Path:
        return self.data_dir / "logs"

    @property
    def work_dir(self) -> Path:
        return self.data_dir / "work"

    @property
    def storage_dir(self) -> Path:
        return self.data_dir / "storage"


_LONGEST_LIFE_S = 6 * 86400.0

SECRET_NAMES = (
    "TELEGRAM_BOT_TOKEN",
    "VAST_API_KEY",
    "B2_KEY",
    "B2_SECRET",
    "NOXFVR_WEBHOOK_SECRET",
)


def read_environment(env_file: Path = Path(".env")) -> dict[str, str]:
    """The process's environment over the ``.env`` file; empty values count as unset.

    :class:`SettingsError` where that file cannot be read.
    """
    try:
        merged = {**dotenv_values(env_file), **os.environ}
    except UnicodeDecodeError:
        raise SettingsError([f"{env_file} must be text in UTF-8"]) from None
    except OSError as error:
        raise SettingsError([f"{env_file} cannot be read: {error.strerror}"]) from None
    return {name: value for name, value in merged.items() if value}


def load_settings(env: Mapping[str, str]) -> Settings:
    """Validate; :class:`SettingsError` has every mistake at once."""
    reader = Reader(env)
    provider = reader.choice("NOXFVR_PROVIDER", "local", ("local", "vast"))
    storage = reader.choice("NOXFVR_STORAGE", "folder", ("folder", "s3"))
    if provider == "vast" and storage == "folder":
        reader.problems.append(
            "NOXFVR_PROVIDER=vast needs NOXFVR_STORAGE=s3: a rented machine cannot reach a folder"
        )
    settings = {
        "provider": provider,
        "storage": storage,
        "data_dir": Path(env.get("NOXFVR_DATA_DIR", "data")).absolute(),
        "max_price": reader.number("NOXFVR_MAX_PRICE", 0.10, low=0, high=100),
        "job_budget": reader.number("NOXFVR_JOB_BUDGET", 1.00, low=0, high=10_000),
        "day_budget": reader.number("NOXFVR_DAY_BUDGET", 5.00, low=0, high=100_000),
        "max_input_gb": reader.number("NOXFVR_MAX_INPUT_GB", 20, low=0.000_001, high=1000),
        "max_input_min": reader.number("NOXFVR_MAX_INPUT_MIN", 240, low=0.01, high=10_000),
        "job_timeout_s": reader.number("NOXFVR_JOB_TIMEOUT", 7200, low=1, high=30 * 86400),
        # a folder and a local process cost nothing to look at
        "poll_s": reader.number(
            "NOXFVR_POLL_S", 1 if provider == "local" else 10, low=0.05, high=600
        ),
        "idle_s": reader.number("NOXFVR_IDLE_S", 120, low=0, high=86400),
        "max_machines": reader.whole("NOXFVR_MAX_MACHINES", 4, low=1, high=1000),
        "segment_s": reader.number("NOXFVR_SEGMENT_S", 20, low=1, high=60),
        "backup_s": reader.number("NOXFVR_BACKUP_S", 6 * 3600, low=0, high=30 * 86400),
        "backup_gb": reader.number("NOXFVR_BACKUP_GB", 1, low=0, high=10_000),
        "model": reader.model("NOXFVR_MODEL", "auto", may_be_file=provider == "local"),
        "device": reader.choice("NOXFVR_DEVICE", "auto", ("auto", "cuda", "cpu")),
        **_vast(reader, needed=provider == "vast"),
        **_b2(reader, needed=storage == "s3"),
        **_webhook(reader),
        "public_url": reader.url("NOXFVR_PUBLIC_URL", ""),
        "bind": reader.address("NOXFVR_BIND", BIND),
        **_logging(reader),
        "image": env.get("NOXFVR_IMAGE", IMAGE),
        "git_url": reader.url("NOXFVR_GIT_URL", ""),
        "git_ref": env.get("NOXFVR_GIT_REF", ""),
        "secrets": tuple(env[name] for name in SECRET_NAMES if name in env),
    }
    life_s = float(settings["job_timeout_s"]) + float(settings["idle_s"])  # type: ignore[arg-type]
    if storage == "s3" and life_s > _LONGEST_LIFE_S:
        reader.problems.append(
            "NOXFVR_JOB_TIMEOUT and NOXFVR_IDLE_S must be 6 days at most in all: the addresses "
            "that a machine is given end after 7"
        )
    if env.get("NOXFVR_GIT_URL") and not env.get("NOXFVR_GIT_REF"):
        reader.problems.append("NOXFVR_GIT_URL needs NOXFVR_GIT_REF: a tag or commit, so that "
                               "every machine runs the same")  # fmt: skip
    if reader.problems:
        raise SettingsError(reader.problems)
    return Settings(**settings)  # type: ignore[arg-type]


def load_provider_settings(env: Mapping[str, str]) -> Settings:
    """Only what is needed to reach the rented machines: for the reaper, which may have no more."""
    reader = Reader(env)
    settings = {
        "provider": "vast",
        "data_dir": Path(env.get("NOXFVR_DATA_DIR", "data")).absolute(),
        **_vast(reader, needed=True),
        **_logging(reader),
        "secrets": tuple(env[name] for name in SECRET_NAMES if name in env),
    }
    if reader.problems:
        raise SettingsError(reader.problems)
    return Settings(**settings)  # type: ignore[arg-type]


def _vast(reader: Reader, *, needed: bool) -> dict[str, str]:
    return {
        "vast_api_key": reader.text(
            "VAST_API_KEY", needed_for="NOXFVR_PROVIDER=vast", needed=needed
        ),
        "vast_url": reader.url("VAST_URL", "https://console.vast.ai"),
    }


def _logging(reader: Reader) -> dict[str, str]:
    return {
        "log_format": reader.choice("NOXFVR_LOG_FORMAT", "text", LOG_FORMATS),
        "log_level": reader.choice("NOXFVR_LOG_LEVEL", "", LOG_LEVELS),
    }


def _b2(reader: Reader, *, needed: bool) -> dict[str, str]:
    why = "NOXFVR_STORAGE=s3"
    endpoint = reader.url("B2_ENDPOINT", "", needed_for=why, needed=needed)
    return {
        "b2_bucket": reader.text("B2_BUCKET", needed_for=why, needed=needed),
        "b2_key": reader.text("B2_KEY", needed_for=why, needed=needed),
        "b2_secret": reader.text("B2_SECRET", needed_for=why, needed=needed),
        "b2_endpoint": endpoint,
        "b2_region": reader.env.get("B2_REGION", "") or _region(endpoint),
    }


def _region(endpoint: str) -> str:
    """``https://s3.us-west-004.backblazeb2.com`` names its region."""
    url = split_url(endpoint)
    parts = (url.hostname or "").split(".") if url else []
    return parts[1] if len(parts) > 2 and parts[0] == "s3" else "us-east-1"


def _webhook(reader: Reader) -> dict[str, str]:
    name = "NOXFVR_WEBHOOK_URL" if reader.env.get("NOXFVR_WEBHOOK_URL") else "WEBHOOK_URL"
    url = reader.url(name, "")
    secret = reader.text("NOXFVR_WEBHOOK_SECRET", needed_for=name, needed=bool(url))
    return {"webhook_url": url, "webhook_secret": secret}


def split_url(value: str) -> SplitResult | None:
    """None for what is no URL of a host."""
    try:
        parts = urlsplit(value)
        parts.port  # noqa: B018 - looking at it is what finds that it is none
    except ValueError:
        return None
    is_clean = value.isprintable() and " " not in value
    return parts if is_clean and parts.hostname else None


def show(value: str) -> str:
    """What was given, for the line that says what is wrong with it; cut where it is long."""
    return f"{value!r}" if len(value) <= _SHOWN else f"{value[:_SHOWN]!r}…"


class Reader:
    """Reads typed values by name and collects what is wrong with them in ``problems``."""

    def __init__(self, env: Mapping[str, str]) -> None:
        self.env = env
        self.problems: list[str] = []

    def choice(self, name: str, default: str, allowed: tuple[str, ...]) -> str:
        value = self.env.get(name, default)
        if name in self.env and value not in allowed:
            self.problems.append(f"{name} must be one of {', '.join(allowed)}, not {show(value)}")
        return value

    def number(self, name: str, default: float, *, low: float, high: float) -> float:
        return self._parse(name, default, float, "a number", low=low, high=high)

    def whole(self, name: str, default: int, *, low: int, high: int) -> int:
        return self._parse(name, default, int, "a whole number", low=low, high=high)

    def ids(self, name: str) -> frozenset[int]:
        """Numeric ids, comma separated."""
        parts = [part.strip() for part in self.env.get(name, "").split(",") if part.strip()]
        wrong = [part for part in parts if not _ID.fullmatch(part)]
        if wrong:
            self.problems.append(
                f"{name} must be numeric ids, comma separated, not {show(wrong[0])}"
            )
        return frozenset(int(part) for part in parts if part not in wrong)

    def text(self, name: str, *, needed_for: str, needed: bool) -> str:
        value = self.env.get(name, "")
        if needed and not value:
            self.problems.append(f"{name} is needed for {needed_for}")
        return value

    def url(self, name: str, default: str, *, needed_for: str = "", needed: bool = False) -> str:
        """An http(s) URL without the slash at its end; plain http to this computer only."""
        value = self.env.get(name, default).rstrip("/")
        if needed and not value:
            self.problems.append(f"{name} is needed for {needed_for}")
            return value
        if value and "://" not in value:
            value = f"https://{value}"
        parts = split_url(value)
        if parts is not None and "@" in parts.netloc:
            self.problems.append(f"{name} must not hold a user name or password")
            return ""
        schemes = ("http", "https") if parts and parts.hostname in _LOCAL else ("https",)
        if value and (parts is None or parts.scheme not in schemes):
            self.problems.append(f"{name} must be an https URL, not {show(value)}")
        return value

    def address(self, name: str, default: str) -> str:
        """``host:port``; the host of IPv6 in brackets. Port 0 is any that is free."""
        value = self.env.get(name, default)
        host, _, port = value.rpartition(":")
        bare = host.removeprefix("[").removesuffix("]")
        is_whole = bare and (":" not in bare or host.startswith("["))
        if not is_whole or not _PORT.fullmatch(port) or int(port) > 65535:
            self.problems.append(f"{name} must be host:port, like {default}, not {show(value)}")
            return default
        return value

    def model(self, name: str, default: str, *, may_be_file: bool) -> str:
        """A name of the catalog, a weight file in storage or on the web, or a file of this
        computer's that only it can read."""
        value = self.env.get(name, default)
        if may_be_file:
            value = resolve_path(value)
        kind = find_kind(value, MODELS)
        if kind is None or (kind is Kind.PATH and not (may_be_file and is_file(value))):
            shown = show(show_reference(value))
            known = ", ".join(MODELS)
            self.problems.append(f"{name} must be one of {known}, {OTHERWISE}; not {shown}")
        return value

    def flag(self, name: str) -> bool:
        return self.choice(name, "false", ("true", "false", "1", "0")) in ("true", "1")

    def _parse(
        self,
        name: str,
        default: T,
        kind: Callable[[str], T],
        what: str,
        *,
        low: float,
        high: float,
    ) -> T:
        text = self.env.get(name)
        if text is None:
            return default
        try:
            value = kind(text)
        except ValueError:
            self.problems.append(f"{name} must be {what}, not {show(text)}")
            return default
        if not low <= value <= high:  # type: ignore[operator]
            self.problems.append(f"{name} must be from {low:g} to {high:g}, not {show(text)}")
        return value
