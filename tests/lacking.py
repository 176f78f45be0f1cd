"""Tests that need something of the machine which not every machine has."""

import os
from typing import NoReturn

import pytest

#: Set where nothing may be missing: a check that was left out must not look like one that passed.
WHOLE = "TESTS_LEAVE_NOTHING_OUT"


def leave_out(why: str) -> NoReturn:
    """Skip the test that runs, or fail it where nothing may be left out."""
    if os.environ.get(WHOLE):
        pytest.fail(f"{why}, and {WHOLE} is set", pytrace=False)
    pytest.skip(why)
