"""Everything that can go wrong outside the controller, and how often it did so in which state."""

import random
from collections import Counter
from collections.abc import Sequence
from enum import StrEnum, auto


class Fault(StrEnum):
    """One thing that goes wrong. The three of Ray for every call come first."""

    # any call to an outside system
    VAST_REQUEST_LOST = auto()
    VAST_ANSWER_LOST = auto()
    VAST_IN_FLIGHT = auto()  #: no answer in time; it is carried out later
    STORAGE_REQUEST_LOST = auto()
    STORAGE_ANSWER_LOST = auto()
    STORAGE_IN_FLIGHT = auto()
    TELEGRAM_REQUEST_LOST = auto()
    TELEGRAM_ANSWER_LOST = auto()
    TELEGRAM_IN_FLIGHT = auto()

    # Vast.ai: create
    CREATE_OFFER_GONE = auto()
    CREATE_NO_CREDIT = auto()
    CREATE_LIMITED = auto()  #: 429
    CREATE_SERVER_ERROR = auto()  #: 5xx, nothing was made
    CREATE_SERVER_ERROR_AFTER = auto()  #: 5xx, and the instance exists
    CREATE_HTML = auto()
    CREATE_ERROR_WITH_CONTRACT = auto()  #: an error, ``new_contract``, and a stopped instance
    # Vast.ai: listing
    LIST_LIMITED = auto()  #: 429 without Retry-After
    LIST_LIMITED_LONG = auto()  #: 429 with Retry-After
    LIST_SERVER_ERROR = auto()
    LIST_HTML = auto()
    LIST_ERROR_BODY = auto()  #: 200 with an error in it
    LIST_EMPTY = auto()  #: 200 and an empty list, nothing said of a total
    LIST_NOTHING = auto()  #: the same, well-formed, and a total of 0
    LIST_PAGE_MISSING = auto()
    LIST_HIDES_NEW = auto()  #: a new instance does not show for up to 120 s
    LIST_SHOWS_DEAD = auto()
    # Vast.ai: destroy
    DESTROY_LIMITED = auto()
    DESTROY_SERVER_ERROR = auto()
    DESTROY_LIES = auto()  #: success, and it lives on
    # Vast.ai: market, logs, account
    SEARCH_SERVER_ERROR = auto()
    SEARCH_EMPTY = auto()
    LOGS_FAIL = auto()
    CREDIT_EXHAUSTED = auto()
    # Vast.ai: instances
    NEVER_STARTS = auto()  #: loading for ever
    HOST_FAILS = auto()  #: the container cannot start
    HOST_OFFLINE = auto()
    STOPPED = auto()  #: outbid or taken back
    VANISHES = auto()
    PRICE_RISES = auto()
    HOST_CLOCK_SKEW = auto()

    # the runner
    RUNNER_CRASHES = auto()
    RUNNER_OUT_OF_MEMORY = auto()  #: exit 137
    RUNNER_HANGS = auto()
    RUNNER_SLOW = auto()
    RUNNER_FAILS = auto()  #: a typed failure
    RUNNER_BABBLES = auto()  #: no document of the protocol
    RUNNER_QUIET = auto()  #: it works, and none of its signs of life arrives
    RESULT_WRONG = auto()
    RESULT_LATE = auto()  #: uploaded after it was declared dead
    RESULT_TWICE = auto()
    UPLOAD_TRUNCATED = auto()
    WATCHDOG_MISSING = auto()

    # storage
    STORAGE_SERVER_ERROR = auto()
    STORAGE_SLOW = auto()
    STORAGE_LAGS = auto()  #: "not there" just after it was written
    URL_EXPIRED = auto()  #: 403 for a runner
    PART_MISSING = auto()

    # Telegram
    TELEGRAM_LIMITED = auto()
    TELEGRAM_SERVER_ERROR = auto()
    UPDATE_TWICE = auto()
    UPDATES_REORDERED = auto()

    # whoever is told by HTTP
    WEBHOOK_REFUSED = auto()

    # this computer
    CRASH = auto()  #: kill -9
    POWER_LOSS = auto()  #: what was not fsynced is lost as well
    DISK_FULL = auto()
    IO_ERROR = auto()
    CLOCK_FORWARD = auto()
    CLOCK_BACK = auto()
    STALL = auto()  #: the event loop stands still for a while
    SECOND_CONTROLLER = auto()
    OLD_BACKUP = auto()


#: A fault, and a state in which it comes more often than by its rate.
Theme = tuple[Fault, str]
_THEME_RATE = 0.5
#: Often enough to be met; a run is not about one thing alone.
_THEME_HITS = 2


class Faults:
    """Rolls the dice; ``met`` counts what happened in which states."""

    def __init__(self, rng: random.Random, rate: float, themes: Sequence[Theme] = ()) -> None:
        self.rng = rng
        self.rate = rate
        """Probability of each fault at each occasion; 0 is a calm world."""
        self._themes = [theme for theme in themes for _ in range(_THEME_HITS)]
        self.met: Counter[tuple[Fault, str]] = Counter()
        self.hits: Counter[Fault] = Counter()
        self.forced: list[Fault] = []
        """The next occasions of these have them, whatever the dice say."""

    def hit(self, fault: Fault, states: Sequence[str] = ("",), *, weight: float = 1.0) -> bool:
        """Whether it happens now; counted for each of ``states``, which say what it happens to."""
        if fault in self.forced:
            self.forced.remove(fault)
        elif self.rate == 0.0 or not (
            self.rng.random() < self.rate * weight or self._is_due(fault, states)
        ):
            return False
        self.count(fault, states)
        return True

    def pick(
        self, faults: Sequence[Fault], states: Sequence[str] = ("",), *, weight: float = 1.0
    ) -> Fault | None:
        """At most one of these; they share the rate of one."""
        for fault in faults:
            if fault in self.forced:
                return fault if self.hit(fault, states) else None
        if not faults or self.rate == 0.0:
            return None
        if self.rng.random() < self.rate * weight:
            chosen = self.rng.choice(faults)
        else:
            due = [fault for fault in faults if self._is_due(fault, states)]
            if not due:
                return None
            chosen = due[0]
        self.count(chosen, states)
        return chosen

    def count(self, fault: Fault, states: Sequence[str] = ("",)) -> None:
        """One has happened, whoever decided that."""
        self.hits[fault] += 1
        self.met.update((fault, state) for state in states)

    def _is_due(self, fault: Fault, states: Sequence[str]) -> bool:
        """Whether it happens for being a theme, in the state that this is about."""
        for theme in self._themes:
            if theme[0] is fault and theme[1] in states:
                if self.rng.random() >= _THEME_RATE:
                    return False
                self._themes.remove(theme)
                return True
        return False

    def after(self, low_s: float, high_s: float) -> float:
        """A delay in seconds."""
        return self.rng.uniform(low_s, high_s)
