"""Bugs by which a wrong result is published, or a right one is lost."""

from __future__ import annotations

from tests.mutants.mutant import Mutant, Promise

RESULTS = (
    Mutant(
        name="last-writer-publishes",
        breaks="Whoever comes last publishes: an attempt that was given up, over a newer one.",
        promise=Promise.TRUE_RESULT,
        path="controller/loops/publish.py",
        swaps=(
            (
                """\
        newest = self._context.store.attempts.open_on(attempt.machine)
        ours = newest and (newest.job, newest.number) == (attempt.job, attempt.number)
        running = job.state is JobState.RUNNING and job.cancel_requested_at is None
        return bool(ours) and running and job.attempts == attempt.number
""",
                """\
        return job.state is JobState.RUNNING and job.cancel_requested_at is None
""",
            ),
            (
                """\
            newest = store.attempts.open_on(attempt.machine)
            if not""",
                """\
            newest = attempt
            if not""",
            ),
        ),
        tests=(
            "tests/controller/test_results.py::test_a_check_that_outlives_its_attempt_touches_nothing",
        ),
    ),
    Mutant(
        name="not-looked-at-again",
        breaks="Whether a result is still wanted is not asked again after it was copied.",
        promise=Promise.ONCE,
        path="controller/loops/publish.py",
        swaps=(
            (
                "if not (self._is_wanted(attempt) and machine and newest):",
                "if not (machine and newest):",
            ),
        ),
        tests=(
            "tests/controller/test_results.py::test_a_cancel_during_the_check_of_the_result_wins",
        ),
    ),
    Mutant(
        name="late-copy-left",
        breaks="The copy of a result that came too late stays where results are.",
        promise=Promise.TRUE_RESULT,
        path="controller/loops/publish.py",
        swaps=(("        await self._withdraw(job, final_key)\n", ""),),
        tests=(
            "tests/controller/test_results.py::test_a_cancel_during_the_check_of_the_result_wins",
        ),
    ),
    Mutant(
        name="hash-not-compared",
        breaks="A result is published whose hash is not the one that was reported.",
        promise=Promise.TRUE_RESULT,
        path="controller/loops/publish.py",
        swaps=(
            (
                """\
        if digest is not None and digest != result.sha256:
            return _Look("the hash is not the one reported")
""",
                "",
            ),
        ),
        tests=(
            "tests/controller/test_results.py::test_a_result_that_does_not_hold_is_never_published",
        ),
    ),
    Mutant(
        name="size-not-compared",
        breaks="A result is published whose size is not the one that was reported.",
        promise=Promise.TRUE_RESULT,
        path="controller/loops/publish.py",
        swaps=(
            (
                """\
        if entry.bytes != result.bytes:
            return _Look(f"{entry.bytes} bytes stored, {result.bytes} reported")
""",
                "",
            ),
            (
                "            entry = await storage.stat(key)\n",
                "            await storage.stat(key)\n",
            ),
        ),
        tests=(
            "tests/controller/test_results.py::test_a_result_that_does_not_hold_is_never_published",
        ),
    ),
    Mutant(
        name="gate-not-asked-for",
        breaks="A result whose machine has checked nothing is published.",
        promise=Promise.TRUE_RESULT,
        path="controller/loops/publish.py",
        swaps=(("        if failed or not result.checks:\n", "        if failed:\n"),),
        tests=(
            "tests/controller/test_results.py::test_a_result_that_does_not_hold_is_never_published",
        ),
    ),
    Mutant(
        name="hash-said-to-be-ours",
        breaks="The record says that we computed a hash which a machine only reported.",
        promise=Promise.TRUE_RESULT,
        path="controller/loops/publish.py",
        swaps=(
            (
                'hashed_by="controller" if digest else "runner"',
                'hashed_by="controller"',
            ),
        ),
        tests=("tests/controller/test_results.py::test_the_record_says_who_computed_the_hash",),
    ),
    Mutant(
        name="attempts-share-a-key",
        breaks="All attempts at a job write their output to one key.",
        promise=Promise.TRUE_RESULT,
        path="controller/places.py",
        swaps=(
            (
                'return f"{attempt_prefix(attempt)}output"',
                'return f"{job_prefix(attempt.job)}output"',
            ),
        ),
        tests=("tests/controller/test_grants.py::test_no_two_attempts_share_a_key",),
    ),
    Mutant(
        name="output-still-writable",
        breaks="A host may replace an output that was looked at already.",
        promise=Promise.TRUE_RESULT,
        path="controller/grants.py",
        swaps=(
            (
                'output_url="" if parts else put(places.output_key(attempt)),',
                "output_url=put(places.output_key(attempt)),",
            ),
        ),
        tests=(
            "tests/controller/test_bucket_house.py::test_the_urls_of_a_machine_open_nothing_else",
        ),
    ),
)
