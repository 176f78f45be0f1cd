"""Settings as people get them wrong: in the environment, all mistakes told together.

What is loaded keeps its promises whatever was asked for. What is not comes as one error with a
line for each mistake, which names the setting and tells no secret.
"""

import math
from collections.abc import Iterable
from pathlib import Path

from bot.settings import load_bot_settings
from controller.errors import SettingsError
from controller.settings import (
    load_provider_settings,
    load_settings,
    read_environment,
)
from tests.fuzz.tally import Case, Kind, Tally

_SECRET = "K004" + "s3cr3t" * 5
GOOD = {
    "TELEGRAM_BOT_TOKEN": "42:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", "TELEGRAM_ADMINS": "1, 2",
    "TELEGRAM_USERS": "3", "TELEGRAM_API_URL": "https://api.telegram.org",
    "TELEGRAM_LOCAL_FILES": "false", "VAST_API_KEY": _SECRET, "VAST_URL": "https://console.vast.ai",
    "B2_BUCKET": "videos", "B2_KEY": _SECRET, "B2_SECRET": _SECRET, "B2_REGION": "us-west-004",
    "B2_ENDPOINT": "https://s3.us-west-004.backblazeb2.com", "NOXFVR_PROVIDER": "vast",
    "NOXFVR_STORAGE": "s3", "NOXFVR_DATA_DIR": "data", "NOXFVR_MAX_PRICE": "0.10",
    "NOXFVR_JOB_BUDGET": "1", "NOXFVR_DAY_BUDGET": "5", "NOXFVR_MAX_INPUT_GB": "20",
    "NOXFVR_MAX_INPUT_MIN": "240", "NOXFVR_JOB_TIMEOUT": "7200", "NOXFVR_POLL_S": "10",
    "NOXFVR_IDLE_S": "120", "NOXFVR_MAX_MACHINES": "4", "NOXFVR_SEGMENT_S": "20",
    "NOXFVR_MODEL": "starter", "NOXFVR_DEVICE": "auto", "NOXFVR_IMAGE": "img:tag",
    "NOXFVR_GIT_URL": "https://example.org/x", "NOXFVR_GIT_REF": "v1",
    "NOXFVR_PUBLIC_URL": "https://noxfvr.example", "NOXFVR_BIND": "127.0.0.1:8080",
    "NOXFVR_WEBHOOK_URL": "https://example.org/hook", "NOXFVR_WEBHOOK_SECRET": _SECRET,
    "WEBHOOK_URL": "https://example.org/hook",
}  # fmt: skip
_VALUES = (
    "", " ", "0", "-1", "1e9", "1e999", "nan", "inf", "-inf", "0x10", "1_000", "٣", "½", "²",
    "9" * 30, "9" * 5000, "x" * 70_000, "true", "None", "null", "local", "vast", "s3", "folder",
    "cuda", "auto", "--5", "5-", "-", ",", ",,1,,", "1;2", "@name", "1,2,x", "http://", "https://",
    "https://[", "https://[::1", "http://[::1]:99999", "https://a:b", "https://a:99999", "://",
    "https://user:pw@example.org", "http://example.org", "http://localhost", "ftp://x", "//x",
    "file:///etc/passwd", "example.org", "https://exa mple.org", "https://ex\tample.org",
    "https://é.example", "https://xn--", "[::1]:80", "[::1:80", "::1:80", ":80", "host:", "host:٣",
    "host:99999", "a:b:c", "host:" + "9" * 5000, "../../etc", "/dev/null/x", "\udcff\udcfe", "é",
    "\u202etxt.exe", "a\nb", "a\r\nSet-Cookie: x", "%s%n", "${HOME}", "`id`", "'; DROP TABLE--",
    "b2://bucket/x.pth", "https://x/y.pth", "https://x/y.pth#sha256=zz", "input/x.pth", "\x00",
    "https://x/y.pth#sha256=" + "0" * 64, "RealESRGAN_x2plus", "x" * 300, "a/" * 3000,
)  # fmt: skip
#: What these say decides what is asked of others.
_DECIDES = ("NOXFVR_PROVIDER", "NOXFVR_STORAGE", "NOXFVR_MODEL")


def run(tally: Tally, numbers: Iterable[int], folder: Path) -> None:
    for number in numbers:
        with tally.case(number) as case:
            env = make_environment(case)
            problems: list[str] = []
            if case.rng.random() < 0.2:
                try:
                    env = from_file(case, env, folder)
                except SettingsError as error:
                    check_problems(error, env)
                    problems += error.problems
            for load in (load_settings, load_bot_settings, load_provider_settings):
                try:
                    settings = load(env)
                except SettingsError as error:
                    check_problems(error, env)
                    problems += error.problems
                else:
                    check_loaded(settings)
            missed = [each for each in alone(env) if each not in problems]
            assert not missed, f"not told with the others: {missed}"
            if problems:
                case.refuse("SettingsError")
            else:
                case.accept()
            assert list(folder.iterdir()) == []


def make_environment(case: Case) -> dict[str, str]:
    """A right one with one to six settings wrong or gone; none is empty, as it is read."""
    rng, env = case.rng, dict(GOOD)
    for name in rng.sample(sorted(env), rng.choice((0, 1, 1, 2, 6))):
        if rng.random() < 0.15:
            del env[name]
            continue
        value = rng.choice(_VALUES)
        if rng.random() < 0.3:
            value = rng.choice((GOOD[name] + value, value + GOOD[name], GOOD[name].upper()))
        env[name] = value
        case.told += f"{name}={value[:60]!r} "
    return {name: value for name, value in env.items() if value}


def from_file(case: Case, env: dict[str, str], folder: Path) -> dict[str, str]:
    """As a ``.env`` file says it, now and then with a line that is none."""
    file = folder / ".env"
    lines = [f"{name}={value}" for name, value in env.items()]
    odd = ("", "=", "export", "A='", "# ü", "B=${C", "\x00", "[section]", "A=b=c", "\t= x")
    lines.insert(case.rng.randrange(len(lines) + 1), case.rng.choice(odd))
    file.write_bytes("\n".join(lines).encode("utf-8", "surrogateescape"))
    case.told += "in a file"
    try:
        return read_environment(file)
    finally:
        file.unlink()


def alone(env: dict[str, str]) -> list[str]:
    """What is told of each wrong value where it is the only one."""
    found = []
    for name, good in GOOD.items():
        if env.get(name, good) == good or name in _DECIDES:
            continue
        for load in (load_settings, load_bot_settings):
            try:
                load({**GOOD, name: env[name]})
            except SettingsError as error:
                found += [each for each in error.problems if each.startswith(f"{name} must")]
    return found


def check_problems(error: SettingsError, env: dict[str, str]) -> None:
    assert error.problems
    for problem in error.problems:
        assert any(name in problem for name in (*GOOD, ".env")), problem
        assert _SECRET not in problem, "a secret is told"
        token = env.get("TELEGRAM_BOT_TOKEN", "")
        assert len(token) < 20 or token not in problem, "the token is told"
        assert len(problem) < 1000, f"{len(problem)} characters: {problem[:100]}"
        assert "\n" not in problem, problem


def check_loaded(settings) -> None:
    """What the rest of the program relies on."""
    assert _SECRET not in repr(settings)
    if not hasattr(settings, "max_price"):
        return
    figures = (
        settings.max_price, settings.job_budget, settings.day_budget, settings.max_input_gb,
        settings.job_timeout_s, settings.poll_s, settings.idle_s, settings.segment_s,
    )  # fmt: skip
    assert all(math.isfinite(each) and each >= 0 for each in figures), figures
    assert settings.max_machines >= 1 and settings.max_input_bytes >= 0
    host, port = settings.bind_address
    assert host and 0 <= port <= 65535
    assert settings.runner_device in ("auto", "cuda", "cpu")
    assert settings.database.name == "noxfvr.db"


KINDS = (Kind(name="settings", count=600, quick=150, run=run, must_accept=0.1, must_refuse=0.3),)
