"""A real Chromium for tests of pages: ``from tests.browser import browser`` in a conftest."""

import os
import shutil
from pathlib import Path

import pytest

from tests.lacking import leave_out

CHROMIUM = os.environ.get("CHROMIUM", "/usr/bin/chromium")
#: Root may not use Chromium's own sandbox, and a container has little shared memory.
ARGUMENTS = ("--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu", "--mute-audio")
STEP_MS = 5000


@pytest.fixture
async def browser():
    """A fresh headless Chromium; open pages with :func:`open_page`."""
    playwright_api = pytest.importorskip(
        "playwright.async_api", reason="the package playwright is not installed"
    )
    if not Path(CHROMIUM).exists() and not shutil.which(CHROMIUM):
        leave_out(f"there is no {CHROMIUM}: install chromium, or name one in CHROMIUM")
    async with playwright_api.async_playwright() as playwright:
        running = await playwright.chromium.launch(
            executable_path=CHROMIUM, args=list(ARGUMENTS), timeout=30_000
        )
        yield running
        await running.close()


class Complaints(list):
    """Errors that a page wrote to its console or threw; a test ends with ``== []``."""

    def watch(self, page) -> None:
        page.on("pageerror", lambda error: self.append(f"thrown: {error}"))
        page.on("console", self._note)

    def _note(self, message) -> None:
        if message.type in {"error", "warning"}:
            self.append(f"{message.type}: {message.text} ({message.location.get('url', '')})")


async def open_page(browser, url, *, width=1000, height=800, **options):
    """A page in a context of its own, and what it complains of."""
    context = await browser.new_context(viewport={"width": width, "height": height}, **options)
    context.set_default_timeout(STEP_MS)
    page = await context.new_page()
    complaints = Complaints()
    complaints.watch(page)
    await page.goto(url)
    return page, complaints
