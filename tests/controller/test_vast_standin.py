"""The stand-in really runs what is rented, and the official client takes it for the real thing."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import aiohttp
import psutil
import pytest

from tests.controller.vast_calls import rent, session, until
from tests.standins.vast import VastStandin, make_body, make_offer

CLIENT = Path(sys.executable).parent / "vastai"
SELF_DESTROY = """
exec python - <<'END'
import os, time, urllib.request
env = os.environ
request = urllib.request.Request(
    env["API"] + "/api/v0/instances/" + env["CONTAINER_ID"] + "/", data=b"{}", method="DELETE",
    headers={"Authorization": "Bearer " + env["CONTAINER_API_KEY"],
             "Content-Type": "application/json"},
)
print(urllib.request.urlopen(request).read(), flush=True)
time.sleep(60)
END
"""


@pytest.fixture
async def standin(tmp_path):
    async with VastStandin(tmp_path / "instances", [make_offer(), make_offer()]) as standin:
        yield standin


@pytest.fixture
async def http(standin):
    async with session(standin) as http:
        yield http


@pytest.fixture
def vastai(standin, tmp_path):
    """The official client as a process; what it printed, and what it complained of."""
    env = {
        "PATH": os.environ["PATH"], "HOME": str(tmp_path), "VAST_URL": standin.url,
        "VAST_API_KEY": standin.account_key, "VASTAI_NO_UPDATE_CHECK": "1",
        "NO_PROXY": "127.0.0.1",
    }  # fmt: skip
    for name in ("CONFIG", "CACHE", "STATE", "DATA"):
        env[f"XDG_{name}_HOME"] = str(tmp_path / name.lower())

    async def call(*arguments):
        process = await asyncio.create_subprocess_exec(
            CLIENT, *map(str, arguments), env=env, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip
        out, complaint = await process.communicate()
        assert process.returncode == 0  # it says so whatever happens
        return out.decode(), complaint.decode()

    return call


def left_of(directory):
    """Processes at work below this directory."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.status() != psutil.STATUS_ZOMBIE and process.cwd().startswith(
                str(directory)
            ):
                found.append(process)
        except psutil.Error:
            continue
    return found


# --- the official client ---------------------------------------------------------------------


async def test_the_official_client_finds_offers_with_its_own_query(standin, vastai):
    standin.add_offer(dph_base=0.01, cuda_max_good=12.1)
    standin.add_offer(dph_base=0.02, geolocation=", RU")
    standin.add_offer(dph_base=0.03, verification="unverified")
    cheap = standin.add_offer(dph_base=0.04, cuda_max_good=13.0)
    query = (
        "gpu_name=RTX_3060 num_gpus=1 gpu_ram>=12 reliability>0.98 cuda_vers>=12.4 "
        "duration>1 geolocation in [PL,US]"
    )
    out, _ = await vastai("search", "offers", query, "-o", "dph", "--storage", 40, "--raw")
    offers = json.loads(out)
    assert [each["dph_base"] for each in offers] == [0.04, 0.05, 0.05]
    assert offers[0]["id"] == cheap["id"]
    assert offers[0]["dph_total"] == pytest.approx(0.04 + 40 * 0.15 / 720)


async def test_the_official_client_rents_watches_labels_and_destroys(standin, vastai):
    offer = next(iter(standin.offers))
    out, _ = await vastai(
        "create", "instance", offer, "--image", "repo/image:1", "--disk", 20, "--label", "one",
        "--env", "-e WORD=moin -p 8000:8000", "--cancel-unavail", "--onstart-cmd", "bash", "--raw",
        "--args", "-c", "echo $WORD; echo other; sleep 60",
    )  # fmt: skip
    answer = json.loads(out)
    number = answer["new_contract"]
    assert answer["success"] is True
    assert len(answer["instance_api_key"]) == 64
    instance = standin.instances[number]
    await until(lambda: "other" in instance.log())

    row = json.loads((await vastai("show", "instance", number, "--raw"))[0])
    assert (row["actual_status"], row["label"]) == ("running", "one")
    assert row["extra_env"] == {"WORD": "moin", "-p 8000:8000": "1"}
    assert "label for" in (await vastai("label", "instance", number, "two"))[0]
    rows = json.loads((await vastai("show", "instances", "--raw"))[0])
    assert [(each["id"], each["label"]) for each in rows] == [(number, "two")]
    out, _ = await vastai("logs", number, "--tail", 10, "--filter", "moin")
    assert out.split() == ["moin"]

    assert "destroying instance" in (await vastai("destroy", "instance", number, "-y"))[0]
    assert json.loads((await vastai("show", "instance", number, "--raw"))[0]) == {
        "instances": None
    }
    assert "404" in (await vastai("destroy", "instance", number, "-y"))[1]
    assert len(standin.creates) == 1


async def test_the_official_client_is_told_that_an_offer_is_gone(standin, http, vastai):
    instance = await rent(http, standin)
    _, complaint = await vastai(
        "create", "instance", instance.offer["id"], "--image", "x", "--disk", 20, "--raw",
        "--onstart-cmd", "bash", "--args", "-c", "true",
    )  # fmt: skip
    assert json.loads(complaint)["status_code"] == 410
    assert "no longer available" in json.loads(complaint)["msg"]


async def test_the_official_client_pages_and_destroys_many(standin, http, vastai):
    standin.runs = False
    for _ in range(30):
        standin.add_offer()
    instances = [await rent(http, standin) for _ in range(30)]
    rows = json.loads((await vastai("show", "instances", "--raw"))[0])
    assert [row["id"] for row in rows] == [instance.id for instance in instances]
    assert standin.requests["list"] == 2
    await vastai("destroy", "instances", *(row["id"] for row in rows[:-1]), "-y")
    assert [each.id for each in standin.alive()] == [rows[-1]["id"]]
    assert standin.requests["destroy_many"] == 1


# --- instances that run ----------------------------------------------------------------------


async def test_a_container_that_exits_runs_again_in_the_same_directory(standin, http):
    instance = await rent(http, standin, script="echo run; pwd; date >> runs; exit 3")
    await until(lambda: instance.restarts >= 2)
    assert instance.intended == "running"
    assert len((instance.directory / "runs").read_text().splitlines()) >= 2
    assert instance.log().splitlines()[:2] == ["run", str(instance.directory)]


async def test_a_container_sees_only_what_it_was_given(standin, http, monkeypatch):
    monkeypatch.setenv("MY_SECRET", "never")
    standin.host_env = {"OMP_NUM_THREADS": "1"}
    instance = await rent(http, standin, script="env; sleep 60", env={"A": "b", "-p 80:80": "1"})
    await until(lambda: "CONTAINER_ID" in instance.log())
    seen = dict(line.split("=", 1) for line in instance.log().splitlines())
    for name in ("PWD", "SHLVL", "_"):  # bash's own
        seen.pop(name, None)
    assert seen.pop("PATH").startswith(str(Path(sys.executable).parent))
    assert seen == {
        "HOME": str(instance.directory), "A": "b", "OMP_NUM_THREADS": "1",
        "CONTAINER_ID": str(instance.id), "VAST_CONTAINERLABEL": f"C.{instance.id}",
        "CONTAINER_API_KEY": instance.key,
    }  # fmt: skip


async def test_a_container_may_be_without_a_key_and_so_may_the_answer(standin, http):
    standin.container_key = standin.answers_key = False
    offer = next(iter(standin.offers))
    async with http.put(f"/api/v0/asks/{offer}/", json=make_body("env")) as response:
        answer = await response.json()
    assert answer.keys() == {"success", "new_contract"}
    instance = standin.instances[answer["new_contract"]]
    await until(lambda: "CONTAINER_ID" in instance.log())
    assert "CONTAINER_API_KEY" not in instance.log()


async def test_nothing_in_a_container_survives_its_first_process(standin, http):
    instance = await rent(http, standin, script="setsid sleep 300 & sleep 0.2; exit 0")
    standin.restart_s = 60
    await until(lambda: instance.actual == "exited")
    assert instance.container.processes() == []


async def test_destroying_ends_children_in_sessions_of_their_own(standin, http):
    instance = await rent(http, standin, script="setsid sleep 300 & (sleep 300 &) ; sleep 300")
    # one of a session of its own is found a moment later: as soon as it has become the program
    await until(lambda: len(left_of(instance.directory)) >= 3)
    async with http.delete(f"/api/v0/instances/{instance.id}/", json={}) as response:
        assert await response.json() == {"success": True}
    await standin.settle()
    assert left_of(instance.directory) == []
    assert not instance.directory.exists()
    assert standin.alive() == []


async def test_an_instance_destroys_itself_with_its_own_key(standin, http):
    instance = await rent(http, standin, script=SELF_DESTROY, env={"API": standin.url})
    await until(lambda: not standin.alive())
    await standin.settle()
    assert "success" in instance.log()


async def test_nothing_is_left_when_the_stand_in_closes(tmp_path):
    root = tmp_path / "instances"
    offers = [make_offer(), make_offer()]
    async with VastStandin(root, offers) as standin, session(standin) as http:
        script = "setsid sleep 300 & while true; do sleep 0.01; done"
        instances = [await rent(http, standin, script=script) for _ in range(2)]
        await until(lambda: all(len(left_of(each.directory)) >= 2 for each in instances))
    assert left_of(root) == []


async def test_it_serves_as_a_process_of_its_own_and_ends_without_a_trace(tmp_path):
    root = tmp_path / "instances"
    key, config = "k" * 64, {"machines": 3, "account_key": "k" * 64, "offers": [{"id": 7}]}
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.standins.vast", "--instances-dir", root, "--config",
        json.dumps(config), stdout=subprocess.PIPE,
    )  # fmt: skip
    url = (await process.stdout.readline()).decode().strip()
    async with aiohttp.ClientSession(url, headers={"Authorization": f"Bearer {key}"}) as http:
        async with http.post("/api/v0/bundles/", json={}) as response:
            assert len((await response.json())["offers"]) == 4
        async with http.put("/api/v0/asks/7/", json=make_body()) as response:
            number = (await response.json())["new_contract"]
        deadline = time.monotonic() + 10
        while not left_of(root):
            assert time.monotonic() < deadline
            await asyncio.sleep(0.05)
        async with http.get("/standin/report", headers={"Authorization": ""}) as response:
            report = await response.json()
    assert (report["alive"], report["labels"]) == ([number], ["nox1|x"])
    process.send_signal(signal.SIGTERM)
    assert await process.wait() == 0
    assert left_of(root) == []


async def test_a_process_of_its_own_ends_with_its_parent(tmp_path):
    root = tmp_path / "instances"
    command = f"{sys.executable} -m tests.standins.vast --instances-dir {root} & wait"
    parent = await asyncio.create_subprocess_exec("sh", "-c", command, stdout=subprocess.PIPE)
    assert (await parent.stdout.readline()).startswith(b"http://127.0.0.1:")
    parent.kill()
    assert await asyncio.wait_for(parent.stdout.read(), 10) == b""  # nobody holds it any more
    await parent.wait()
