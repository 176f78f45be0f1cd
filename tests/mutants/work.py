"""Bugs by which a job is given up, tried again or cancelled wrongly, or its leftovers are."""

from __future__ import annotations

from tests.mutants.mutant import Mutant, Promise

WORK = (
    Mutant(
        name="silent-log-ends-a-job",
        breaks="A job is given up because the log of its machine cannot be read.",
        promise=Promise.ENDS,
        path="controller/loops/tail.py",
        swaps=(
            (
                """\
                log.debug("The log of machine %s is not to be had: %s", machine.id, error)
""",
                """\
                log.debug("The log of machine %s is not to be had: %s", machine.id, error)
                self._context.store.machines.request_retire(machine.id, GIVEN_BACK)
""",
            ),
            (
                "from controller.states import MachineState\n",
                "from controller.states import GIVEN_BACK, MachineState\n",
            ),
        ),
        tests=("tests/controller/test_tail.py::test_a_dead_log_is_no_reason_for_anything",),
    ),
    Mutant(
        name="silent-storage-ends-a-job",
        breaks="A job is given up because storage does not answer for a moment.",
        promise=Promise.ENDS,
        path="controller/loops/watch.py",
        swaps=(
            (
                "self._check_deadlines(self._context.store.jobs.get(attempt.job), attempt)",
                'self._give_up(attempt, Reason.SILENT, "its mailbox cannot be read")',
            ),
        ),
        tests=(
            "tests/controller/test_bucket_house.py::test_a_bucket_at_its_cap_or_out_of_reach_is_no_verdict",
        ),
    ),
    Mutant(
        name="cancel-then-done",
        breaks="A job that was cancelled is published all the same.",
        promise=Promise.ONCE,
        path="controller/loops/publish.py",
        swaps=(
            (
                "running = job.state is JobState.RUNNING and job.cancel_requested_at is None",
                "running = job.state is JobState.RUNNING",
            ),
        ),
        tests=(
            "tests/controller/test_results.py::test_a_cancel_during_the_check_of_the_result_wins",
        ),
    ),
    Mutant(
        name="cancel-skips-a-boot",
        breaks="A cancel does nothing while the machine of its job boots.",
        promise=Promise.ONCE,
        path="controller/loops/watch.py",
        swaps=(
            (
                "if not 0 <= now - job.cancel_requested_at <= policy.CANCEL_S:",
                "if attempt.seen_at and now - job.cancel_requested_at > policy.CANCEL_S:",
            ),
        ),
        tests=(
            "tests/controller/test_renting.py::test_many_machines_end_in_one_call_and_a_foreign_label_is_left_alone",
        ),
    ),
    Mutant(
        name="cancelled-job-tried-again",
        breaks="A job whose cancelled attempt failed otherwise is tried again.",
        promise=Promise.ONCE,
        path="controller/loops/context.py",
        swaps=(
            (
                "    if job.cancel_requested_at is not None:\n",
                "    if job.cancel_requested_at is not None and reason is Reason.USER:\n",
            ),
        ),
        tests=(
            "tests/controller/test_last_resorts.py::test_a_cancel_holds_although_its_machine_goes_away_first",
        ),
    ),
    Mutant(
        name="same-fault-for-ever",
        breaks="A job that fails in its own way on every machine is paid for without end.",
        promise=Promise.ENDS,
        path="controller/policy.py",
        swaps=(
            (
                "if reason not in RETRYABLE or len(ran) + 1 >= MAX_ATTEMPTS:",
                "if reason not in RETRYABLE:",
            ),
            (
                "from controller.states import MAX_ATTEMPTS, RETRYABLE,",
                "from controller.states import RETRYABLE,",
            ),
        ),
        tests=(
            "tests/controller/test_last_resorts.py::test_a_job_that_no_machine_brings_to_an_end_is_given_up_after_three",
        ),
    ),
    Mutant(
        name="users-input-pruned",
        breaks="What the user put into the bucket is removed with the leftovers of a job.",
        promise=Promise.HANDS_OFF,
        path="controller/loops/prune.py",
        swaps=(
            (
                "if job.source_is_ours and not store.jobs.is_source_wanted(job):",
                "if not store.jobs.is_source_wanted(job):",
            ),
        ),
        tests=(
            "tests/controller/test_job_lifecycle.py::test_pruning_keeps_results_and_what_the_user_put_there",
        ),
    ),
    Mutant(
        name="others-mailboxes-pruned",
        breaks="Mailboxes of machines that another deployment has on the bucket are removed.",
        promise=Promise.HANDS_OFF,
        path="controller/loops/prune.py",
        swaps=(
            ("            foreign = machine is None or machine.disowned_at is not None\n", ""),
            (
                "ended = self._is_ancient(machine_id) if foreign else machine and machine.gone_at",
                "ended = machine is None or machine.gone_at",
            ),
        ),
        tests=(
            "tests/controller/test_last_resorts.py::test_mailboxes_that_another_deployment_has_on_the_bucket_are_left",
        ),
    ),
)
