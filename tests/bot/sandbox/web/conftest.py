import pytest

from tests.browser import browser, open_page

__all__ = ["browser"]


@pytest.fixture
async def ann(driver):
    person = await driver.person(7, "Ann", language_code="en")
    await person.chat.send_text("/start")
    return person


@pytest.fixture
async def page(browser, sandbox, ann):
    """Ann's app; at the end nothing may have been written to the browser's console."""
    shown, complaints = await open_page(browser, sandbox.base_url)
    await shown.get_by_role("heading", name="noxfvr").wait_for()
    yield shown
    assert complaints == []
