"""All bugs that are planted, by what they break."""

from __future__ import annotations

from tests.mutants.backups import BACKUPS
from tests.mutants.chats import CHATS
from tests.mutants.endings import ENDINGS
from tests.mutants.listings import LISTINGS
from tests.mutants.money import MONEY
from tests.mutants.moves import MOVES
from tests.mutants.mutant import Mutant
from tests.mutants.privacy import PRIVACY
from tests.mutants.renting import RENTING
from tests.mutants.results import RESULTS
from tests.mutants.work import WORK

MUTANTS: tuple[Mutant, ...] = (
    *MOVES,
    *RENTING,
    *LISTINGS,
    *ENDINGS,
    *MONEY,
    *RESULTS,
    *WORK,
    *CHATS,
    *PRIVACY,
    *BACKUPS,
)
