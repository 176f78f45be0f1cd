"""Bugs by which a copy of the database does harm to what goes on outside of it."""

from __future__ import annotations

from tests.mutants.mutant import Mutant, Promise

BACKUPS = (
    Mutant(
        name="restored-copy-keeps-its-name",
        breaks="A restored database goes on under the name of one that may be at work elsewhere.",
        promise=Promise.HANDS_OFF,
        path="controller/backups.py",
        swaps=(
            (
                "            if not keep_deployment:\n",
                "            if not keep_deployment and why is not Why.ASKED:\n",
            ),
        ),
        tests=(
            "tests/controller/recovery/test_restoring.py::test_a_restored_database_has_another_name_and_none_of_the_machines",
        ),
    ),
    Mutant(
        name="copied-directory-keeps-its-name",
        breaks="Two controllers on copies of one directory destroy each other's machines.",
        promise=Promise.HANDS_OFF,
        path="controller/recovery.py",
        swaps=(
            (
                "old, name = store.deployment, new_deployment()",
                "old = name = store.deployment",
            ),
            (
                "from controller.store import Store, journal, new_deployment, snapshots",
                "from controller.store import Store, journal, snapshots",
            ),
        ),
        tests=(
            "tests/controller/recovery/test_home.py::test_a_copy_beside_its_original_takes_another_name_and_the_original_keeps_its",
        ),
    ),
    Mutant(
        name="renamed-keeps-its-machines",
        breaks="A deployment of a new name goes on with the machines of the old one.",
        promise=Promise.HANDS_OFF,
        path="controller/store/ownership.py",
        swaps=(
            (
                """\
                          disowned_at = :now, retire_reason = :reason, version = version + 1
                   WHERE state != 'gone'\"\"\",
""",
                """\
                          disowned_at = :now, retire_reason = :reason, version = version + 1
                   WHERE state = 'retiring'\"\"\",
""",
            ),
        ),
        tests=(
            "tests/controller/recovery/test_restoring.py::test_a_restored_database_has_another_name_and_none_of_the_machines",
        ),
    ),
    Mutant(
        name="restored-numbers-come-again",
        breaks="New events have numbers that were given out before a restoration: nobody is told.",
        promise=Promise.TOLD,
        path="controller/store/ownership.py",
        swaps=(
            ("            number = int(self._db.clock() * 1000)\n", ""),
            ("number=max(number, newest),", "number=newest,"),
        ),
        tests=(
            "tests/controller/recovery/test_same_name.py::test_numbers_of_events_never_come_again",
        ),
    ),
    Mutant(
        name="broken-backup-restored",
        breaks="A backup that is not whole takes the place of a database that is.",
        promise=Promise.TRUE_RESULT,
        path="controller/backups.py",
        swaps=(
            (
                "damage = snapshots.find_damage(backup, thorough=True)",
                "damage = None",
            ),
        ),
        tests=(
            "tests/controller/test_backups_broken.py::test_a_backup_whose_rows_do_not_belong_together_changes_nothing",
        ),
    ),
)
