"""The rented deployment from end to end: real scripts, real runner, real HTTP; only the cloud is
a stand-in."""

import json
import os
import re
import signal
import sqlite3
import subprocess
import sys
import time

import pytest

from controller import policy
from controller.records import TERMINAL, Request
from controller.settings import load_settings
from controller.wiring import open_controller
from remote_runner.protocol import GREETING, MARKER
from tests.e2e.rented import Rented, told
from tests.e2e.story import ADMIN, ROOT, SAMPLE, Story
from tests.e2e.test_story import RESULT_S, is_result, press_start
from tests.runner.clips import make_clip
from tests.standins.vast import make_offer

pytestmark = pytest.mark.timeout(300)


def fill(world, *names, folder="input/c1"):
    """Clips in the bucket, each different from the others."""
    for number, name in enumerate(names):
        path = make_clip(world.home / name, count=24 + number)
        world.b2.put(f"{folder}/{name}", path.read_bytes())


def rows_of(world, name="rows.json"):
    return json.loads((world.home / name).read_text())["results"]


def passes_gate(world, row, source):
    """Whether an object in the bucket passes the runner's own gate against its source."""
    result = world.home / row["output_name"]
    result.write_bytes(world.b2.get(f"output/{row['output_name']}"))
    checked = subprocess.run(
        [sys.executable, "-m", "remote_runner", "verify", str(source), str(result), "--json"],
        capture_output=True, text=True, check=False, cwd=ROOT,
    )  # fmt: skip
    return checked.returncode == 0 and all(c["passed"] for c in json.loads(checked.stdout))


def machines_in_ledger(world):
    with sqlite3.connect(world.data / "noxfvr.db") as db:
        db.row_factory = sqlite3.Row
        return db.execute("SELECT * FROM machines").fetchall()


async def test_three_clips_pay_for_one_machine_and_print_the_known_cycle(tmp_path):
    async with Rented(tmp_path, keep_directories=True) as world:
        fill(world, "a.mp4", "b.mp4", "c.mp4")
        code, output, errors = await world.noxfvr(
            "batch", "input/c1", "--json", str(tmp_path / "rows.json"), "--yes",
            NOXFVR_MAX_MACHINES="1", NOXFVR_MAX_PRICE="0.10",
        )  # fmt: skip
        assert code == 0, output + errors
        (create,) = world.vast.creates
        number = world.vast.ledger
        assert world.vast.alive() == []
        (machine,) = machines_in_ledger(world)
        assert number().total <= machine["reserved_usd"]
        assert machine["reserved_usd"] <= 1.0

        rows = rows_of(world)
        assert [row["status"] for row in rows] == ["completed"] * 3
        assert {row["instance_id"] for row in rows} == {machine["instance"]}
        assert rows[0]["input_url"] == f"b2://{world.b2.bucket}/input/c1/a.mp4"
        for row, name in zip(rows, ("a.mp4", "b.mp4", "c.mp4"), strict=True):
            assert passes_gate(world, row, tmp_path / name)
        assert world.b2.open_uploads() == []
        assert_cycle(told(output), machine["instance"])
        assert f"  [LOG] {GREETING}" in output
        assert output.count(GREETING) == 1
        assert_no_secret(world, create, output + errors)


def assert_cycle(lines, instance):
    first = [
        r"\[DIR\] Processing batch from: input/c1",
        r"\[LIST\] Listing files from B2: input/c1",
        r"\[OK\] Found 3 video files",
        r"\[RUN\] Processing file: a\.mp4",
        r"\[OK\] Selected offer: RTX 5060 Ti @ \$0\.0\d\d/hr",
        rf"\[OK\] Created instance: #{instance}",
        r"\[OK\] Instance running",
        rf"\[MONITOR\] Monitoring instance #{instance}\.\.\.",
        r"\[OK\] Processing completed successfully!",
        r"\[RESULT\] Download URL: http://.*output/a_x2_[0-9a-z]{6}\.mp4\?.*",
        r"\[OK\] File 1/3 completed",
    ]
    for line, pattern in zip(lines, first, strict=False):
        assert re.fullmatch(pattern, line), (line, pattern)
    shape = [re.match(r"\[(\w+)\] (\w+)", line).groups() for line in lines]
    again = [("RUN", "Processing"), ("MONITOR", "Monitoring"), ("OK", "Processing"),
             ("RESULT", "Download"), ("OK", "File")]  # fmt: skip
    last = [("RUN", "Processing"), ("MONITOR", "Monitoring"), ("OK", "Processing"),
            ("RESULT", "Download"), ("CLEANUP", "Destroying"), ("OK", "Instance"),
            ("OK", "File"), ("OK", "Total")]  # fmt: skip
    assert shape[len(first) :] == again + last
    assert re.fullmatch(r"\[OK\] Total: 3 files, 3 completed, [\d:]+, \$0\.\d+", lines[-1])


def assert_no_secret(world, create, printed):
    """No key of the account is anywhere that a rented machine, or who reads its log, can see."""
    seen = {
        "request": json.dumps(create.body),
        "printed": printed,
        **{
            str(path): path.read_bytes().decode(errors="replace")
            for path in (world.home / "hosts").rglob("*")
            if path.is_file() and path.stat().st_size < 5_000_000
        },
        **{
            key: world.b2.get(key).decode(errors="replace")
            for key in world.b2.keys("machines/") + world.b2.keys("jobs/")
        },
    }
    assert any(name.endswith("log") for name in seen)
    for secret in world.account_secrets[:1] + world.account_secrets[2:]:
        assert [name for name, text in seen.items() if secret in text] == []
    # a presigned URL names the key it was made with, and never its secret
    key_id = world.b2.key
    assert all(key_id not in text.replace(f"{key_id}%2F", "").replace(f"{key_id}/", "")
               for text in seen.values())  # fmt: skip


@pytest.mark.slow
async def test_the_same_batch_again_is_skipped_by_content_and_settings(tmp_path):
    async with Rented(tmp_path) as world:
        fill(world, "a.mp4")
        rows = ("--json", str(tmp_path / "rows.json"))
        assert (await world.noxfvr("batch", "input/c1", *rows))[0] == 0
        code, output, _ = await world.noxfvr("batch", "input/c1", *rows)
        assert code == 0
        assert len(world.vast.creates) == 1
        (row,) = rows_of(world)
        assert (row["status"], row["attempts"]) == ("skipped", 0)
        assert "[SKIP] a.mp4" in output
        path = make_clip(tmp_path / "other.mp4", count=30)
        world.b2.put("input/c1/a.mp4", path.read_bytes())  # the same name, another content
        assert (await world.noxfvr("batch", "input/c1", *rows))[0] == 0
        assert len(world.vast.creates) == 2


@pytest.mark.slow
async def test_logs_that_never_come_change_nothing(tmp_path):
    async with Rented(tmp_path) as world:
        fill(world, "a.mp4")
        world.vast.faults["logs"].extend(["dead"] * 5000)
        code, output, errors = await world.noxfvr(
            "batch", "input/c1", "--json", str(tmp_path / "rows.json")
        )
        assert code == 0, output + errors
        assert world.vast.alive() == []
        assert len(world.vast.creates) == 1


@pytest.mark.slow
async def test_an_error_on_the_instance_is_a_warning_and_the_job_goes_elsewhere(tmp_path):
    offers = [make_offer(dph_base=0.03), make_offer(dph_base=0.05)]
    async with Rented(tmp_path, offers=offers) as world:
        clip = make_clip(tmp_path / "a.mp4", count=300, width=320, height=180)
        world.b2.put("input/c1/a.mp4", clip.read_bytes())
        process = await world.start("batch", "input/c1", "--json", str(tmp_path / "rows.json"))
        await world.until(lambda: GREETING in log_of_first(world))
        first = world.vast.alive()[0]
        first.say("ERROR: Pipeline failed with exit code 1")
        await world.until(lambda: warned(world))
        await world.vast.stop_by_vast(first.id)
        output, errors = await process.communicate()
        lines = output.decode()
        assert process.returncode == 0, lines + errors.decode()
        assert "[WARN] ERROR: Pipeline failed with exit code 1" in lines
        assert "[WARN] Attempt 1: the machine was stopped from outside; trying again" in lines
        (row,) = rows_of(world)
        assert (row["status"], row["attempts"]) == ("completed", 2)
        assert world.vast.alive() == []
        assert len({create.offer for create in world.vast.creates}) == 2


def log_of_first(world):
    alive = world.vast.alive()
    return alive[0].log() if alive else ""


def warned(world):
    with sqlite3.connect(world.data / "noxfvr.db") as db:
        return any(
            "Pipeline failed" in row[0] for row in db.execute("SELECT warnings FROM attempts")
        )


@pytest.mark.slow
async def test_a_job_that_takes_too_long_is_stopped_at_the_limit(tmp_path):
    offers = [make_offer(), make_offer()]
    async with Rented(tmp_path, offers=offers, env={"NOXFVR_JOB_TIMEOUT": "6"}) as world:
        path = make_clip(tmp_path / "long.mp4", count=500, width=320, height=180)
        world.b2.put("input/c1/long.mp4", path.read_bytes())
        code, output, _ = await world.noxfvr(
            "batch", "input/c1", "--json", str(tmp_path / "rows.json"), timeout_s=200
        )
        assert code == 1
        (row,) = rows_of(world)
        assert (row["status"], row["attempts"]) == ("failed", 2)
        assert world.vast.alive() == []
        assert output.count("[CLEANUP] Destroying instance") == 2
        assert world.b2.keys("output/") == []


@pytest.mark.slow
async def test_a_container_that_restarts_after_the_end_repeats_nothing(tmp_path):
    async with Rented(tmp_path, restart_s=0.05) as world:
        fill(world, "a.mp4")
        world.vast.faults["destroy"].extend(["500_html"] * 400)
        world.vast.faults["destroy_many"].extend(["500_html"] * 400)
        process = await world.start("batch", "input/c1", "--json", str(tmp_path / "rows.json"))
        await world.until(lambda: world.b2.keys("output/"))
        instance = world.vast.alive()[0]
        for _ in range(10):
            await world.until(lambda: instance.container.pid is not None)
            starts = instance.starts
            os.kill(instance.container.pid, signal.SIGKILL)
            await world.until(lambda starts=starts: instance.starts > starts)
        world.vast.faults.clear()
        await process.communicate()
        assert process.returncode == 0
        await world.until(lambda: world.vast.alive() == [])
        assert instance.log().count(MARKER) == 1
        assert len(world.vast.creates) == 1


@pytest.mark.slow
async def test_nothing_under_the_cap_is_said_and_nothing_is_rented(tmp_path):
    offers = [make_offer(dph_base=0.2), make_offer(cpu_cores_effective=2.0)]
    async with Rented(tmp_path, offers=offers) as world:
        fill(world, "a.mp4")
        code, output, _ = await world.noxfvr("batch", "input/c1")
        assert code == 1
        assert "price 1" in output and "cores 1" in output
        assert world.vast.creates == []


@pytest.mark.slow
async def test_the_reaper_ends_its_own_and_touches_nobody_else(tmp_path):
    async with Rented(tmp_path, runs=False) as world:
        fill(world, "a.mp4")
        process = await world.start("batch", "input/c1")
        await world.until(lambda: len(world.vast.alive()) == 1)
        process.kill()
        await process.wait()
        foreign = world.vast.rent(
            world.vast.add_offer()["id"], {**world.vast.creates[0].body, "label": "not ours"}
        )
        label = world.vast.creates[0].label
        empty = tmp_path / "empty"
        empty.mkdir()
        elsewhere = {"NOXFVR_DATA_DIR": str(empty / "data")}

        code, output, errors = await world.noxfvr("reap", **elsewhere)
        assert code == 0, output + errors
        assert len(world.vast.alive()) == 2  # it is not past its expiry
        deployment = label.split("|")[1]
        code, output, _ = await world.noxfvr(
            "reap", "--deployment", deployment, "--dry-run", **elsewhere
        )
        assert label in output
        assert len(world.vast.alive()) == 2
        code, output, _ = await world.noxfvr("reap", "--deployment", deployment, **elsewhere)
        assert code == 0, output
        assert world.vast.alive() == [foreign]
        assert list(empty.iterdir()) == []


@pytest.mark.slow
async def test_the_chat_takes_a_path_in_the_bucket_and_an_upload(tmp_path):
    async with Rented(tmp_path, env={"NOXFVR_IDLE_S": "3"}) as world:
        fill(world, "a.mp4")
        env = {name: value for name, value in world.env.items() if name != "NOXFVR_DATA_DIR"}
        async with Story(tmp_path, **env) as story:
            chat = (await story.driver.person(ADMIN, "Ann", language_code="en")).chat
            for ask in (
                lambda: chat.send_text(f"b2://{world.b2.bucket}/input/c1/a.mp4"),
                lambda: chat.send_video(SAMPLE, as_document=True),
            ):
                sent = await ask()
                await press_start(chat)
                await chat.wait_for(is_result(sent), timeout_s=RESULT_S)
            await world.until(lambda: world.vast.alive() == [])
            assert len(world.b2.keys("output/")) == 2
            assert world.b2.keys("input/c1/") == ["input/c1/a.mp4"]
        assert len(world.vast.creates) in (1, 2)


@pytest.mark.slow
async def test_a_machine_whose_controller_is_dead_ends_itself_at_its_deadline(
    tmp_path, monkeypatch
):
    # in this process, so that the life of a machine can be seconds
    monkeypatch.setattr(policy, "BOOT_ALLOWANCE_S", 10.0)
    async with Rented(tmp_path) as world:
        clip = make_clip(tmp_path / "long.mp4", count=2000, width=160, height=90)
        world.b2.put("input/long.mp4", clip.read_bytes())
        settings = load_settings({**world.env, "NOXFVR_JOB_TIMEOUT": "4", "NOXFVR_IDLE_S": "1"})
        async with open_controller(settings, must_own=True) as controller:
            request = Request(key="k", owner=0)
            job = await controller.accept_stored(request, path="input/long.mp4")
            controller.start(job.id, by=TERMINAL)
            await world.until(lambda: GREETING in log_of_first(world))
            (machine,) = controller.machines()
        # nobody is there any more: no loop, no orders, no destroy
        assert len(world.vast.alive()) == 1
        await world.until(lambda: world.vast.alive() == [], timeout_s=40)
        assert -1 < time.time() - machine.expires_at < 5
