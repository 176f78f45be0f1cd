import io
import json
import re
import sys
import tarfile
import time
from pathlib import Path

import pytest

from controller.bootstrap import (
    BootPlan,
    build_bundle,
    bundle_key,
    first_script,
    runner_requirements,
    second_script,
)
from controller.settings import IMAGE
from remote_runner.protocol import Boot, BootPhase, Orders, from_json, to_json
from tests.controller.machine_world import (
    KEY,
    SIGNATURE,
    VENV_BIN,
    Machine,
    MachineWorld,
    is_alive,
    wait_for,
)

ROOT = Path(__file__).parents[2]

#: A second script that leaves a line and its pid each time, and then works for ever.
ENDLESS = b"""
import subprocess, os
sleeper = subprocess.Popen(["sleep", "600"])
with open("../pids", "a") as file:
    file.write(f"{os.getpid()} {sleeper.pid}\\n")
sleeper.wait()
"""
#: One that leaves a line and ends.
BRIEF = b"""
with open("../runs", "a") as file:
    file.write("run\\n")
"""


@pytest.fixture
def world():
    world = MachineWorld()
    yield world
    world.close()


@pytest.fixture
def rent(world, tmp_path):
    """Machines that are ended with the test, and what they printed is searched for secrets."""
    machines = []

    def rent(*, deadline_s=60.0, key=KEY, path=None, boot_url=None):
        script = first_script(
            deadline_at=time.time() + deadline_s,
            api_url=world.api_url,
            boot_url=boot_url or world.url("boot"),
            second_url=world.url("second"),
            pause_s=0.1,
            key_tries=3,
        )
        env = {"PATH": path or f"{VENV_BIN}:/usr/bin:/bin", "HOME": str(tmp_path)}
        env |= {"CONTAINER_ID": "77"} | ({"CONTAINER_API_KEY": key} if key else {})
        machine = Machine(tmp_path, ["/bin/bash", "-c", script], env)
        machine.start()
        machines.append(machine)
        return machine

    yield rent
    for machine in machines:
        machine.kill()
        assert not re.search(rf"{KEY}|{SIGNATURE}|://|Traceback", machine.output)


def destroyed(world):
    return world.count("DELETE", "instance")


def test_the_first_script_is_small_with_the_longest_addresses():
    bare = first_script(deadline_at=1_893_456_000.5, api_url="", boot_url="", second_url="")
    assert len(bare.encode()) <= 1500
    signed = "https://" + "s3.us-west-004.backblazeb2.com/" + "k" * 600
    whole = first_script(
        deadline_at=1_893_456_000.123456,
        api_url="https://console.vast.ai",
        boot_url=signed,
        second_url=signed,
    )
    assert len(whole) <= 4000 and whole.isascii()


def test_armed_is_reported_with_a_proven_key_before_anything_is_fetched(world, rent):
    world.objects["second"] = ENDLESS
    world.failures["GET", "instance"] = [500, "drop"]
    machine = rent()
    assert wait_for(lambda: world.count("GET", "second"))
    assert world.requests == [
        ("GET", "instance"),
        ("GET", "instance"),
        ("GET", "instance"),
        ("PUT", "boot"),
        ("GET", "second"),
    ]
    assert world.authorizations == {f"Bearer {KEY}"}
    (report,) = world.reports
    assert from_json(Boot, json.dumps(report)) == Boot(phase=BootPhase.ARMED, key=True)
    assert machine.is_running and not destroyed(world)


@pytest.mark.parametrize("key", [None, "a_key_that_is_refused"])
def test_a_machine_that_cannot_end_itself_says_so_and_does_not_work(world, rent, tmp_path, key):
    world.objects["second"] = BRIEF
    world.refusing["GET", "instance"] = 401
    world.refusing["DELETE", "instance"] = 401
    machine = rent(key=key, deadline_s=2.5)
    assert wait_for(lambda: world.reports)
    assert world.reports == [{"phase": "armed", "key": False, "version": 1}]
    assert not destroyed(world)
    # it tries to end itself all the same, once its time has come
    assert wait_for(lambda: destroyed(world) >= 3)
    assert not world.count("GET", "second") and not (tmp_path / "runs").exists()
    assert machine.is_running


def test_at_the_deadline_all_work_is_killed_and_the_end_is_asked_for_ever(world, rent, tmp_path):
    world.objects["second"] = ENDLESS
    world.failures["DELETE", "instance"] = [500, "drop", 429, 503]
    started = time.monotonic()
    machine = rent(deadline_s=3.0)
    assert wait_for((tmp_path / "pids").exists, 3.0)
    assert wait_for(lambda: destroyed(world))
    assert 2.9 < time.monotonic() - started < 5.0
    pids = [int(pid) for pid in (tmp_path / "pids").read_text().split()]
    assert len(pids) == 2
    assert wait_for(lambda: not any(is_alive(pid) for pid in pids), 1.0)
    # answers of every kind, good ones included, do not end the asking
    assert wait_for(lambda: destroyed(world) >= 8)
    assert machine.is_running


@pytest.mark.parametrize("failure", [404, "hang", "drop"])
def test_the_watchdog_needs_nothing_from_storage(world, rent, failure):
    world.refusing["GET", "second"] = failure
    machine = rent(deadline_s=1.5)
    assert wait_for(lambda: world.count("GET", "second"))
    assert wait_for(lambda: destroyed(world) >= 2, 4.0)
    assert machine.is_running


def test_a_report_that_is_not_taken_is_repeated_and_the_deadline_holds(world, rent):
    world.objects["second"] = BRIEF
    world.refusing["PUT", "boot"] = 403
    rent(deadline_s=1.5)
    assert wait_for(lambda: destroyed(world), 4.0)
    assert world.count("PUT", "boot") >= 3
    assert not world.count("GET", "second")


def test_a_container_that_is_restarted_after_the_end_only_asks_for_its_end(world, rent, tmp_path):
    world.objects["second"] = BRIEF
    machine = rent()
    for restart in range(10):
        seen = destroyed(world)
        assert wait_for(lambda seen=seen: destroyed(world) > seen), restart
        machine.kill()
        machine.start()
    assert (tmp_path / "runs").read_text() == "run\n"
    assert world.count("PUT", "boot") == 1


def test_a_container_that_is_restarted_in_its_work_goes_on_with_it(world, rent, tmp_path):
    world.objects["second"] = ENDLESS
    machine = rent()
    for run in (1, 2):
        assert wait_for(
            lambda run=run: (
                (tmp_path / "pids").exists()
                and len((tmp_path / "pids").read_text().splitlines()) == run
            )
        )
        machine.kill()
        machine.start()
    assert wait_for(lambda: world.phases == ["armed"] * 3)
    assert not destroyed(world)


def test_the_end_of_the_second_script_is_the_end_of_all_that_it_started(world, rent, tmp_path):
    world.objects["second"] = ENDLESS.replace(b"sleeper.wait()", b"raise SystemExit(3)")
    rent()
    assert wait_for(lambda: destroyed(world))
    pids = [int(pid) for pid in (tmp_path / "pids").read_text().split()]
    assert wait_for(lambda: not any(is_alive(pid) for pid in pids), 1.0)


def test_any_python_will_do_and_addresses_are_taken_literally(world, rent, tmp_path):
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "python").symlink_to(Path(sys.executable).resolve())
    odd = world.url("boot") + "&a=$(touch${IFS}../evil)&b=\"'`\\n%20"
    rent(path=str(tmp_path / "bin"), boot_url=odd)
    assert wait_for(lambda: world.phases == ["armed"])
    assert not list(tmp_path.glob("**/evil"))


def test_an_image_without_python_waits_to_be_ended_and_does_not_restart(world, rent, tmp_path):
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "sleep").symlink_to("/usr/bin/sleep")
    machine = rent(path=str(tmp_path / "bin"))
    assert wait_for(lambda: machine.output == "[BOOT] no python\n")
    time.sleep(0.2)
    assert machine.is_running and not world.requests


def test_a_machine_gets_its_runner_from_the_bundle_follows_orders_and_ends(world, rent, tmp_path):
    sha256 = give_work(world)
    machine = rent()
    assert wait_for(lambda: destroyed(world), 30.0)
    assert world.phases == ["armed", "checking", "installing", "testing", "starting"]
    boot = from_json(Boot, json.dumps(world.reports[-1]))
    assert (boot.device, boot.key) == ("cpu", True)
    assert "=== Remote Runner Starting ===" in machine.output
    assert "the runner ended: exit code 0" in machine.output
    folder = tmp_path / "noxfvr" / f"runner-{sha256[:12]}"
    assert (folder / "data" / "models" / "starter-x2.pth").is_file()


@pytest.mark.slow
def test_a_container_that_died_before_its_end_was_noted_finds_nothing_to_do(world, rent, tmp_path):
    give_work(world)
    machine = rent()
    for run in (1, 2):
        seen = destroyed(world)
        assert wait_for(lambda seen=seen: destroyed(world) > seen, 30.0)
        assert machine.output.count("the runner ended: exit code 0") == run
        machine.kill()
        (tmp_path / "noxfvr" / "ended").unlink()
        machine.start()
    assert world.count("GET", "bundle") == 1
    assert "the runner is there" in machine.output


def test_the_bundle_is_small_always_the_same_and_has_nothing_else(tmp_path):
    bundle = build_bundle()
    assert bundle == build_bundle()
    assert len(bundle.data) < 1_000_000
    assert bundle_key(bundle.sha256) == f"machines/bundles/{bundle.sha256}.tar.gz"
    assert "data=" not in repr(bundle)
    with tarfile.open(fileobj=io.BytesIO(bundle.data)) as archive:
        entries = archive.getmembers()
    names = [entry.name for entry in entries]
    assert names == sorted(names)
    assert {"remote_runner/__main__.py", "remote_runner/requirements.txt"} <= set(names)
    assert {entry.mtime for entry in entries} == {entry.uid for entry in entries} == {0}
    kinds = {Path(name).suffix for name in names}
    assert kinds == {".py", ".txt", ".pth"}
    assert not [name for name in names if "__pycache__" in name]


def test_a_plan_names_one_source_of_the_runner_and_shows_no_address(world):
    shown = repr(plan(world, bundle_sha256="0" * 64, git_url=""))
    assert SIGNATURE not in shown and world.api_url not in shown
    for wrong in (
        {"bundle_sha256": ""},
        {"bundle_sha256": "0" * 64, "git_url": "https://host/repo", "git_ref": "v1"},
        {"bundle_sha256": "", "bundle_url": "", "git_url": "https://host/repo"},
    ):
        with pytest.raises(ValueError, match="from a bundle or from a repository"):
            plan(world, **wrong)


def test_the_runner_image_is_built_on_the_image_that_machines_run():
    lines = (ROOT / "Dockerfile").read_text().splitlines()
    assert [line for line in lines if line.startswith("FROM ")] == [f"FROM {IMAGE}"]
    # what is copied is let through, and nothing else is
    ignored = (ROOT / ".dockerignore").read_text().splitlines()
    assert [line for line in ignored if not line.startswith("#")] == [
        "*",
        "!constraints.txt",
        "!remote_runner/",
        "!data/models/*.pth",
        "**/__pycache__/",
    ]


def test_every_pin_that_the_image_needs_is_there():
    pins = dict(
        line.split("==") for line in (ROOT / "constraints.txt").read_text().split() if "==" in line
    )
    names = [re.split(r"[>=]", requirement)[0] for requirement in runner_requirements()]
    assert "torch" in names and set(names) <= set(pins)


def plan(world, **changes):
    return BootPlan(
        **{
            "orders_url": world.url("orders"),
            "boot_url": world.url("boot"),
            "deadline_at": time.time() + 60,
            "device": "cpu",
            "bundle_url": world.url("bundle"),
            "requirements": runner_requirements(),
            "pause_s": 0.05,
            **changes,
        }
    )


def give_work(world):
    """The real runner for the processor, and orders to stop; the bundle's sha256."""
    bundle = build_bundle()
    world.objects["bundle"] = bundle.data
    world.objects["second"] = second_script(plan(world, bundle_sha256=bundle.sha256))
    orders = Orders(
        machine="m",
        sequence=1,
        deadline_at=time.time() + 60,
        idle_s=1.0,
        status_url=world.url("status"),
        stop=True,
    )
    world.objects["orders"] = to_json(orders).encode()
    return bundle.sha256
