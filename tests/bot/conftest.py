import pytest

from bot.settings import BotSettings
from bot.texts import Texts
from tests.bot.stage import ADMIN, OTHER, TOKEN, USER, Stage
from tests.controller.conftest import Clock, House
from tests.controller.standins import RentedProvider, ScriptedProvider


@pytest.fixture
def house(tmp_path):
    house = House(tmp_path / "data", Clock(), ScriptedProvider())
    yield house
    house.store.close()


@pytest.fixture
def rented(tmp_path):
    """A house whose machines are other people's."""
    house = House(tmp_path / "rented", Clock(), RentedProvider())
    yield house
    house.store.close()


@pytest.fixture
def bot_settings():
    return BotSettings(token=TOKEN, admins=frozenset({ADMIN}), users=frozenset({USER, OTHER}))


@pytest.fixture
def texts():
    return Texts()


@pytest.fixture
def stage(house, bot_settings):
    return Stage(house, bot_settings)
