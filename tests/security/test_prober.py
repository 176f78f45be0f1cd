"""What the controller gives to the process that looks into a file, and what it takes from it."""

import asyncio
import dataclasses
import json
import os
import stat
import sys
import time

import psutil
import pytest

from controller import probe as probing
from controller.errors import BadVideo
from controller.probe import Limits, ProbeError, probe
from remote_runner.protocol import Reason
from tests.controller.conftest import FACTS
from tests.security.observed import ROOT

LIMITS = Limits(max_bytes=10**9, max_seconds=100, timeout_s=30)


@pytest.fixture
def program(tmp_path, monkeypatch):
    """Put another program in the place of the prober: one that a file has taken over."""

    def put(body):
        path = tmp_path / "program"
        path.write_text(f"#!{sys.executable}\nimport json, os, sys, time\n{body}\n")
        path.chmod(path.stat().st_mode | stat.S_IXUSR)
        monkeypatch.setattr(probing.sys, "executable", str(path))

    return put


async def test_it_gets_no_secret_and_no_address_that_others_could_read(
    program, tmp_path, monkeypatch
):
    for name in ("TELEGRAM_BOT_TOKEN", "VAST_API_KEY", "B2_SECRET", "NOXFVR_WEBHOOK_SECRET"):
        monkeypatch.setenv(name, "hidden-value")
    program(
        f"told = {{'env': dict(os.environ), 'argv': sys.argv, 'cwd': os.getcwd(),"
        f" 'input': sys.stdin.read(), 'files': os.listdir('/proc/self/fd')}}\n"
        f"open({str(tmp_path / 'told')!r}, 'w').write(json.dumps(told))"
    )
    url = "https://files.example/in.mp4?X-Amz-Signature=" + "0" * 8
    with pytest.raises(ProbeError):
        await probe(url, LIMITS)
    told = json.loads((tmp_path / "told").read_text())
    assert set(told["env"]) <= {*probing._PASSED_ON, "LC_CTYPE"}
    assert "hidden-value" not in json.dumps(told)
    assert told["input"] == f"{url}\n"
    assert not any("files.example" in each for each in told["argv"])
    assert told["cwd"] == str(ROOT)
    # standard ones, and the one that lists them
    assert len(told["files"]) <= 4


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("while True: os.write(1, b'x' * 65536)", Reason.PROBE_LIMIT),
        ("os.abort()", Reason.PROBE_LIMIT),
        ("print(json.dumps({'error': {'reason': 'corrupt', 'detail': 'x'}}))", Reason.CORRUPT),
    ],
    ids=["endless", "crash", "refusal"],
)
async def test_whatever_it_does_the_file_is_refused_in_words(program, tmp_path, body, reason):
    program(body)
    with pytest.raises(BadVideo) as refused:
        await probe(tmp_path / "in.mp4", LIMITS)
    assert refused.value.reason is reason


@pytest.mark.parametrize(
    "answer",
    ["", "[]", "{}", '{"facts": {}}', '{"facts": []}', '{"facts": {"width": NaN}}', "[" * 10_000,
     '{"error": {"reason": "because", "detail": ""}}', '{"error": []}', "\ud800"],
    ids=ascii,
)  # fmt: skip
async def test_an_answer_that_is_none_says_nothing_of_the_file(program, tmp_path, answer):
    program(f"sys.stdout.buffer.write({answer.encode('utf-8', 'surrogatepass')!r})")
    with pytest.raises(ProbeError):
        await probe(tmp_path / "in.mp4", LIMITS)


@pytest.mark.parametrize(
    "lie",
    [{"fps": "1/0"}, {"fps": "x"}, {"fps": "-24"}, {"sar": "0:1"}, {"sar": "1:0"}, {"width": 0},
     {"height": -1}, {"frames": 0}, {"duration_s": -1.0}, {"bytes": -1}, {"chapters": -5}],
    ids=str,
)  # fmt: skip
async def test_facts_that_make_no_sense_are_none(program, tmp_path, lie):
    facts = dataclasses.asdict(FACTS) | lie
    program(f"print({json.dumps({'facts': facts})!r})")
    with pytest.raises(ProbeError):
        await probe(tmp_path / "in.mp4", LIMITS)


async def test_words_in_facts_are_cleaned(program, tmp_path):
    facts = dataclasses.asdict(FACTS) | {"audio": ["\x1b[2J\u202e"] * 2000, "codec": "\ud800"}
    program(f"print({json.dumps({'facts': facts})!r})")
    found = await probe(tmp_path / "in.mp4", LIMITS)
    assert found.codec == " " and set(found.audio) == {" [2J "} and len(found.audio) == 1000


async def test_one_that_hangs_is_ended_with_all_that_it_has_started(program, tmp_path):
    program(
        "import subprocess\n"
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(300)'])\n"
        f"open({str(tmp_path / 'pid')!r}, 'w').write(str(child.pid))\n"
        "time.sleep(300)"
    )
    started = time.monotonic()
    with pytest.raises(BadVideo) as refused:
        await probe(tmp_path / "in.mp4", Limits(max_bytes=1, max_seconds=1, timeout_s=5))
    assert refused.value.reason is Reason.PROBE_LIMIT
    assert time.monotonic() - started < 25
    pid = int((tmp_path / "pid").read_text())
    for _ in range(100):
        if not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE:
            break
        await asyncio.sleep(0.05)
    else:
        os.kill(pid, 9)
        pytest.fail("a process outlived its prober")
