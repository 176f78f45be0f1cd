"""Asks the runner what a file holds, in a process of its own with limits on all that it may use.

Uploads and results are hostile until probed: a crash, a hang or a bomb in there ends in a typed
error here.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from controller.errors import BadVideo, ControllerError
from controller.foreign import tidy, tidy_document
from remote_runner.protocol import Facts, Reason, from_json

_ANSWER_LIMIT = 1 << 20
_SLOWEST_BYTES_S = 250e3


#: Either :func:`probe` or, in tests, something that answers at once.
Prober = Callable[[Path | str, "Limits"], Awaitable[Facts]]


class ProbeError(ControllerError):
    """The probe itself could not be run: says nothing about the file."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What one input may be. Bytes, seconds of video, seconds of time for the probe."""

    max_bytes: int
    max_seconds: float
    timeout_s: float = 120.0
    """Of a file here; what is behind a URL may take longer by ``max_bytes`` at 250 kB/s."""


async def probe(source: Path | str, limits: Limits) -> Facts:
    """Facts of a file or of what a URL leads to; :class:`BadVideo` where it cannot be processed.

    :class:`ProbeError` where that could not be found out.
    """
    is_url = isinstance(source, str)
    timeout_s = limits.timeout_s + (limits.max_bytes / _SLOWEST_BYTES_S if is_url else 0.0)
    process = await asyncio.create_subprocess_exec(
        # a command line can be read by every user of this computer, and a URL is a secret
        sys.executable, "-m", "remote_runner", "probe", _argument(source), "--json",
        "--max-bytes", str(limits.max_bytes), "--max-seconds", str(limits.max_seconds),
        stdin=asyncio.subprocess.PIPE if is_url else asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
        env={name: os.environ[name] for name in _PASSED_ON if name in os.environ},
        cwd=Path(__file__).parents[1],
        start_new_session=True,
    )  # fmt: skip
    try:
        async with asyncio.timeout(timeout_s):
            if process.stdin is not None:
                await _hand_over(process.stdin, f"{source}\n")
            assert process.stdout is not None  # noqa: S101 - a pipe was asked for
            answer = await _read_answer(process.stdout)
            code = await process.wait()
    except TimeoutError:
        if is_url:
            raise ProbeError(f"it could not be read in {timeout_s:.0f} s") from None
        raise BadVideo(Reason.PROBE_LIMIT, f"no answer in {timeout_s:g} s") from None
    finally:
        if process.returncode is None:
            os.killpg(process.pid, signal.SIGKILL)
            await process.wait()
    if code < 0:
        raise BadVideo(Reason.PROBE_LIMIT, f"the probe was ended by signal {-code}")
    return _read(answer, code)


def _argument(source: Path | str) -> str:
    """``-`` for a URL. The probe runs in a folder of its own, and a name may begin with a dash."""
    return "-" if isinstance(source, str) else str(source.absolute())


#: The probe needs no more of our environment, least of all its secrets.
_PASSED_ON = ("PATH", "LANG", "VIRTUAL_ENV", "PYTHONPATH", "LD_LIBRARY_PATH", "TMPDIR")


async def _hand_over(stream: asyncio.StreamWriter, text: str) -> None:
    try:
        stream.write(text.encode())
        await stream.drain()
    except ConnectionError:  # it has ended already: its answer tells why
        pass
    finally:
        stream.close()


async def _read_answer(stream: asyncio.StreamReader) -> bytes:
    answer = b""
    while chunk := await stream.read(1 << 16):
        answer += chunk
        if len(answer) > _ANSWER_LIMIT:
            raise BadVideo(Reason.PROBE_LIMIT, "the answer is endless")
    return answer


def _read(answer: bytes, code: int) -> Facts:
    try:
        document = json.loads(answer)
        if "facts" in document:
            return _require_sense(from_json(Facts, json.dumps(document["facts"])))
        error = document["error"]
        reason, detail = Reason(error["reason"]), tidy(str(error["detail"]))
    except (ValueError, ArithmeticError, LookupError, TypeError, RecursionError) as error:
        said = tidy(str(error))
        raise ProbeError(f"exit {code} without a readable answer: {said}") from None
    if not reason.is_input_fault:
        raise ProbeError(f"{reason}: {detail}")
    raise BadVideo(reason, detail)


def _require_sense(facts: Facts) -> Facts:
    """Facts that can be counted with and shown: a file may have taken the prober over."""
    shape = Fraction(facts.sar.replace(":", "/"))
    if min(facts.width, facts.height, facts.frames, facts.duration_s) <= 0:
        raise ValueError("a film of nothing")
    if min(Fraction(facts.fps), shape) <= 0 or min(facts.bytes, facts.chapters) < 0:
        raise ValueError("figures below zero")
    return tidy_document(facts)
