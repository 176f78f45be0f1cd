"""Makes the pictures in docs/pictures: the real bot's cards, as the sandbox's web chat shows them.

``.venv/bin/python docs/make_pictures.py [NAME…]`` (or ``make pictures``) starts ``noxfvr sandbox``
in a folder of its own, talks to the bot in a headless Chromium of a phone's width, and saves what
is seen at twice the size. What is rented are the machines of the tests' stand-in for Vast.ai, at
its prices: the work is real and done on this computer. Needs chromium and the packages of
tests/requirements.txt. Exit code 1 if a picture could not be made.
"""

from __future__ import annotations

import asyncio
import io
import os
import re
import shutil
import signal
import sys
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import click
from PIL import Image
from playwright.async_api import Browser, Error, Locator, Page, async_playwright

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from bot.sandbox import Driver  # noqa: E402
from bot.terminal.sandbox import ADMIN  # noqa: E402
from bot.texts import LANGUAGES, Texts  # noqa: E402
from tests.browser import ARGUMENTS, CHROMIUM  # noqa: E402
from tests.e2e.rented import Rented  # noqa: E402
from tests.standins.vast import make_offer  # noqa: E402

SAMPLE = ROOT / "data" / "samples" / "sample.mp4"
WIDTH, HEIGHT, SCALE = 420, 2400, 2
MARGIN = 10
LARGEST_BYTES = 250_000
STEP_MS, WORK_MS = 30_000, 300_000
OFFERS = [
    make_offer(gpu_name="RTX 5060 Ti", compute_cap=1200, dph_base=0.062),
    make_offer(gpu_name="RTX 3090", compute_cap=860, dph_base=0.081),
    make_offer(gpu_name="RTX 4090", compute_cap=890, dph_base=0.32),
]
#: More than a bot may fetch from Telegram.
TOO_LARGE_BYTES = 24 << 20


class Studio:
    """A chat with the bot in a browser; ``world`` is what it rents and where it keeps files."""

    def __init__(self, page: Page, world: Rented, target: Path, language: str) -> None:
        self.page = page
        self.world = world
        self.text = Texts()[language]
        self._target = target

    async def say(self, text: str) -> None:
        """Send a text, and wait until the bot has answered."""
        before = await self.cards.count()
        await self.page.locator("#text").fill(text)
        await self.page.locator("#text").press("Enter")
        await self.cards.nth(before).wait_for()

    async def send(self, path: Path) -> None:
        await self.page.locator("#files").set_input_files(path)
        await self.page.locator("[data-action=send-files]").click()

    async def press(self, key: str) -> Locator:
        """Press the newest button with the text of ``key``; the card that it is on."""
        card = self.card_with(key)
        await card.wait_for()
        await self.button(card, key).click()
        return card

    @property
    def cards(self) -> Locator:
        """Messages of the bot."""
        return self.page.locator("article.theirs")

    def card_with(self, key: str) -> Locator:
        return self.cards.filter(has=self._key(key)).last

    def button(self, card: Locator, key: str) -> Locator:
        return card.locator(".key", has_text=self._exactly(key)).first

    async def shoot(self, name: str, *shown: Locator) -> None:
        """Save a picture of these messages, one below the other."""
        ids = [await each.get_attribute("data-id") for each in shown]
        await self._tidy(ids)
        boxes = [box for box in [await each.bounding_box() for each in shown] if box]
        top = min(box["y"] for box in boxes) - MARGIN
        bottom = max(box["y"] + box["height"] for box in boxes) + MARGIN
        clip = {"x": 0.0, "y": top, "width": float(WIDTH), "height": bottom - top}
        save(await self.page.screenshot(clip=clip), self._target / f"{name}.png")
        await self.page.evaluate(
            """for (const row of document.querySelectorAll("article")) {
              row.style.visibility = "";
              for (const film of row.querySelectorAll("video")) film.controls = true;
            }"""
        )

    async def shoot_page(self, name: str, url: str) -> None:
        """Save a picture of a page of its own, as a phone shows it."""
        page = await self.page.context.new_page()
        await page.set_viewport_size({"width": WIDTH, "height": 480})
        await page.goto(url)
        await page.wait_for_timeout(1500)
        save(await page.screenshot(), self._target / f"{name}.png")
        await page.close()

    async def _tidy(self, ids: list[str | None]) -> None:
        """Only these messages, all pictures there; no notes, no focus, no pointer."""
        await self.page.mouse.move(1, 1)
        await self.page.evaluate(
            """async (ids) => {
              document.activeElement?.blur();
              for (const film of document.querySelectorAll("article video")) {
                film.controls = false;
                film.currentTime = film.duration / 2;
                await new Promise((resolve) => film.addEventListener("seeked", resolve));
              }
              for (const row of document.querySelectorAll("article")) {
                row.style.visibility = ids.includes(row.dataset.id) ? "" : "hidden";
              }
              document.getElementById("toasts").replaceChildren();
              const seen = [...document.querySelectorAll("article img")];
              await Promise.all(seen.map((image) => image.decode().catch(() => null)));
            }""",
            ids,
        )
        await self.page.wait_for_timeout(300)

    def _key(self, key: str) -> Locator:
        return self.page.locator(".key", has_text=self._exactly(key))

    def _exactly(self, key: str) -> re.Pattern[str]:
        return re.compile(rf"^\s*{re.escape(self.text(key))}\s*$|^{re.escape(self.text(key))} \(")


async def make_plan(studio: Studio) -> None:
    await studio.send(named_copy(studio, "holiday.mp4"))
    card = studio.card_with("button-start")
    await card.wait_for(timeout=60_000)
    await studio.page.wait_for_timeout(2500)  # the quote comes a moment after the card
    await studio.shoot("plan", studio.page.locator("article.mine").last, card)


async def make_settings(studio: Studio) -> None:
    await studio.press("button-settings")
    card = studio.card_with("button-back")
    await card.wait_for()
    await studio.shoot("settings", card)
    await studio.press("button-back")


async def make_sample(studio: Studio) -> None:
    await studio.press("button-sample")
    card = studio.card_with("button-run-all")
    await card.wait_for(timeout=WORK_MS)
    await studio.page.wait_for_timeout(3000)  # the clip follows the picture
    media = studio.cards.filter(has=studio.page.locator(".photo, .film"))
    shown = [media.nth(index) for index in range(await media.count())]
    await studio.shoot("sample", *shown, card)


async def make_running(studio: Studio) -> None:
    start = studio.cards.filter(has=studio.page.locator(".key.is-success")).last
    await start.locator(".key.is-success").first.click()
    # a bar that is neither empty nor full
    card = studio.cards.filter(has_text=re.compile("▰{2,}▱+")).last
    await card.wait_for(timeout=WORK_MS)
    await studio.page.wait_for_timeout(1500)
    await studio.shoot("running", card)


async def make_result(studio: Studio) -> None:
    name = re.compile(r"holiday_[^·]*(?<!_clip)\.mp4 ·")
    found = studio.cards.filter(has=studio.page.locator(".save", has_text=name)).last
    await found.wait_for(timeout=WORK_MS)
    await studio.page.wait_for_timeout(5000)  # before and after come as messages of their own
    await studio.shoot("result", found)


async def make_batch(studio: Studio) -> None:
    for name in ("beach.mp4", "dinner.mp4", "fireworks.mp4"):
        studio.world.b2.put(f"input/c1/{name}", SAMPLE.read_bytes())
    await studio.say("/batch input/c1")
    card = studio.cards.filter(has_text="dinner.mp4").last
    await card.locator(".key.is-success").first.click()
    await card.filter(has_text="✅").wait_for(timeout=WORK_MS)
    await studio.page.wait_for_timeout(4000)  # the next one is under way
    await studio.shoot("batch", studio.page.locator("article.mine").last, card)


async def make_status(studio: Studio) -> None:
    await studio.say("/status")
    await studio.shoot("status", studio.page.locator("article.mine").last, studio.cards.last)


async def make_spend(studio: Studio) -> None:
    await studio.say("/spend")
    await studio.page.wait_for_timeout(1500)
    await studio.shoot("spend", studio.page.locator("article.mine").last, studio.cards.last)


async def make_upload(studio: Studio) -> None:
    large = named_copy(studio, "concert.mp4")
    with large.open("ab") as file:
        file.truncate(TOO_LARGE_BYTES)
    await studio.send(large)
    card = studio.card_with("button-upload")
    await card.wait_for()
    # an app needs https, so that here it is a link
    link = await studio.button(card, "button-upload").get_attribute("href")
    await studio.shoot_page("upload", str(link))


#: In the order of one conversation: a later one goes on where an earlier one left off.
STEPS: dict[str, Callable[[Studio], Awaitable[None]]] = {
    "plan": make_plan,
    "settings": make_settings,
    "sample": make_sample,
    "running": make_running,
    "result": make_result,
    "batch": make_batch,
    "status": make_status,
    "spend": make_spend,
    "upload": make_upload,
}


def named_copy(studio: Studio, name: str) -> Path:
    return Path(shutil.copyfile(SAMPLE, studio.world.home / name))


def save(png: bytes, path: Path) -> None:
    """As few colours as it takes to be small; 256 do for cards with a photo."""
    image = Image.open(io.BytesIO(png)).convert("RGB")
    for colours in (256, 128, 64, 32):
        small = io.BytesIO()
        image.quantize(colours, method=Image.Quantize.MEDIANCUT).save(small, "PNG", optimize=True)
        if small.tell() <= LARGEST_BYTES:
            break
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(small.getvalue())
    click.echo(f"{path.name}: {image.width}×{image.height}, {small.tell() // 1000} kB")


@asynccontextmanager
async def serve(world: Rented) -> AsyncIterator[str]:
    """``noxfvr sandbox`` with the keys of a world; the URL of its page."""
    env = os.environ | world.env | {"NOXFVR_SEGMENT_S": "1", "NOXFVR_MAX_MACHINES": "1"}
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "bot", "sandbox", "--no-open",
        cwd=ROOT, env=env, stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        line = (await process.stdout.readline()).decode() if process.stdout else ""
        found = re.search(r"http://127\.0\.0\.1:\d+", line)
        if found is None:
            raise click.ClickException("the sandbox did not start")
        yield found[0]
    finally:
        if process.returncode is None:
            process.send_signal(signal.SIGINT)
        await process.wait()


async def open_chat(browser: Browser, url: str, language: str, dark: bool) -> Page:
    async with Driver(url) as driver:
        await driver.person(ADMIN, "Ann", username="ann", language_code=language)
    context = await browser.new_context(
        viewport={"width": WIDTH, "height": HEIGHT},
        device_scale_factor=SCALE,
        color_scheme="dark" if dark else "light",
        reduced_motion="reduce",
    )
    context.set_default_timeout(STEP_MS)
    page = await context.new_page()
    await page.goto(url)
    await page.locator("#instead").click()
    await page.locator("article.theirs").first.wait_for()
    return page


async def make_all(wanted: tuple[str, ...], target: Path, language: str, dark: bool) -> bool:
    """True if all that were wanted were made; steps before them are gone through as well."""
    last = max(list(STEPS).index(name) for name in wanted)
    missing = []
    with tempfile.TemporaryDirectory(prefix="pictures-") as folder:
        world = Rented(Path(folder), offers=OFFERS)
        async with world, serve(world) as url, async_playwright() as playwright:
            browser = await playwright.chromium.launch(
                executable_path=CHROMIUM, args=list(ARGUMENTS)
            )
            page = await open_chat(browser, url, language, dark)
            studio = Studio(page, world, target, language)
            for name in list(STEPS)[: last + 1]:
                try:
                    await STEPS[name](studio)
                except (Error, LookupError, ValueError) as error:
                    missing.append(name)
                    click.echo(f"{name}: not made: {str(error).splitlines()[0]}", err=True)
                    await page.screenshot(path=target / f"{name}-failed.png")
            await browser.close()
    return not set(missing) & set(wanted)


@click.command()
@click.argument("names", nargs=-1, type=click.Choice(list(STEPS)), metavar="[NAME…]")
@click.option("--language", type=click.Choice(LANGUAGES), default="en", show_default=True)
@click.option("--dark", is_flag=True)
@click.option(
    "--to", "target", type=click.Path(path_type=Path), default=ROOT / "docs" / "pictures"
)
def main(names: tuple[str, ...], language: str, target: Path, *, dark: bool) -> None:
    """Make the named pictures, or all."""
    target.mkdir(parents=True, exist_ok=True)
    made = asyncio.run(make_all(names or tuple(STEPS), target, language, dark))
    sys.exit(0 if made else 1)


if __name__ == "__main__":
    main()
