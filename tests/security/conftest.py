import pytest

from tests.security.observed import Listener


@pytest.fixture
def listener():
    made = Listener()
    yield made
    made.close()
