"""Promise 9: what leaves the program is looked at as it leaves, whatever becomes of it later."""

import json

from bot.sandbox.chats import Message


class Leaks:
    """Notes each place in which a secret was: objects, messages and edits, and the webhook."""

    def __init__(self, world, secrets: tuple[str, ...]) -> None:
        self._world = world
        self._secrets = [each.encode() for each in secrets]
        shown = world.telegram.on_shown

        def look_at_message(message: Message) -> None:
            # not escaped, as people see it
            self.look("a message", json.dumps(message.raw, ensure_ascii=False).encode())
            shown(message)

        world.telegram.on_shown = look_at_message
        world.objects.on_store = lambda key, data: self.look(f"an object at {_name(key)}", data)
        world.deployment.on_told = lambda body: self.look("what the webhook was told", body)

    def look(self, place: str, data: bytes) -> None:
        if any(secret in data for secret in self._secrets):
            self._world.invariants.note(9, f"a secret is in {place}")


def _name(key: str) -> str:
    """Without what differs from job to job."""
    parts = key.split("/")
    return f"{parts[0]}/…/{parts[-1]}"
