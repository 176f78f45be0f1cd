import pytest

from tests.lacking import WHOLE, leave_out


def test_what_is_lacking_is_skipped(monkeypatch):
    monkeypatch.delenv(WHOLE, raising=False)
    with pytest.raises(pytest.skip.Exception, match="no disk"):
        leave_out("there is no disk")


def test_where_nothing_may_be_left_out_it_is_a_failure(monkeypatch):
    monkeypatch.setenv(WHOLE, "1")
    with pytest.raises(pytest.fail.Exception, match="no disk"):
        leave_out("there is no disk")
