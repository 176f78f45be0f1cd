"""Bugs in what is written down, when, and by whom: moves, transactions, the order of commits."""

from __future__ import annotations

from tests.mutants.mutant import Mutant, Promise

MOVES = (
    Mutant(
        name="job-move-unguarded",
        breaks="A job moves though somebody else has moved it since it was read.",
        promise=Promise.ENDS,
        path="controller/store/jobs.py",
        swaps=(
            (
                "WHERE id = :_id AND state = :_state AND version = :_version RETURNING *",
                "WHERE id = :_id RETURNING *",
            ),
            (
                "**columns, _id=job.id, _state=job.state, _version=job.version,",
                "**columns, _id=job.id,",
            ),
        ),
        tests=(
            "tests/controller/test_store.py::test_a_move_that_somebody_else_made_first_changes_nothing",
        ),
    ),
    Mutant(
        name="machine-move-without-version",
        breaks="A change of a machine goes over one that came between, in the same state.",
        promise=Promise.GIVEN_BACK,
        path="controller/store/machines.py",
        swaps=(
            (
                "WHERE id = :_id AND state = :_state AND version = :_version RETURNING *",
                "WHERE id = :_id AND state = :_state RETURNING *",
            ),
        ),
        tests=(
            "tests/controller/test_commits.py::test_a_machine_that_has_changed_since_it_was_read_is_not_written_over",
        ),
    ),
    Mutant(
        name="attempt-move-unguarded",
        breaks="An attempt that was given up is ended once more, by who read it before.",
        promise=Promise.TRUE_RESULT,
        path="controller/store/attempts.py",
        swaps=(
            (
                """\
                    WHERE job = :_job AND number = :_number AND state = :_state
                      AND version = :_version RETURNING *\"\"\",
""",
                """\
                    WHERE job = :_job AND number = :_number RETURNING *\"\"\",
""",
            ),
        ),
        tests=(
            "tests/controller/test_commits.py::test_an_attempt_ends_once_whoever_read_it_before",
        ),
    ),
    Mutant(
        name="event-in-its-own-transaction",
        breaks="A move is committed before its event: a crash between the two tells nobody.",
        promise=Promise.TOLD,
        path="controller/store/jobs.py",
        swaps=(
            (
                """\
            row = self._update(job, state=to, **columns)
            if row is None:
                return None
            self.record(job.id, event, data)
""",
                """\
            row = self._update(job, state=to, **columns)
            if row is None:
                return None
        with self._db.transaction():
            self.record(job.id, event, data)
""",
            ),
        ),
        tests=(
            "tests/controller/test_commits.py::test_a_move_and_the_event_that_tells_of_it_are_there_together_or_not_at_all",
        ),
    ),
    Mutant(
        name="synchronous-normal",
        breaks="A commit is not on the disk when it returns: a power loss takes it back.",
        promise=Promise.GIVEN_BACK,
        path="controller/store/database.py",
        swaps=(('"synchronous=FULL"', '"synchronous=NORMAL"'),),
        tests=("tests/controller/test_commits.py::test_a_commit_outlives_a_loss_of_power",),
    ),
    Mutant(
        name="transaction-deferred",
        breaks="A transaction that reads before it writes can be overtaken by another writer.",
        promise=Promise.ENDS,
        path="controller/store/database.py",
        swaps=(('self._db.execute("BEGIN IMMEDIATE")', 'self._db.execute("BEGIN")'),),
        tests=(
            "tests/controller/test_commits.py::test_a_transaction_keeps_other_writers_out_from_its_first_moment",
        ),
    ),
    Mutant(
        name="row-after-create",
        breaks="Machine, label and reservation are committed when the create call was answered.",
        promise=Promise.GIVEN_BACK,
        path="controller/loops/place.py",
        swaps=(
            (
                """\
        with context.store.transaction():
            assigned = assign(context, job, machine, add=True, traffic_usd=machine.traffic_usd)
        if assigned is None:
            return Outcome.NOT_THIS_JOB  # somebody was faster
        note_ids(assigned[1])
        self.renting.add(machine.id)
        try:
            await self._give_orders(machine, *assigned)
            instance = await self._rent.create(offer, machine)
""",
                """\
        self.renting.add(machine.id)
        try:
            with context.store.transaction():
                assigned = assign(
                    context, job, machine, add=True, traffic_usd=machine.traffic_usd
                )
                if assigned is None:
                    return Outcome.NOT_THIS_JOB  # somebody was faster
                note_ids(assigned[1])
                await self._give_orders(machine, *assigned)
                instance = await self._rent.create(offer, machine)
""",
            ),
        ),
        tests=(
            "tests/controller/test_commits.py::test_machine_label_and_money_are_on_the_disk_before_the_create_call",
            "tests/controller/test_machines.py::test_a_crash_between_row_and_rent_leaves_no_machine",
        ),
    ),
    Mutant(
        name="wall-clock",
        breaks="Whether a listing has settled is told by another clock than that of the rows.",
        promise=Promise.GIVEN_BACK,
        path="controller/loops/reap.py",
        swaps=(
            ("import logging\nfrom collections", "import logging\nimport time\nfrom collections"),
            (
                "settled = self._context.clock() - since >=",
                "settled = time.time() - since >=",
            ),
        ),
        tests=(
            "tests/controller/test_machines.py::test_a_create_request_that_was_lost_is_given_up_only_after_the_listing_settled",
        ),
    ),
    Mutant(
        name="second-controller",
        breaks="A second process on the same data directory runs the loops as well.",
        promise=Promise.ONE_EACH,
        path="controller/takeover.py",
        swaps=(
            (
                """\
    except Timeout:
        return False
    except OSError""",
                """\
    except Timeout:
        log.warning("%s is held by another process", lock.lock_file)
    except OSError""",
            ),
        ),
        tests=(
            "tests/controller/test_last_resorts.py::test_a_second_process_on_a_data_directory_runs_no_loops",
        ),
    ),
    Mutant(
        name="queue-waits-for-ever",
        breaks="A job that finds no machine waits past its deadline.",
        promise=Promise.ENDS,
        path="controller/loops/prune.py",
        swaps=(
            (
                "states=[JobState.DRAFT, JobState.HELD, JobState.QUEUED]):",
                "states=[JobState.DRAFT, JobState.HELD]):",
            ),
        ),
        tests=(
            "tests/controller/test_machines.py::test_every_accepted_job_ends_even_if_nothing_can_be_rented",
        ),
    ),
    Mutant(
        name="retried-past-its-deadline",
        breaks="A job whose time is over is tried again and again.",
        promise=Promise.ENDS,
        path="controller/loops/context.py",
        swaps=(
            (
                "if policy.should_retry(job, earlier, reason) and now < job.deadline_at:",
                "if policy.should_retry(job, earlier, reason):",
            ),
        ),
        tests=(
            "tests/controller/test_last_resorts.py::test_a_job_whose_time_is_over_is_not_tried_again",
        ),
    ),
    Mutant(
        name="request-key-anew",
        breaks="The same message taken in twice makes two jobs.",
        promise=Promise.ONCE,
        path="bot/handlers/taking.py",
        swaps=(
            (
                'return f"tg:{message.chat.id}:{message.message_id}"',
                'return f"tg:{message.chat.id}:{message.message_id}:{id(message)}"',
            ),
        ),
        tests=("tests/bot/test_submit.py::test_the_same_update_again_makes_nothing_twice",),
    ),
    Mutant(
        name="update-handled-anew",
        breaks="An update that the platform sends again is handled again.",
        promise=Promise.ONCE,
        path="controller/store/chats.py",
        swaps=(
            (
                """\
                       ON CONFLICT (id) DO NOTHING\"\"\",
                    id=update_id,""",
                """\
                       ON CONFLICT (id) DO UPDATE SET handled_at = NULL\"\"\",
                    id=update_id,""",
            ),
        ),
        tests=(
            "tests/controller/test_commits.py::test_an_update_that_was_handled_and_comes_again_stays_handled",
        ),
    ),
)
