"""Where the objects of machines, jobs and attempts lie in storage: each key has one writer.

- ``machines/<machine>/{orders,status,boot,second}``
- ``jobs/<job>/<attempt>/{grant,status,log,result,output,picture,clip.mp4,preview.mp4,frame}``
- ``jobs/<job>/sample.<extension>``
- ``jobs/<job>/parts/<number of the segment, 5 digits>-<attempt>.{nut,json}``
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable

from controller.records import Attempt

#: What a chat user cannot name by path: it may be another user's.
PRIVATE = ("input/uploads/", "jobs/", "machines/", "output/")

#: Most bytes of a picture that a machine made: what chats take (Bot API: sendPhoto).
PICTURE_BYTES = 10 * 1000**2

_SEGMENT = re.compile(r"(\d{5})-(\d{1,6})\.(nut|json)")


def machine_prefix(machine_id: str) -> str:
    return f"machines/{machine_id}/"


def job_prefix(job_id: str) -> str:
    return f"jobs/{job_id}/"


def attempt_prefix(attempt: Attempt) -> str:
    return _attempt_prefix(attempt.job, attempt.number)


def output_key(attempt: Attempt) -> str:
    """Where an attempt's output waits until it is looked at."""
    return f"{attempt_prefix(attempt)}output"


def picture_key(job_id: str, attempt: int) -> str:
    return f"{_attempt_prefix(job_id, attempt)}picture"


def clip_key(job_id: str, attempt: int) -> str:
    return f"{_attempt_prefix(job_id, attempt)}clip.mp4"


def preview_key(job_id: str, attempt: int) -> str:
    return f"{_attempt_prefix(job_id, attempt)}preview.mp4"


def frame_key(job_id: str, attempt: int) -> str:
    return f"{_attempt_prefix(job_id, attempt)}frame"


def sample_key(job_id: str, extension: str = "mp4") -> str:
    """The result of a sample, which goes with the other leftovers of its job."""
    return f"{job_prefix(job_id)}sample.{extension}"


def parts_prefix(job_id: str) -> str:
    return f"{job_prefix(job_id)}parts/"


def segment_keys(job_id: str, number: int, attempt: int) -> tuple[str, str]:
    """Content and manifest of one finished segment."""
    stem = f"{parts_prefix(job_id)}{number:05d}-{attempt}"
    return f"{stem}.nut", f"{stem}.json"


def find_segments(
    job_id: str, keys: Iterable[str], attempts: Collection[int]
) -> dict[int, tuple[str, str]]:
    """Segments of which content and manifest are there, by number; the newest attempt wins."""
    there = set(keys)
    found: dict[int, int] = {}
    for key in there:
        match = _SEGMENT.fullmatch(key.removeprefix(parts_prefix(job_id)))
        if match is None or int(match[2]) not in attempts:
            continue
        number, attempt = int(match[1]), int(match[2])
        if there.issuperset(segment_keys(job_id, number, attempt)):
            found[number] = max(attempt, found.get(number, 0))
    return {
        number: segment_keys(job_id, number, attempt) for number, attempt in sorted(found.items())
    }


def _attempt_prefix(job_id: str, attempt: int) -> str:
    return f"{job_prefix(job_id)}{attempt}/"
