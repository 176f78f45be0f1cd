"""What hosts of the simulated Vast.ai do with an instance: they pull, start, fail and vanish."""

import asyncio

from tests.simulation.faults import Fault
from tests.simulation.outside.instances import SimInstance
from tests.simulation.outside.states import Lazily

_MISHAPS = (Fault.HOST_OFFLINE, Fault.STOPPED, Fault.VANISHES, Fault.PRICE_RISES)
#: Mishaps are looked for so often that they meet what lasts for seconds, and each is seldom.
_BETWEEN_S, _MISHAP_WEIGHT = (10, 40), 1 / 3
_SOON_S = (1, 8)
_LONGEST_OFFLINE_S = 900.0
#: How long a host takes for all that comes before a container runs: most have the image already.
_PACES = (0.2, 0.2, 0.3, 1.0)
#: What the image of the work weighs on the wire.
_IMAGE_GB = 3.9
_OCI = (
    "Error response from daemon: failed to create task for container C.{id}: OCI runtime create "
    'failed: runc create failed: exec: "/bin/bash": no such file or directory'
)


async def host(vast, instance: SimInstance) -> None:
    """From the contract to the end of the container, however that comes about."""
    if await _start(vast, instance):
        instance.gb_down += _IMAGE_GB
        instance.show("running", f"success, running {instance.body['image']}/args")
        vast.on_start(instance)
        while instance.runs:
            await asyncio.sleep(vast.faults.after(*_BETWEEN_S))
            if instance.runs:
                await _meet_mishap(vast, instance)


async def outlive(vast, instance: SimInstance) -> None:
    """An end was asked for in vain: what else may happen to it does so while it lasts."""
    await asyncio.sleep(vast.faults.after(*_SOON_S))
    if instance.runs:
        await _meet_mishap(vast, instance)


async def _start(vast, instance: SimInstance) -> bool:
    """Pull and create; whether it came to an end."""
    faults, states = vast.faults, Lazily(vast.states, instance.label)
    never = faults.hit(Fault.NEVER_STARTS, states)
    if never and faults.rng.random() < 0.3:
        return False  # nothing is ever told of it
    fails = not never and faults.hit(Fault.HOST_FAILS, states, weight=0.5)
    pace = faults.rng.choice(_PACES)
    await asyncio.sleep(faults.after(1, 8))
    fails = fails or (not never and faults.hit(Fault.HOST_FAILS, states, weight=0.5))
    for place, (actual, words, length) in enumerate(
        (
            ("created", "", (1, 15)),
            ("loading", "5f70bf18a086: Downloading [====>      ]  412.3MB/3.1GB", (5, 90)),
            ("loading", "5f70bf18a086: Pull complete", (2, 60)),
            ("loading", f"Successfully loaded {instance.body['image']}", (1, 10)),
        )
    ):
        if not _is_wanted(instance):
            return False
        if fails and place == 1:
            _fail(vast, instance)
            return False
        instance.show(actual, words)
        if never and place == 1:
            return False
        await asyncio.sleep(pace * faults.after(*length))
    return _is_wanted(instance)


def _is_wanted(instance: SimInstance) -> bool:
    return instance.exists and instance.cur == "running"


def _fail(vast, instance: SimInstance) -> None:
    """It says why, or it is a host that has died."""
    if vast.faults.rng.random() < 0.5:
        instance.show("created", _OCI.format(id=instance.id))
    else:
        instance.stop()
        instance.show("loading", "")


async def _meet_mishap(vast, instance: SimInstance) -> None:
    states = Lazily(vast.states, instance.label)
    match vast.faults.pick(_MISHAPS, states, weight=_MISHAP_WEIGHT):
        case Fault.HOST_OFFLINE:
            instance.set_offline(True)
            await asyncio.sleep(vast.faults.after(20, _LONGEST_OFFLINE_S))
            instance.set_offline(False)
        case Fault.STOPPED:
            vast.stop(instance)
        case Fault.VANISHES:
            vast.end(instance)
        case Fault.PRICE_RISES:
            instance.set_price(instance.price * vast.faults.rng.uniform(1.1, 3.0))
