"""Checks that everything is there before it is needed: one line each, with the remedy."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from aiogram import Bot
from aiogram.client.session.aiohttp import AiohttpSession
from aiogram.client.telegram import TelegramAPIServer
from aiogram.exceptions import AiogramError, TelegramUnauthorizedError

from bot.settings import BotSettings, load_bot_settings
from controller.errors import ControllerError, SettingsError
from controller.settings import Settings, load_settings
from controller.wiring import check_deployment

_SAMPLE = Path(__file__).parents[1] / "data" / "samples" / "sample.mp4"
_LOW_SPACE = 5 * 10**9


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that was looked at. ``level``: ok, warn or fail."""

    name: str
    level: str
    detail: str
    remedy: str = ""

    def __str__(self) -> str:
        remedy = f" → {self.remedy}" if self.remedy else ""
        return f"[{self.level.upper():<4}] {self.name}: {self.detail}{remedy}"


async def examine(env: Mapping[str, str]) -> list[Finding]:
    """All findings, worst or not, in a fixed order."""
    findings = []
    try:
        settings = load_settings(env)
    except SettingsError as error:
        return [_fail("settings", problem, "mend it in .env") for problem in error.problems]
    findings += [
        _ok("settings", f"provider {settings.provider}, storage {settings.storage}"),
        _check_data(settings),
        _check_space(settings),
        await _check_runner(),
        await _check_device(settings),
    ]
    try:
        findings += await _check_telegram(load_bot_settings(env))
    except SettingsError as error:
        findings += [
            Finding(
                name="telegram", level="warn", detail=problem,
                remedy="needed for noxfvr bot only; noxfvr batch and make demo work without",
            )
            for problem in error.problems
        ]  # fmt: skip
    return findings


def _check_data(settings: Settings) -> Finding:
    try:
        detail = check_deployment(settings)
    except ControllerError as error:
        return _fail("data", str(error), "set NOXFVR_DATA_DIR to a folder of yours")
    return _ok("data", detail)


def _check_space(settings: Settings) -> Finding:
    try:
        free = shutil.disk_usage(settings.data_dir).free
    except OSError as error:
        return _fail("space", str(error.strerror), "set NOXFVR_DATA_DIR to a folder of yours")
    detail = f"{free / 1e9:.1f} GB free in {settings.data_dir}"
    if free < _LOW_SPACE:
        return Finding(
            name="space", level="warn", detail=detail, remedy="results need room: free some"
        )
    return _ok("space", detail)


async def _check_runner() -> Finding:
    """The runner reads the shipped sample: its libraries are there and work."""
    code, output = await _run("-m", "remote_runner", "probe", str(_SAMPLE), "--json")
    if code:
        remedy = "pip install 'noxfvr[runner]', or let make do it"
        return _fail("runner", _last_line(output) or f"exit {code}", remedy)
    facts = json.loads(output)["facts"]
    return _ok("runner", f"reads video ({facts['codec']}, {facts['width']}x{facts['height']})")


async def _check_device(settings: Settings) -> Finding:
    script = (
        "import torch; print(torch.cuda.get_device_name() if torch.cuda.is_available() else '')"
    )
    code, output = await _run("-c", script)
    if code:
        return _fail("device", _last_line(output) or f"exit {code}", "install PyTorch")
    name = output.decode().strip()
    if name:
        return _ok("device", name)
    if settings.device == "cuda":
        return _fail("device", "no CUDA device", "NOXFVR_DEVICE=cpu computes on the processor")
    detail = f"no CUDA device: {os.cpu_count()} processor cores compute, which is slow"
    return Finding(name="device", level="warn", detail=detail, remedy="fine for short clips")


async def _check_telegram(settings: BotSettings) -> list[Finding]:
    server = TelegramAPIServer.from_base(settings.api_url, is_local=settings.local_files)
    async with Bot(settings.token, session=AiohttpSession(api=server)) as bot:
        try:
            me = await bot.get_me(request_timeout=15)
        except TelegramUnauthorizedError:
            return [_fail("telegram", "the token is not valid", "ask @BotFather for a new one")]
        except AiogramError as error:
            detail = f"{settings.api_url} does not answer ({type(error).__name__})"
            return [_fail("telegram", detail, "check the network and TELEGRAM_API_URL")]
    users = len(settings.users | settings.admins)
    return [_ok("telegram", f"@{me.username}, {users} users may use it")]


async def _run(*arguments: str) -> tuple[int, bytes]:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *arguments,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        async with asyncio.timeout(120):
            output, _ = await process.communicate()
    except TimeoutError:
        process.kill()
        await process.wait()
        return 124, b"no answer in 120 s"
    return process.returncode or 0, output


def _last_line(output: bytes) -> str:
    lines = output.decode(errors="replace").strip().splitlines()
    return lines[-1] if lines else ""


def _ok(name: str, detail: str) -> Finding:
    return Finding(name=name, level="ok", detail=detail)


def _fail(name: str, detail: str, remedy: str) -> Finding:
    return Finding(name=name, level="fail", detail=detail, remedy=remedy)
