"""What people are called and which language they speak, as they were seen last."""

from __future__ import annotations

from aiogram.types import User

from bot.texts import clean_name
from controller.service import Controller

_NAME, _SPOKEN = "name", "spoken"
#: Jobs of the terminal have this owner.
_TERMINAL = 0


def note_person(controller: Controller, user: User, language: str) -> None:
    """Write down what is new about somebody who is served."""
    name = clean_name(user.full_name, 40)
    for key, value in ((_NAME, name), (_SPOKEN, language)):
        if controller.preference(user.id, key) != value:
            controller.set_preference(user.id, key, value)


def find_name(controller: Controller, user: int) -> str:
    """A name for lists, else the number; ``noxfvr`` for the terminal."""
    if user == _TERMINAL:
        return "noxfvr"
    return controller.preference(user, _NAME) or str(user)


def find_language(controller: Controller, user: int, other: str = "en") -> str:
    """In which language to write to somebody first."""
    chosen = controller.preference(user, "language")
    return chosen or controller.preference(user, _SPOKEN) or other
