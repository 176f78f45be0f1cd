import logging

from tests.secrecy import WATCHER, find_leaks

TOKEN = "123456:" + "A" * 35
SIGNED = "https://s3.example/b/k?X-Amz-Credential=a&X-Amz-Signature=b1c2"


def test_the_watcher_sees_tokens_and_signed_addresses_in_messages_and_tracebacks():
    log = logging.getLogger("bot.anything")
    log.info("fetching %s", f"https://api.telegram.org/file/bot{TOKEN}/videos/1.mp4")
    try:
        raise ValueError(SIGNED)
    except ValueError:
        log.exception("failed")
    log.info("a quiet line: 12:30:00, job 01ARZ3NDEKTSV4RRFFQ69G5FAV")
    found = list(WATCHER.found)
    WATCHER.found.clear()
    assert len(found) == 2


def test_log_files_are_searched(tmp_path):
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / "i1").write_text(f"fine\n{SIGNED}\n")
    (tmp_path / "bot.log").write_text(f"POST /bot{TOKEN}/getMe\n")
    (tmp_path / "grant").write_text(SIGNED)
    found = find_leaks(tmp_path)
    assert [line.rpartition("/")[2] for line in found] == ["bot.log:1", "i1:2"]
    for path in (tmp_path / "logs" / "i1", tmp_path / "bot.log"):
        path.write_text("fine\n")
