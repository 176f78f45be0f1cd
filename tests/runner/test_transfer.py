import os

import pytest

from remote_runner import transfer, urls
from remote_runner.errors import Cancelled, MachineError
from remote_runner.protocol import Reason
from tests.runner.http_folder import HttpFolder


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setattr(urls, "FIRST_DELAY_S", 0.01)
    folder = HttpFolder()
    yield folder
    folder.close()


def failure_of(action):
    with pytest.raises(MachineError) as error:
        action()
    assert "s3cret" not in str(error.value) and "signature" not in str(error.value)
    return error.value


def test_files_are_replaced_whole_and_folders_made(tmp_path):
    target = tmp_path / "a" / "b" / "ünï code.json"
    transfer.put_bytes(target.as_uri(), b"one")
    transfer.put_bytes(target.as_uri(), b"two")
    assert transfer.read(target.as_uri(), 10) == b"two"
    assert list(target.parent.iterdir()) == [target]
    assert transfer.exists(target.as_uri())
    assert not transfer.exists((tmp_path / "nothing").as_uri())


def test_documents_have_a_largest_size(tmp_path, server):
    path = tmp_path / "big"
    path.write_bytes(b"x" * 101)
    server.objects["big"] = b"x" * 101
    for url in (path.as_uri(), server.url("big")):
        assert len(transfer.read(url, 101)) == 101
        assert failure_of(lambda url=url: transfer.read(url, 100)).reason is Reason.TRANSFER_FAILED


def test_what_is_not_there_is_told_apart(tmp_path, server):
    for url in ((tmp_path / "nothing").as_uri(), server.url("nothing")):
        with pytest.raises(transfer.NotThere):
            transfer.read(url, 10)
        assert not transfer.exists(url)
    assert server.requests["GET", "nothing"] == 2


def test_files_go_both_ways_over_http(tmp_path, server):
    source = tmp_path / "source"
    source.write_bytes(bytes(range(256)) * 20_000)
    seen = []
    transfer.put_file(server.url("object"), source, seen.append)
    assert server.objects["object"] == source.read_bytes()
    assert seen[-1] == source.stat().st_size
    transfer.fetch(server.url("object"), tmp_path / "back")
    assert (tmp_path / "back").read_bytes() == source.read_bytes()
    assert transfer.exists(server.url("object"))


def test_failures_that_pass_are_outlasted(tmp_path, server):
    source = tmp_path / "source"
    source.write_bytes(b"data" * 1000)
    server.failures["PUT", "object"] = [500, "drop", 503, 429]
    transfer.put_file(server.url("object"), source)
    assert server.objects["object"] == source.read_bytes()
    assert server.requests["PUT", "object"] == 5
    server.failures["GET", "object"] = [502, "drop"]
    assert transfer.read(server.url("object"), 10_000) == source.read_bytes()


def test_a_broken_download_goes_on_where_it_broke(tmp_path, server):
    server.objects["object"] = bytes(range(256)) * 10_000
    server.failures["GET", "object"] = ["half", "half"]
    seen = []
    transfer.fetch(server.url("object"), tmp_path / "out", seen.append)
    assert (tmp_path / "out").read_bytes() == server.objects["object"]
    assert seen == sorted(seen)
    assert server.requests["GET", "object"] == 3


def test_what_exists_is_asked_for_as_a_url_for_reading_allows(server):
    server.objects["result"] = b"{}"
    server.failures["GET", "result"] = [503, "drop"]
    assert transfer.exists(server.url("result"))
    assert server.requests == {("GET", "result"): 3}
    server.failures["GET", "result"] = [403]
    with pytest.raises(MachineError):  # neither a yes nor a no
        transfer.exists(server.url("result"))
    assert not transfer.exists(server.url("nothing"))


def test_a_file_goes_up_in_parts_of_one_size(tmp_path, server, monkeypatch):
    monkeypatch.setattr(transfer, "PART_BYTES", 1000)
    source = tmp_path / "source"
    for size, count, sizes in (
        (2500, 8, [1000, 1000, 500]),
        (2000, 8, [1000, 1000]),
        (999, 1, [999]),
        (10_001, 4, [2501, 2501, 2501, 2498]),
        (0, 3, [0]),
    ):
        data = os.urandom(size)
        source.write_bytes(data)
        server.objects.clear()
        seen = []
        transfer.put_parts([server.url(f"{n}") for n in range(count)], source, seen.append)
        parts = [server.objects[f"{n}"] for n in range(len(server.objects))]
        assert ([len(part) for part in parts], b"".join(parts)) == (sizes, data)
        assert (seen[-1], max(seen)) == (size, size)


def test_a_part_that_fails_is_read_again_and_no_other(tmp_path, server, monkeypatch):
    monkeypatch.setattr(transfer, "PART_BYTES", 1000)
    source = tmp_path / "source"
    source.write_bytes(os.urandom(2500))
    server.failures["PUT", "1"] = [503, "drop"]
    transfer.put_parts([server.url(f"{n}") for n in range(3)], source)
    assert b"".join(server.objects[f"{n}"] for n in range(3)) == source.read_bytes()
    assert [server.requests["PUT", f"{n}"] for n in range(3)] == [1, 3, 1]


def test_a_part_that_is_refused_ends_the_upload(tmp_path, server, monkeypatch):
    monkeypatch.setattr(transfer, "PART_BYTES", 1000)
    monkeypatch.setattr(transfer, "SIDE_BY_SIDE", 1)
    source = tmp_path / "source"
    source.write_bytes(os.urandom(9500))
    server.failures["PUT", "2"] = [403]
    error = failure_of(lambda: transfer.put_parts([server.url(f"{n}") for n in range(10)], source))
    assert error.detail == "http://127.0.0.1: HTTP 403"
    assert sorted(server.objects) == ["0", "1"]
    failure_of(lambda: transfer.put_parts([source.as_uri()], source))


def test_an_upload_in_parts_can_be_stopped(tmp_path, server, monkeypatch):
    monkeypatch.setattr(transfer, "PART_BYTES", 1 << 20)
    source = tmp_path / "source"
    source.write_bytes(bytes(20 << 20))

    # the server's own complaint about a client that is gone
    monkeypatch.setattr(server._server, "handle_error", lambda *_: None)

    def stop(done):
        if done > 3 << 20:
            raise Cancelled

    with pytest.raises(Cancelled):
        transfer.put_parts([server.url(f"{n}") for n in range(20)], source, stop)
    assert len(server.objects) < 8


def test_refusals_are_final_and_secrets_stay_secret(tmp_path, server, caplog):
    server.failures["PUT", "object"] = [403]
    error = failure_of(lambda: transfer.put_bytes(server.url("object"), b"x"))
    assert error.detail == "http://127.0.0.1: HTTP 403"
    assert server.requests["PUT", "object"] == 1
    server.failures["GET", "object"] = [500] * 10
    error = failure_of(lambda: transfer.read(server.url("object"), 10))
    assert error.reason is Reason.TRANSFER_FAILED
    assert server.requests["GET", "object"] == urls.ATTEMPTS
    assert "s3cret" not in caplog.text


def test_a_server_that_is_gone_is_a_typed_failure(server, monkeypatch):
    url = server.url("object")
    server._server.server_close()
    monkeypatch.setattr(urls, "ATTEMPTS", 2)
    assert failure_of(lambda: transfer.put_bytes(url, b"x", attempts=2)).detail.endswith("refused")


@pytest.mark.parametrize(
    "url",
    ["http://example.com/x?signature=s3cret", "ftp://127.0.0.1/x", "/etc/passwd", "file://host/x"],
)
def test_other_schemes_are_refused(url):
    assert failure_of(lambda: transfer.read(url, 10)).reason is Reason.TRANSFER_FAILED


@pytest.mark.parametrize("url", ["file:", "file:///", "file:name", "file:///a%00b"])
def test_an_address_of_no_file_is_a_typed_failure(url):
    with pytest.raises(MachineError, match="no file"):
        transfer.put_bytes(url, b"x")


def test_a_transfer_can_be_stopped(tmp_path, server):
    source = tmp_path / "source"
    source.write_bytes(bytes(5 << 20))

    def stop(done):
        if done > 1 << 20:
            raise Cancelled

    for url in (server.url("object"), (tmp_path / "target").as_uri()):
        with pytest.raises(Cancelled):
            transfer.put_file(url, source, stop)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["source"]
    assert "object" not in server.objects


def test_a_full_disk_is_told(small_disk, tmp_path):
    source = tmp_path / "source"
    source.write_bytes(bytes(4 << 20))
    error = failure_of(lambda: transfer.put_file((small_disk / "out").as_uri(), source))
    assert error.reason is Reason.DISK_FULL
    assert list(small_disk.iterdir()) == []


def test_a_stop_is_noticed_between_the_tries(tmp_path, server, monkeypatch):
    monkeypatch.setattr(urls, "FIRST_DELAY_S", 60.0)
    server.failures["GET", "object"] = [503] * 9
    asked = []

    def check():
        asked.append(1)
        if len(asked) > 2:
            raise Cancelled

    with pytest.raises(Cancelled):
        transfer.fetch(server.url("object"), tmp_path / "file", check=check)
    asked.clear()
    with pytest.raises(Cancelled):
        transfer.read(server.url("object"), 10, check=check)
    assert server.requests["GET", "object"] == 2
