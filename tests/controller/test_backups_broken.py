"""A backup that opens like any other and is not whole all the same."""

import pytest

from controller.backups import restore
from controller.errors import DatabaseError
from controller.store.snapshots import connect
from tests.controller.recovery.putting_back import asides, take


async def test_a_backup_whose_rows_do_not_belong_together_changes_nothing(house):
    job = await house.queued()
    await house.tick()
    backup = take(house)
    with connect(backup) as db:
        db.execute("PRAGMA foreign_keys=OFF")
        db.execute("DELETE FROM machines")
    house.store.close()
    with pytest.raises(DatabaseError, match="is not whole"):
        restore(backup, house.settings.database, keep_deployment=True, clock=house.clock)
    house.open()
    assert asides(house) == []
    assert house.machine().id == house.store.attempts.of_job(job.id)[0].machine
