import dataclasses
import hashlib
import hmac
import itertools
import json
from contextlib import asynccontextmanager

import pytest
from aiohttp import web

from controller.loops.webhook import Webhook
from controller.records import Actor
from remote_runner.protocol import Phase
from tests.controller.conftest import video

SECRET = "a-shared-secret-of-the-receiver"
OUTPUT = video(width=640, height=360)


class Receiver:
    """A real HTTP server; ``statuses`` are used up request by request."""

    def __init__(self) -> None:
        self.received = []
        self.statuses = []
        self.url = ""
        self._runner = None

    async def start(self, port=0):
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self._answer)
        self._runner = web.AppRunner(app, access_log=None)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", port).start()
        host, port = self._runner.addresses[0][:2]
        self.url = f"http://{host}:{port}/hook"
        return port

    async def stop(self):
        await self._runner.cleanup()

    @property
    def accepted(self):
        return [each for each in self.received if each["status"] < 300]

    async def _answer(self, request):
        body = await request.read()
        status = self.statuses.pop(0) if self.statuses else 200
        self.received.append(
            {"headers": request.headers, "body": body, "status": status, "path": request.path}
        )
        headers = {"Location": "/elsewhere"} if 300 <= status < 400 else {}
        return web.Response(status=status, headers=headers)


@pytest.fixture
async def receiver():
    receiver = Receiver()
    await receiver.start()
    yield receiver
    await receiver.stop()


def webhook(house, url):
    settings = dataclasses.replace(house.settings, webhook_url=url, webhook_secret=SECRET)
    return Webhook(store=house.store, storage=house.storage, settings=settings, clock=house.clock)


@asynccontextmanager
async def running(house, name):
    job = await house.queued(name)
    await house.tick()
    machine = house.machine()
    house.runner.heartbeat(machine, phase=Phase.UPLOADING)
    await house.tick()
    yield job, machine
    await house.tick()


async def finished(house, name="clip.mp4"):
    async with running(house, name) as (job, machine):
        house.runner.finish(machine, OUTPUT)
    return house.job(job)


def is_signed(message):
    """By the documented rule, computed here and not by the sender's code."""
    stamp = message["headers"]["X-Noxfvr-Timestamp"]
    signed = stamp.encode() + b"." + message["body"]
    digest = hmac.new(SECRET.encode(), signed, hashlib.sha256).hexdigest()
    return message["headers"]["X-Noxfvr-Signature"] == f"sha256={digest}"


def numbers(messages):
    return [message["headers"]["X-Noxfvr-Event"] for message in messages]


async def test_a_job_that_is_done_is_told_with_its_result_and_a_signature(house, receiver):
    hook = webhook(house, receiver.url)
    job = await finished(house)
    assert await hook.tick() == 1
    (message,) = receiver.received
    assert is_signed(message)
    assert message["headers"]["X-Noxfvr-Timestamp"] == str(int(house.clock()))
    told = json.loads(message["body"])
    assert (told["job"], told["status"], told["name"]) == (job.id, "completed", "clip.mp4")
    assert told["output_name"] == job.output_key.removeprefix("output/")
    assert told["result_url"] == house.controller.result_link(job)
    assert told["sha256"] == hashlib.sha256(OUTPUT).hexdigest()
    assert told["bytes"] == len(OUTPUT)
    assert str(told["event"]) == message["headers"]["X-Noxfvr-Event"]
    assert await hook.tick() == 0
    assert len(receiver.received) == 1


async def test_a_changed_body_or_time_does_not_verify(house, receiver):
    hook = webhook(house, receiver.url)
    await finished(house)
    await hook.tick()
    (message,) = receiver.received
    assert not is_signed({**message, "body": message["body"].replace(b"completed", b"cancelled")})
    later = {**message["headers"], "X-Noxfvr-Timestamp": "1"}
    assert not is_signed({**message, "headers": later})


async def test_cancelled_and_failed_jobs_are_told_without_a_result(house, receiver):
    hook = webhook(house, receiver.url)
    job = await house.queued()
    house.controller.cancel(job.id, by=Actor(7))
    await hook.tick()
    (message,) = receiver.received
    told = json.loads(message["body"])
    assert (told["status"], told["reason"]) == ("cancelled", "user")
    assert (told["result_url"], told["output_name"], told["sha256"]) == (None, None, None)


async def test_nothing_but_ends_is_told(house, receiver):
    hook = webhook(house, receiver.url)
    async with running(house, "clip.mp4"):
        assert await hook.tick() == 0
    assert receiver.received == []


async def test_ends_are_told_in_their_order(house, receiver):
    hook = webhook(house, receiver.url)
    jobs = [await house.queued(f"{number}.mp4") for number in range(5)]
    for job in reversed(jobs):
        house.controller.cancel(job.id, by=Actor(7))
    assert await hook.tick() == 5
    told = [json.loads(each["body"])["job"] for each in receiver.received]
    assert told == [job.id for job in reversed(jobs)]
    events = [int(number) for number in numbers(receiver.received)]
    assert events == sorted(events)


@pytest.mark.parametrize("status", [500, 404, 302])
async def test_what_is_not_accepted_is_repeated_with_the_same_number(house, receiver, status):
    hook = webhook(house, receiver.url)
    first, second = await house.queued("a.mp4"), await house.queued("b.mp4")
    for job in (first, second):
        house.controller.cancel(job.id, by=Actor(7))
    receiver.statuses = [status, status]
    for _ in range(10):
        house.clock.advance(3)
        await hook.tick()
    sent = numbers(receiver.received)
    assert sent[0] == sent[1] == sent[2] < sent[3]
    assert len(sent) == 4
    assert all(is_signed(each) for each in receiver.received)
    assert {each["path"] for each in receiver.received} == {"/hook"}  # redirects lead nowhere
    stamps = [each["headers"]["X-Noxfvr-Timestamp"] for each in receiver.received[:3]]
    assert len(set(stamps)) == 3  # the time is that of the try


async def test_waits_between_tries_grow(house, receiver):
    hook = webhook(house, receiver.url)
    job = await house.queued()
    house.controller.cancel(job.id, by=Actor(7))
    receiver.statuses = [503] * 100
    tries = []
    for _ in range(400):
        house.clock.advance(1)
        before = len(receiver.received)
        await hook.tick()
        if len(receiver.received) > before:
            tries.append(house.clock())
    gaps = [round(b - a) for a, b in itertools.pairwise(tries)]
    assert gaps == [5, 10, 20, 40, 80, 160]


async def test_a_receiver_that_is_down_is_told_when_it_is_back(house):
    receiver = Receiver()
    port = await receiver.start()
    hook = webhook(house, receiver.url)
    job = await house.queued()
    house.controller.cancel(job.id, by=Actor(7))
    await receiver.stop()
    assert await hook.tick() == 0
    await receiver.start(port)
    house.clock.advance(6)
    assert await hook.tick() == 1
    await receiver.stop()
    assert json.loads(receiver.accepted[0]["body"])["job"] == job.id


async def test_a_wait_that_began_by_a_clock_that_was_ahead_does_not_last_as_long(house, receiver):
    hook = webhook(house, receiver.url)
    job = await house.queued()
    house.controller.cancel(job.id, by=Actor(7))
    receiver.statuses = [503]
    assert await hook.tick() == 0
    house.clock.advance(-2 * 3600)
    assert await hook.tick() == 1


async def test_a_restart_repeats_what_was_not_accepted_and_nothing_else(house, receiver):
    hook = webhook(house, receiver.url)
    first, second = await house.queued("a.mp4"), await house.queued("b.mp4")
    house.controller.cancel(first.id, by=Actor(7))
    assert await hook.tick() == 1
    receiver.statuses = [500]
    house.controller.cancel(second.id, by=Actor(7))
    assert await hook.tick() == 0

    house.restart()
    again = webhook(house, receiver.url)
    assert await again.tick() == 1
    sent = numbers(receiver.received)
    assert len(sent) == 3
    assert sent[1] == sent[2] != sent[0]
    assert len({each["headers"]["X-Noxfvr-Event"] for each in receiver.accepted}) == 2


async def test_an_address_that_is_configured_later_hears_nothing_of_the_past(house, receiver):
    silent = webhook(house, "")
    old = await house.queued("old.mp4")
    house.controller.cancel(old.id, by=Actor(7))
    assert await silent.tick() == 0
    house.restart()

    hook = webhook(house, receiver.url)
    assert await hook.tick() == 0
    new = await house.queued("new.mp4")
    house.controller.cancel(new.id, by=Actor(7))
    assert await hook.tick() == 1
    (message,) = receiver.received
    assert json.loads(message["body"])["job"] == new.id


async def test_an_address_that_accepts_nothing_for_days_does_not_hold_up_the_rest(
    house, receiver, caplog
):
    hook = webhook(house, receiver.url)
    first, second = await house.queued("a.mp4"), await house.queued("b.mp4")
    house.controller.cancel(first.id, by=Actor(7))
    receiver.statuses = [500, 500]
    await hook.tick()
    house.clock.advance(3 * 86400 + 60)
    house.controller.cancel(second.id, by=Actor(7))
    await hook.tick()
    (message,) = receiver.accepted
    assert json.loads(message["body"])["job"] == second.id
    assert f"was not told of job {first.id}" in caplog.text


async def test_the_secret_leaves_in_no_form(house, receiver, caplog):
    hook = webhook(house, receiver.url)
    await finished(house)
    receiver.statuses = [500]
    await hook.tick()
    house.clock.advance(10)
    await hook.tick()
    assert len(receiver.received) == 2
    for message in receiver.received:
        sent = message["body"] + repr(dict(message["headers"])).encode()
        assert SECRET.encode() not in sent
    assert SECRET not in caplog.text
    assert SECRET not in repr(hook._settings)
