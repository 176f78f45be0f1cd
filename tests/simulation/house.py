"""The house that a run begins with: settings, an empty database, clock and chance."""

import random
import secrets
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import cache
from pathlib import Path
from unittest.mock import patch

import ulid

from bot.settings import BotSettings
from controller.settings import Settings
from controller.store import Store
from tests.simulation.deployment import WEBHOOK
from tests.simulation.loop import SimLoop
from tests.simulation.people import ADMIN, USERS
from tests.simulation.plan import Plan

START = 1_800_000_000.0
TOKEN = "424242:SIMULATED-token-of-the-bot-000000"
VAST_KEY = "5e" * 32
B2_SECRET = "simulated-secret-of-the-bucket"
HOOK_SECRET = "simulated-secret-of-the-webhook"
SECRETS = (TOKEN, VAST_KEY, B2_SECRET, HOOK_SECRET)
_DEPLOYMENT = "simulate"


class Clock:
    """Of the computer that the program runs on; ``offset_s`` is how wrong it is."""

    def __init__(self, loop: SimLoop) -> None:
        self._loop = loop
        self.offset_s = 0.0

    def __call__(self) -> float:
        return START + self._loop.time() + self.offset_s


@contextmanager
def seeded_chance(seed: int, now: Callable[[], float]) -> Iterator[None]:
    """Ids and everything else that programs draw by chance, from the seed."""
    _template()  # the first run in a process would draw for it
    rng = random.Random(f"chance {seed}")
    random.seed(f"global {seed}")
    generator = ulid.ULIDGenerator(
        clock=lambda: int(now() * 1000), randomness=lambda _: rng.randbytes(10)
    )
    with ExitStack() as stack:
        for owner, name, value in (
            (ulid, "default_generator", generator),
            (secrets, "randbits", rng.getrandbits),
            (secrets, "token_bytes", lambda n=32: rng.randbytes(n)),
            (secrets, "token_hex", lambda n=32: rng.randbytes(n).hex()),
            (secrets, "token_urlsafe", lambda n=32: rng.randbytes(n).hex()),
        ):
            stack.enter_context(patch.object(owner, name, value))
        yield


def make_settings(plan: Plan, folder: Path) -> Settings:
    values = {
        "provider": "vast", "storage": "s3", "data_dir": folder / "data",
        "vast_api_key": VAST_KEY, "b2_bucket": "nox", "b2_key": "simulated",
        "b2_secret": B2_SECRET, "b2_endpoint": "https://bucket.sim", "b2_region": "sim",
        "secrets": SECRETS, "day_budget": 3.0, "job_budget": 1.0,
    }  # fmt: skip
    if plan.with_webhook:
        values |= {"webhook_url": WEBHOOK, "webhook_secret": HOOK_SECRET}
    return Settings(**values | plan.settings)


def make_bot_settings() -> BotSettings:
    return BotSettings(token=TOKEN, admins=frozenset({ADMIN}), users=frozenset(USERS))


def lay_out(settings: Settings) -> None:
    """An empty deployment, whose name is always the same."""
    settings.data_dir.mkdir(parents=True)
    settings.database.write_bytes(_template())
    (settings.data_dir / "web.key").write_bytes(b"k" * 64)


@cache
def _template() -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "noxfvr.db"
        store = Store(path, clock=lambda: START)
        store.claim("deployment", _DEPLOYMENT)
        store.close()
        return path.read_bytes()
