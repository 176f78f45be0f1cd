from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller import policy
from controller.labels import Label
from controller.redaction import redact
from controller.settings import Settings
from controller.states import RETRYABLE, Reason, parse_reason
from controller.storage.folder import check_key
from remote_runner.protocol import Mode, Task
from remote_runner.protocol import Reason as RunnerReason
from tests.controller.conftest import FACTS


def test_a_day_that_is_spent_rents_nothing_more():
    assert policy.fits_budget(0.2, Settings(), spent_usd=0, committed_today_usd=4.7)
    assert not policy.fits_budget(0.2, Settings(), spent_usd=0, committed_today_usd=4.9)


def test_what_earlier_attempts_cost_counts_against_the_jobs_budget():
    assert not policy.fits_budget(0.2, Settings(), spent_usd=0.9, committed_today_usd=0)


def test_an_estimate_says_what_comes_out():
    task = Task(mode=Mode.BOTH, scale=2, factor=2)
    expected = policy.estimate(FACTS, task, lambda work: None)
    assert (expected.width, expected.height, expected.frames_out) == (640, 360, 480)
    assert not expected.measured
    faster = policy.estimate(FACTS, task, lambda work: 1e9)
    assert faster.measured
    assert faster.seconds < expected.seconds


@pytest.mark.parametrize(
    ("task", "what"),
    [
        (Task(), "x2"),
        (Task(size="1920x1080"), "1080p"),
        (Task(mode=Mode.INTERP, fps="60"), "60fps"),
        (Task(mode=Mode.INTERP), "48fps"),
        (Task(mode=Mode.BOTH, fps="59.94"), "x2_59.94fps"),
        (Task(size="640x480"), "640x480"),
    ],
)
def test_results_are_named_by_what_was_done(task, what):
    assert task.what(Fraction(24)) == what


@given(st.text(max_size=300))
def test_any_name_becomes_a_safe_part_of_a_key(name):
    check_key(policy.upload_key("01J0", name))


@given(st.integers(0, 36**8))
def test_labels_survive_their_text(expiry):
    label = Label("abcd1234", "01J" + "0" * 23, expiry)
    assert Label.parse(str(label)) == label


def test_delays_grow_and_are_bounded():
    delays = [policy.retry_delay_s(number) for number in range(1, 12)]
    assert delays == sorted(delays)
    assert (delays[0], delays[-1]) == (5, 600)


def test_an_inputs_fault_is_never_retried():
    assert not any(reason in RETRYABLE for reason in RunnerReason if reason.is_input_fault)
    assert parse_reason("silent") is Reason.SILENT
    assert parse_reason("corrupt") is RunnerReason.CORRUPT
    with pytest.raises(ValueError):
        parse_reason("nonsense")


def test_no_reason_of_the_controller_hides_one_of_the_runner():
    assert not set(map(str, Reason)) & set(map(str, RunnerReason))


def test_tokens_and_signatures_are_redacted():
    token = "1234567890:" + "AbC_-9" * 6
    text = f"GET /bot{token}/getMe and https://x/y?X-Amz-Signature=abc&z=1 Bearer k3y {token}"
    clean = redact(text, ["z=1"])
    assert token not in clean
    assert "abc" not in clean
    assert "k3y" not in clean
    assert "z=1" not in clean
