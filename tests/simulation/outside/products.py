"""What a played runner makes: videos, segments, pictures and results."""

import dataclasses
import hashlib
import json
from fractions import Fraction
from typing import Any

from controller.workload import output_frames, output_size
from remote_runner.protocol import Check, Facts, Grant, Outcome, Result, to_json

#: As much of a PNG as tells its size, and the first box of an MP4.
PNG = b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR" + (640).to_bytes(4) + (360).to_bytes(4) + b"\x08\x02"
MP4 = b"\x00\x00\x00\x18ftypmp42\x00\x00\x00\x00isommp42"
#: The codec of a source that nothing can be decoded of, though it can be probed.
SPOILT = "spoilt"
#: No document of the protocol.
NONSENSE = b"\xff{no json"


def count_frames(grant: Grant, facts: Facts) -> int:
    """Of the output; of a sample, as many as it has."""
    share = min(1.0, grant.sample_s / facts.duration_s) if grant.sample_s else 1.0
    return max(1, round(output_frames(facts, grant.task) * share))


def make_output(grant: Grant, facts: Facts, instance: int) -> bytes:
    """A video of what was asked for, that names who made it."""
    width, height = output_size(facts, grant.task)
    made = dataclasses.replace(
        facts,
        width=width,
        height=height,
        frames=count_frames(grant, facts),
        duration_s=min(grant.sample_s or facts.duration_s, facts.duration_s),
        fps=str(grant.task.target_fps(Fraction(facts.fps))),
    )
    by = {"made_by": f"{grant.job}/{grant.attempt}", "on": instance}
    return json.dumps(dataclasses.asdict(made) | by).encode()


def make_segment(grant: Grant, number: int) -> bytes:
    return f"{grant.job}-{number}".encode()


def make_manifest(grant: Grant, number: int, content: bytes) -> bytes:
    """The same for the same work, whoever does it."""
    recipe = hashlib.sha256(f"{to_json(grant.task)} {grant.segment_s}".encode()).hexdigest()
    digest = hashlib.sha256(content).hexdigest()
    return json.dumps({"number": number, "recipe": recipe, "sha256": digest}).encode()


def answer(grant: Grant, outcome: Outcome, **values: Any) -> Result:
    return Result(job=grant.job, attempt=grant.attempt, outcome=outcome, **values)


def answer_done(
    grant: Grant, facts: Facts, output: bytes, *, device: str, seconds: float, resumed_frames: int
) -> Result:
    return answer(
        grant, Outcome.DONE, sha256=hashlib.sha256(output).hexdigest(), bytes=len(output),
        extension="mp4", device=device, model="simulated", clip_bytes=len(MP4),
        checks=(Check(name="duration", passed=True, detail=""),),
        kept=tuple(f"audio:{each}" for each in facts.audio),
        resumed_frames=resumed_frames, timings={"processing": max(1.0, seconds)},
    )  # fmt: skip
