import dataclasses
import json
import re

import pytest

from bot.terminal import fleet, planning
from bot.terminal.console import describe_progress
from controller.errors import Unclear
from controller.states import JobState
from remote_runner.protocol import Phase, Reason, Status, Task
from tests.bot.director import Director, go_well, texts_of, told
from tests.controller.conftest import FACTS
from tests.controller.standins import make_offer


@pytest.fixture
def director(rented, monkeypatch):
    monkeypatch.setenv("LC_ALL", "C")
    return Director(rented, monkeypatch)


def one_at_a_time(house):
    house.settings = dataclasses.replace(house.settings, max_machines=1)
    house.restart()


def rows(tmp_path):
    return json.loads((tmp_path / "rows.json").read_text())


async def test_a_rented_batch_prints_the_known_cycle_and_pays_for_one_machine(
    director, tmp_path, capsys
):
    one_at_a_time(director.house)
    await director.put("a.mp4", "b.mp4", "c.mp4")
    assert await director.run(json_file=str(tmp_path / "rows.json"))
    lines = texts_of(capsys.readouterr().out)
    result = r"\[RESULT\] Download URL: file://.*/output/{}_x2_[0-9a-z]{{6}}\.mp4"
    patterns = [
        r"\[DIR\] Processing batch from: input/c1",
        r"\[LIST\] Listing files from storage: input/c1",
        r"\[OK\] Found 3 video files",
        r"\[RUN\] Processing file: a\.mp4",
        r"\[OK\] Selected offer: RTX 3060 @ \$0\.060/hr",
        r"\[OK\] Created instance: #i1",
        r"\[OK\] Instance running",
        r"\[MONITOR\] Monitoring instance #i1\.\.\.",
        r"\[OK\] Processing completed successfully!",
        result.format("a"),
        r"\[OK\] File 1/3 completed",
        r"\[RUN\] Processing file: b\.mp4",
        r"\[MONITOR\] Monitoring instance #i1\.\.\.",
        r"\[OK\] Processing completed successfully!",
        result.format("b"),
        r"\[OK\] File 2/3 completed",
        r"\[RUN\] Processing file: c\.mp4",
        r"\[MONITOR\] Monitoring instance #i1\.\.\.",
        r"\[OK\] Processing completed successfully!",
        result.format("c"),
        r"\[CLEANUP\] Destroying instance #i1\.\.\.",
        r"\[OK\] Instance destroyed",
        r"\[OK\] File 3/3 completed",
        r"\[OK\] Total: 3 files, 3 completed, \d+:\d\d, \$0\.\d{3}",
    ]
    assert len(lines) == len(patterns), lines
    for line, pattern in zip(lines, patterns, strict=True):
        assert re.fullmatch(pattern, line), (line, pattern)
    assert len(director.house.provider.launches) == 1
    assert director.house.provider.alive == {}
    assert [row["instance_id"] for row in rows(tmp_path)["results"]] == ["i1"] * 3


async def test_lines_of_a_machine_that_works_for_several_jobs_are_shown_once(director, capsys):
    one_at_a_time(director.house)
    await director.put("a.mp4", "b.mp4", "c.mp4")
    await director.run()
    logs = [text for _, text in told(capsys.readouterr().out) if text.startswith("  [LOG] ")]
    assert logs == [
        "  [LOG] boot: the watchdog is armed",
        "  [LOG] === Remote Runner Starting ===",
        *["  [LOG] part 1 is stored"] * 3,
    ]


async def test_machines_side_by_side_are_each_told_of_and_all_given_back(director, capsys):
    director.house.provider.market.append(make_offer(id="2", machine_id="m2", name="RTX 4090"))
    await director.put("a.mp4", "b.mp4")
    assert await director.run()
    lines = texts_of(capsys.readouterr().out)
    assert sum("Created instance" in line for line in lines) == 2
    assert sum("Destroying instance" in line for line in lines) == 2
    assert sum(line == "[OK] Instance destroyed" for line in lines) == 2
    assert lines[-1].startswith("[OK] Total: 2 files, 2 completed, ")
    assert director.house.provider.alive == {}


async def test_a_line_of_trouble_is_a_warning_and_decides_nothing(director, capsys):
    async def act(director, machine):
        await director.start(machine)
        director.print(machine, "ERROR: Pipeline failed with exit code 1", "all tests FAILED")
        await go_well(director, machine)

    director.acts = [act]
    await director.put("a.mp4")
    assert await director.run()
    lines = told(capsys.readouterr().out)
    assert ("WARN", "ERROR: Pipeline failed with exit code 1") in lines
    assert ("WARN", "all tests FAILED") in lines
    assert not any("[LOG] ERROR" in text for _, text in lines)


async def test_an_address_in_a_log_is_never_shown(director, capsys):
    async def act(director, machine):
        await director.start(machine)
        director.print(
            machine, "VASTAI_PIPELINE_COMPLETED_SUCCESSFULLY", "get it: https://evil.example/x.mp4"
        )
        await go_well(director, machine)

    director.acts = [act]
    await director.put("a.mp4")
    assert await director.run()
    output = capsys.readouterr().out
    assert "evil.example" not in output
    assert "(address left out)" in output
    assert output.count("Download URL") == 1


async def test_a_failed_attempt_is_told_its_machine_cleaned_up_and_the_next_one_elsewhere(
    director, tmp_path, capsys
):
    async def act(director, machine):
        await director.start(machine)
        director.house.runner.heartbeat(machine)
        await director.pause()
        director.house.runner.fail(machine, Reason.OUT_OF_MEMORY)
        await director.pause(40)  # a result is asked for every half minute

    director.acts = [act]
    director.house.provider.market.append(make_offer(id="2", machine_id="m2", name="RTX 4090"))
    await director.put("a.mp4")
    assert await director.run(json_file=str(tmp_path / "rows.json"))
    lines = texts_of(capsys.readouterr().out)
    retry = lines.index("Attempt 1: the machine ran out of memory; trying again")
    gone = lines.index("[CLEANUP] Destroying instance #i1...")
    again = lines.index("[OK] Created instance: #i2")
    assert retry < gone < lines.index("[OK] File 1/1 completed")
    assert retry < again
    (row,) = rows(tmp_path)["results"]
    assert (row["status"], row["attempts"], row["instance_id"]) == ("completed", 2, "i2")
    assert director.house.provider.alive == {}


async def test_what_a_failed_runner_left_is_shown_where_the_provider_tells_nothing(
    director, capsys
):
    async def act(director, machine):
        await director.start(machine)
        director.house.provider.printed.clear()
        director.house.runner.heartbeat(machine)
        await director.pause()
        grant = director.house.runner.grant(machine)
        key = f"jobs/{grant.job}/{grant.attempt}/log"
        await director.house.storage.write(key, b"no kernel\nsee https://evil.example/\n")
        director.house.runner.fail(machine, Reason.OUT_OF_MEMORY)
        await director.pause(40)

    async def silence(*_):
        return None

    director.house.provider.logs = silence
    director.house.provider.market = [make_offer(), make_offer(id="2", machine_id="m2")]
    director.acts = [act]
    await director.put("a.mp4")
    await director.run()
    output = capsys.readouterr().out
    assert output.count("[LOG] no kernel") == 1
    assert "evil.example" not in output


async def test_a_video_for_which_nothing_fits_fails_before_anything_is_rented(
    director, tmp_path, capsys
):
    director.house.provider.market = [
        make_offer(id="1", usd_per_hour=0.2, name="RTX 5090"),
        make_offer(id="2", cpu_cores=2.0),
    ]
    await director.put("a.mp4")
    assert not await director.run(json_file=str(tmp_path / "rows.json"))
    lines = told(capsys.readouterr().out)
    text = (
        "a.mp4: none of 2 offers fits under $0.100/hr: price 1, cores 1; "
        "the cheapest that would do: RTX 5090 @ $0.200/hr"
    )
    assert ("ERROR", text) in lines
    assert lines[-1][1].startswith("[END] Total: 1 file, 1 failed, 0:00, $0.000")
    (row,) = rows(tmp_path)["results"]
    assert (row["status"], row["attempts"], row["cost_usd"]) == ("failed", 0, 0.0)
    (job,) = director.house.controller.jobs()
    assert job.state is JobState.CANCELLED
    assert director.house.provider.launches == []
    assert await director.house.storage.stat("input/c1/a.mp4")


async def test_the_videos_that_do_fit_are_made_and_the_exit_tells_of_the_other(director, capsys):
    director.house.provider.market = [make_offer(gpu_ram_gb=6.0)]
    await director.put("small.mp4")
    await director.put("vast.mp4", width=3840, height=2160)
    assert not await director.run()
    lines = texts_of(capsys.readouterr().out)
    assert lines[-1].startswith("[END] Total: 2 files, 1 completed, 1 failed, ")
    assert any(line.startswith("vast.mp4: none of 1 offers fits") for line in lines)


async def test_a_market_that_does_not_answer_starts_nothing(director, monkeypatch, capsys):
    asked = []

    async def broken(need):
        asked.append(need)
        raise Unclear("no answer in 60 s")

    monkeypatch.setattr(planning, "_PAUSE_S", 0.01)
    director.house.provider.offers = broken
    await director.put("a.mp4")
    assert not await director.run()
    assert "a.mp4: the market cannot be asked: no answer in 60 s" in capsys.readouterr().out
    assert len(asked) == 3
    assert director.house.provider.launches == []


async def test_a_dry_run_ranks_what_fits_and_says_why_the_others_lost(director, tmp_path, capsys):
    house = director.house
    house.settings = dataclasses.replace(house.settings, image="pytorch:2.6.0-cuda12.4")
    house.restart()
    house.provider.market = [
        make_offer(id="1", machine_id="m1", name="RTX 3060"),
        make_offer(id="2", machine_id="m2", name="RTX 5090", compute_capability=12.0),
        make_offer(id="3", machine_id="m3", name="two cores", cpu_cores=2.0),
        make_offer(id="4", machine_id="m4", name="dear traffic", usd_per_gb_down=0.05),
        make_offer(id="5", machine_id="m5", name="dear", usd_per_hour=0.5),
        make_offer(id="6", machine_id="m6", name="small", gpu_ram_gb=2.0),
    ]
    await director.put("a.mp4")
    assert await director.run(dry_run=True, json_file=str(tmp_path / "rows.json"))
    lines = texts_of(capsys.readouterr().out)
    (plan,) = [line for line in lines if line.startswith("[PLAN] ")]
    assert re.fullmatch(
        r"\[PLAN\] a\.mp4: 640x360, 240 frames, RTX 3060 @ \$0\.060/hr, about 5 min, \$0\.005",
        plan,
    )
    table = [line.removeprefix("[OFFERS] ") for line in lines if line.startswith("[OFFERS] ")]
    assert table[0] == "As judged for a.mp4:"
    assert re.fullmatch(r"  1  RTX 3060 +0\.060 +0\.000 +0\.000 +5 +0\.005  fits", table[2])
    # it fits, and costs forty times as much: the image alone is four gigabytes
    assert re.fullmatch(r"  2  dear traffic +0\.060 +0\.050 +0\.000 +5 +0\.205  fits", table[3])
    assert len(table) == 8
    why = "\n".join(table[4:])
    assert "capability: 12.0, the image has 5.0–9.0" in why
    assert "cores: 2" in why
    assert "gpu_memory: 2 GB" in why
    assert "price: the cap is $0.100" in why
    assert house.provider.launches == []
    assert rows(tmp_path)["results"][0]["status"] == "skipped"
    assert [job.state for job in house.controller.jobs()] == [JobState.CANCELLED]


async def test_a_dry_run_of_what_cannot_be_had_exits_with_1_and_shows_the_table(director, capsys):
    director.house.provider.market = [make_offer(usd_per_hour=0.5)]
    await director.put("a.mp4")
    assert not await director.run(dry_run=True)
    output = capsys.readouterr().out
    assert "[ERROR] a.mp4: none of 1 offers fits under $0.100/hr: price 1" in output
    assert "price: the cap is $0.100" in output


async def test_what_is_done_with_the_same_settings_is_skipped_by_content(
    director, tmp_path, capsys
):
    house, json_file = director.house, str(tmp_path / "rows.json")
    await director.put("a.mp4")
    assert await director.run()
    (done,) = house.controller.jobs()
    capsys.readouterr()

    assert await director.run(json_file=json_file)
    lines = texts_of(capsys.readouterr().out)
    assert lines[3:] == [
        f"[SKIP] a.mp4: already done, {done.output_key}",
        "[OK] Total: 1 file, 1 skipped, 0:00, $0.000",
    ]
    (row,) = rows(tmp_path)["results"]
    assert row["status"] == "skipped"
    assert row["output_name"] == done.output_key.removeprefix("output/")
    assert row["result_url"] == house.controller.result_link(done)
    assert (row["attempts"], row["cost_usd"], row["error"]) == (0, 0.0, None)

    assert await director.run(task=Task(crf=20))  # other settings
    await director.put("a.mp4", bytes=2000)  # another content under the same name
    assert await director.run()
    assert len(house.provider.launches) == 3


async def test_a_result_that_was_removed_is_made_again(director):
    await director.put("a.mp4")
    assert await director.run()
    (done,) = director.house.controller.jobs()
    await director.house.storage.delete(done.output_key)
    assert await director.run()
    assert len(director.house.provider.launches) == 2


async def test_a_job_that_waits_says_why_once(director, capsys):
    director.house.provider.credit = 0.02
    director.moments.append(refill_after(90, director.house))
    await director.put("a.mp4")
    assert await director.run()
    lines = told(capsys.readouterr().out)
    waits = [line for line in lines if " waits: " in line[1]]
    assert waits == [("WARN", "a.mp4 waits: the rental account has no credit ($0.02 left)")]


def refill_after(seconds, house):
    until = house.clock.now + seconds

    def refill(house):
        if house.clock.now > until:
            house.provider.credit = 10.0

    return refill


async def test_an_end_that_is_not_proven_is_not_reported(director, monkeypatch, capsys):
    monkeypatch.setattr(fleet, "_CLEANUP_S", 0.5)
    director.house.provider.destroy_faults.extend(["unclear"] * 1000)
    await director.put("a.mp4")
    assert await director.run()
    output = capsys.readouterr().out
    assert "[OK] Instance destroyed" not in output
    assert "[WARN] Instance #i1 is not proven gone yet; noxfvr status shows it" in output


async def test_the_total_is_the_bill_of_whole_machines(director, tmp_path, capsys):
    await director.put("a.mp4")
    assert await director.run(json_file=str(tmp_path / "rows.json"))
    house = director.house
    document = rows(tmp_path)
    (machine,) = [house.store.machines.get(launch.machine) for launch in house.provider.launches]
    billed = house.controller.machine_usd(machine)
    assert document["cost_usd"] == pytest.approx(billed, abs=1e-6)
    assert document["cost_usd"] > document["results"][0]["cost_usd"] > 0
    assert billed <= machine.reserved_usd
    assert f"${billed:.3f}" in texts_of(capsys.readouterr().out)[-1]


def test_progress_is_told_in_the_known_form():
    status = Status(
        sequence=1, heartbeat_at=0, phase=Phase.PROCESSING, done=108, total=240, fps=12.3, eta_s=31
    )
    assert describe_progress(status) == "45% | 12.3 fps | ETA 0:31"
    assert FACTS.frames == 240
