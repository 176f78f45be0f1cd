from remote_runner.watchdog import Watchdog

FAR = 4_000_000_000.0  # no process that runs these tests lives so long


def test_an_end_comes_nearer_and_never_moves_away():
    watchdog = Watchdog(FAR)
    for told, kept in ((FAR + 10, FAR), (FAR - 10, FAR - 10), (FAR - 5, FAR - 10)):
        watchdog.tighten(told)
        assert watchdog.deadline_at == kept


def test_the_first_end_that_is_told_holds():
    watchdog = Watchdog()
    watchdog.tighten(FAR)
    assert watchdog.deadline_at == FAR
