"""Checks that everything is there before it is needed: one line each, with the remedy."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import sys
from collections.abc import Collection, Mapping
from pathlib import Path

from aiogram import Bot
from aiogram.client.session.aiohttp import AiohttpSession
from aiogram.client.telegram import TelegramAPIServer
from aiogram.exceptions import AiogramError, TelegramUnauthorizedError

from bot.alarm_texts import advise, describe_alarm
from bot.settings import BotSettings, load_bot_settings
from bot.texts import Texts
from controller.alerts import Severity
from controller.checkup import Finding, fail, ok, warn
from controller.data_checkup import examine_data
from controller.errands import check_deployment, examine_services, judge_deployment
from controller.errors import ControllerError, SettingsError
from controller.settings import Settings, load_settings
from remote_runner.confinement import Guard

_SAMPLE = Path(__file__).parents[2] / "data" / "samples" / "sample.mp4"
_LOW_SPACE = 5 * 10**9


async def examine(env: Mapping[str, str]) -> list[Finding]:
    """All findings, worst or not, in a fixed order."""
    findings = []
    try:
        settings = load_settings(env)
    except SettingsError as error:
        return [fail("settings", problem, "mend it in .env") for problem in error.problems]
    findings += [
        ok("settings", f"provider {settings.provider}, storage {settings.storage}"),
        _check_data(settings),
        *examine_data(settings),
        _check_space(settings),
        *await _check_runner(),
    ]
    if settings.provider == "local":
        findings.append(await _check_device(settings))
    findings += await _check_services(settings)
    findings += find_alarms(settings)
    try:
        findings += await _check_telegram(load_bot_settings(env))
    except SettingsError as error:
        remedy = "needed for noxfvr bot only; noxfvr batch and make demo work without"
        findings += [warn("telegram", problem, remedy) for problem in error.problems]
    return findings


def find_alarms(settings: Settings) -> list[Finding]:
    """What is wrong with the deployment now, in the words of the admins' chat."""
    tongue = Texts()["en"]
    try:
        alarms = judge_deployment(settings)
    except ControllerError:
        return []  # that it cannot be opened is found beside this
    level = {Severity.WARNING: warn, Severity.CRITICAL: fail}
    return [
        level[each.severity](
            f"alert {each.kind}", describe_alarm(each, tongue), advise(each, tongue)
        )
        for each in alarms
    ]


def _check_data(settings: Settings) -> Finding:
    try:
        detail = check_deployment(settings)
    except ControllerError as error:
        return fail("data", str(error), "set NOXFVR_DATA_DIR to a folder of yours")
    return ok("data", detail)


def _check_space(settings: Settings) -> Finding:
    try:
        free = shutil.disk_usage(settings.data_dir).free
    except OSError as error:
        return fail("space", str(error.strerror), "set NOXFVR_DATA_DIR to a folder of yours")
    detail = f"{free / 1e9:.1f} GB free in {settings.data_dir}"
    if free < _LOW_SPACE:
        return warn("space", detail, "results need room: free some")
    return ok("space", detail)


async def _check_services(settings: Settings) -> list[Finding]:
    try:
        return await examine_services(settings)
    except (ControllerError, OSError) as error:
        return [fail("services", str(error), "check NOXFVR_DATA_DIR and the network")]


async def _check_runner() -> list[Finding]:
    """The runner reads the shipped sample: its libraries are there and work."""
    code, output = await _run("-m", "remote_runner", "probe", str(_SAMPLE), "--json")
    if code:
        remedy = "pip install 'noxfvr[runner]', or let make do it"
        return [fail("runner", _last_line(output) or f"exit {code}", remedy)]
    try:
        answer = json.loads(_last_line(output))
        facts, guards = answer["facts"], answer["guards"]
    except (ValueError, KeyError):
        remedy = "install the runner anew: make clean"
        return [fail("runner", "its answer is not understood", remedy)]
    shown = f"{facts['codec']}, {facts['width']}x{facts['height']}"
    return [ok("runner", f"reads video ({shown})"), judge_guards(guards)]


def judge_guards(holding: Collection[str]) -> Finding:
    """What keeps a hostile video from this computer while the runner looks into it. The limits
    hold wherever it answers: it does not begin without them."""
    names = [*Guard, "limits"]
    held = [each for each in names if each == "limits" or each in holding]
    missing = [each for each in names if each not in held]
    detail = f"{', '.join(held)} hold while a video is looked into"
    if not missing:
        return ok("guards", detail)
    remedy = (
        "Linux 5.13 or newer on x86-64 or ARM64 has all of them; docs/security.md says what each "
        "keeps out"
    )
    return warn("guards", f"{detail}; not here: {', '.join(missing)}", remedy)


async def _check_device(settings: Settings) -> Finding:
    script = (
        "import torch; print(torch.cuda.get_device_name() if torch.cuda.is_available() else '')"
    )
    code, output = await _run("-c", script)
    if code:
        return fail("device", _last_line(output) or f"exit {code}", "install PyTorch")
    name = _last_line(output)
    if name:
        return ok("device", name)
    if settings.device == "cuda":
        return fail("device", "no CUDA device", "NOXFVR_DEVICE=cpu computes on the processor")
    detail = f"no CUDA device: {os.cpu_count()} processor cores compute, which is slow"
    return warn("device", detail, "fine for short clips")


async def _check_telegram(settings: BotSettings) -> list[Finding]:
    server = TelegramAPIServer.from_base(settings.api_url, is_local=settings.local_files)
    async with Bot(settings.token, session=AiohttpSession(api=server)) as bot:
        try:
            me = await bot.get_me(request_timeout=15)
        except TelegramUnauthorizedError:
            return [fail("telegram", "the token is not valid", "ask @BotFather for a new one")]
        except AiogramError as error:
            detail = f"{settings.api_url} does not answer ({type(error).__name__})"
            return [fail("telegram", detail, "check the network and TELEGRAM_API_URL")]
    users = len(settings.users | settings.admins)
    return [ok("telegram", f"@{me.username}, {users} users may use it")]


async def _run(*arguments: str) -> tuple[int, bytes]:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *arguments,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(120):
            output, errors = await process.communicate()
    except TimeoutError:
        process.kill()
        await process.wait()
        return 124, b"no answer in 120 s"
    # libraries warn there of what is no error
    return process.returncode or 0, output if process.returncode == 0 else output + errors


def _last_line(output: bytes) -> str:
    lines = output.decode(errors="replace").strip().splitlines()
    return lines[-1] if lines else ""
