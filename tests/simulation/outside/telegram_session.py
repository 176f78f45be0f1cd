"""What aiogram sees in the place of a connection to Telegram."""

from functools import cache
from typing import TYPE_CHECKING, Any

import aiohttp
from aiogram.client.session.base import BaseSession
from aiogram.exceptions import TelegramNetworkError
from aiogram.methods.base import Response

from tests.simulation.faults import Fault
from tests.simulation.outside.states import Lazily
from tests.simulation.process import Process

if TYPE_CHECKING:
    from tests.simulation.outside.telegram import SimTelegram

_FATES = (
    Fault.TELEGRAM_REQUEST_LOST, Fault.TELEGRAM_ANSWER_LOST, Fault.TELEGRAM_IN_FLIGHT,
)  # fmt: skip


class SimSession(BaseSession):
    """aiogram's session of one process."""

    def __init__(self, process: Process, telegram: "SimTelegram") -> None:
        super().__init__()
        self._process, self._telegram = process, telegram

    async def close(self) -> None:
        return

    async def make_request(self, bot, method, timeout=None):  # noqa: ASYNC109
        name = method.__api_method__
        values, uploads = await self._prepare(bot, method)
        if name == "getUpdates":
            offset, wait_s = int(values.get("offset", 0)), float(values.pop("timeout", 0))
            await self._telegram.wait_for_updates(offset, wait_s)
        status, content = await self._exchange(
            method, name, values, uploads, self.timeout if timeout is None else timeout
        )
        _keep_response(method.__returning__)
        return self.check_response(
            bot=bot, method=method, status_code=status, content=content
        ).result

    async def stream_content(
        self,
        url,
        headers=None,
        timeout=30,  # noqa: ASYNC109
        chunk_size=65536,
        raise_for_status=True,
    ):
        path = url.partition(f"/file/bot{self._telegram.token}/")[2]
        data = await self._process.exchange(
            "telegram file", lambda: self._telegram.file(path), lost=TimeoutError, fates=_FATES,
            states=Lazily(self._telegram.states, None), timeout_s=timeout,
        )  # fmt: skip
        if data is None:
            raise aiohttp.ClientPayloadError("404 Not Found")
        yield data

    async def _prepare(self, bot, method):
        """As aiogram fills its form: what is empty is not sent, files are parts of their own."""
        files: dict[str, Any] = {}
        values = {}
        for key, value in method.model_dump(warnings=False).items():
            prepared = self.prepare_value(value, bot=bot, files=files)
            if prepared:
                values[key] = prepared
        uploads = {
            key: (file.filename or key, b"".join([chunk async for chunk in file.read(bot)]))
            for key, file in files.items()
        }
        return values, uploads

    async def _exchange(self, method, name, values, uploads, timeout_s):
        telegram = self._telegram
        sent = []

        def serve():
            before = len(telegram.sends)
            answer = telegram.serve(name, values, uploads)
            sent.extend(telegram.sends[before:])
            return answer

        try:
            answer = await self._process.exchange(
                f"telegram {name}", serve, lost=TimeoutError, fates=_FATES,
                states=Lazily(telegram.states, chat_of(values)), timeout_s=timeout_s,
            )  # fmt: skip
        except TimeoutError as error:
            raise TelegramNetworkError(method=method, message="Request timeout error") from error
        telegram.heard.update((each.chat, each.message) for each in sent)
        return answer


def chat_of(values: dict[str, Any]) -> int | None:
    chat = values.get("chat_id")
    return int(chat) if chat is not None and str(chat).lstrip("-").isdecimal() else None


@cache
def _keep_response(kind: object) -> object:
    """Pydantic forgets the class of an answer with the answer, and takes long to make it anew."""
    return Response[kind]
