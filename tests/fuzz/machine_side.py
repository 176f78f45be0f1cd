"""Documents that a machine reads, bent and broken: orders, segments of others, and whole grants.

What cannot be read is a :class:`ProtocolError`, and the last good orders go on to hold. A grant
that can be read is carried out to a result, whatever is in it.
"""

import dataclasses
import hashlib
import time
from collections.abc import Iterable
from contextlib import closing
from fractions import Fraction
from pathlib import Path

from remote_runner.documents import from_json, to_json
from remote_runner.orders import OrdersFeed
from remote_runner.protocol import (
    Boot,
    BootPhase,
    Grant,
    Mode,
    Orders,
    Outcome,
    Phase,
    ProtocolError,
    Result,
    SegmentUrls,
    Status,
    Task,
)
from remote_runner.segments import FolderStore, Manifest, Numbering, follow
from tests.fuzz.bending import bend, spoil, write
from tests.fuzz.nursery import Nursery
from tests.fuzz.tally import Case, Kind, Tally
from tests.runner.clips import make_clip

_RECIPE = "r" * 64
_CONTENT = b"frames"
#: In the place of an address: none of these leads anywhere, and none is tried again for long.
_NOWHERE = ("", "https://[", "ftp://x/y", "file://elsewhere/x", "nonsense", "file:", "\x00")


def run_readers(tally: Tally, numbers: Iterable[int], folder: Path) -> None:
    orders = folder / "orders"
    orders.write_bytes(write(dataclasses.asdict(make_orders(folder))))
    with closing(OrdersFeed(orders.as_uri())) as feed:
        feed.wait(10)
        for number in numbers:
            with tally.case(number) as case:
                case.rng.choice((_read, _read, _follow_orders, _go_on_behind))(case, folder, feed)


def _broken(case: Case, document) -> bytes:
    good, is_bent = dataclasses.asdict(document), case.rng.random() < 0.7
    data = write(bend(good, case.rng)) if is_bent else spoil(write(good), case.rng)
    case.told += f" {type(document).__name__} {data[:200]!r}"
    return data


def _read(case: Case, folder: Path, feed: OrdersFeed) -> None:
    """What is read can be written, and is the same when it is read again."""
    documents = (
        make_orders(folder), make_grant(folder), make_manifest(0),
        Boot(phase=BootPhase.ARMED, detail="x", device="RTX 3060"),
        Status(sequence=1, heartbeat_at=1.0, phase=Phase.IDLE, eta_s=3.0, vram_free=5),
        Result(job="j", attempt=1, outcome=Outcome.DONE, timings={"processing": 1.0}),
    )  # fmt: skip
    document = case.rng.choice(documents)
    try:
        found = from_json(type(document), _broken(case, document))
    except ProtocolError as error:
        assert len(str(error)) < 1000
        case.refuse("ProtocolError")
        return
    text = to_json(found)
    text.encode()
    again = from_json(type(document), text)
    assert to_json(again) == text
    assert again == found or "?" in text  # in the place of half a character
    case.accept()


def _follow_orders(case: Case, folder: Path, feed: OrdersFeed) -> None:
    """Orders that cannot be read change nothing; those that can never go back."""
    before = feed.latest
    after = dataclasses.replace(make_orders(folder), sequence=before.sequence + 1)
    (folder / "orders").write_bytes(_broken(case, after))
    feed._look()
    assert feed.latest is not None
    assert feed.latest.sequence >= before.sequence
    if feed.latest is before:
        case.refuse("ignored")
    else:
        # a number that nothing can be above would be the last that is heard of
        feed._latest = dataclasses.replace(feed.latest, sequence=before.sequence + 1)
        case.accept()


def _go_on_behind(case: Case, folder: Path, feed: OrdersFeed) -> None:
    """Of three segments that an earlier run left, one has another manifest or content."""
    store = FolderStore(folder / "segments")
    bad = case.rng.randrange(3)
    for number in range(3):
        store.path(number).write_bytes(_CONTENT)
        manifest = write(dataclasses.asdict(make_manifest(number)))
        if number == bad:
            manifest = _broken(case, make_manifest(number))
        (store.folder / f"{number}.json").write_bytes(manifest)
    if case.rng.random() < 0.3:
        store.path(bad).write_bytes(spoil(_CONTENT, case.rng))
    chain = follow(store.manifests(_RECIPE), Numbering(0, 1.0, Fraction(1, 24)))
    found = chain[: store.fetch(chain)]
    # what was not touched before the bad one is never lost
    assert [each.number for each in found[:bad]] == list(range(bad)), found
    assert all(store.path(each.number).read_bytes() == _CONTENT for each in found)
    if len(found) == 3:
        case.accept()
    else:
        case.refuse("made anew")
    store.forget()
    store.remove()


def run_grants(tally: Tally, numbers: Iterable[int], folder: Path) -> None:
    make_clip(folder / "clip.mp4", count=4, options={"preset": "ultrafast"})
    with Nursery("remote_runner.lifecycle", "remote_runner.pipeline") as nursery:
        for number in numbers:
            with tally.case(number) as case:
                home = folder / str(number)
                home.mkdir()
                grant = bend_grant(case, home, folder / "clip.mp4")
                (home / "grant").write_bytes(grant)
                orders = make_orders(home, grant_url=(home / "grant").as_uri())
                (home / "orders").write_bytes(write(dataclasses.asdict(orders)))
                ended = nursery.run("run", (home / "orders").as_uri())
                case.seconds = ended.cpu_s
                assert "Traceback" not in ended.err + ended.out, ended.err
                assert ended.code == 0, (ended.code, ended.err)
                _judge_result(case, home)


def bend_grant(case: Case, home: Path, clip: Path) -> bytes:
    """One that can be read, and by which a result can be told: that is tried for minutes."""
    rng = case.rng
    good = dataclasses.asdict(make_grant(home, clip))
    urls = [name for name in good if name.endswith("_url")]
    for _ in range(100):
        bent = bend({name: good[name] for name in good if name not in urls}, rng)
        if not isinstance(bent, dict):
            continue
        bent |= {name: good[name] for name in urls}
        if isinstance(bent.get("segments"), list):
            bent["segments"] = good["segments"]
        # nothing is written to where a generator of odd texts says
        bent |= {"finished": [], "weights": {}, "output_parts": []}
        if rng.random() < 0.3:
            bent[rng.choice([each for each in urls if "result" not in each])] = rng.choice(
                _NOWHERE
            )
        try:
            from_json(Grant, write(bent))
        except ProtocolError:
            continue
        changed = {name: bent.get(name) for name in good if bent.get(name) != good[name]}
        case.told = f"{changed}"[:300]
        return write(bent)
    raise AssertionError("no grant of a hundred could be read")


def _judge_result(case: Case, home: Path) -> None:
    result = from_json(Result, (home / "result").read_bytes())
    if result.outcome is not Outcome.DONE:
        case.refuse(result.reason or result.outcome)
        return
    output = (home / "output").read_bytes()
    assert (len(output), hashlib.sha256(output).hexdigest()) == (result.bytes, result.sha256)
    assert all(check.passed for check in result.checks)
    case.accept()


# --- as they should be -----------------------------------------------------------------------


def make_orders(folder: Path, *, grant_url: str | None = None) -> Orders:
    return Orders(
        machine="m1", sequence=1, deadline_at=time.time() + 600, idle_s=0.0,
        status_url=(folder / "status").as_uri(), job="j1" if grant_url else None,
        attempt=1 if grant_url else None, grant_url=grant_url,
    )  # fmt: skip


def make_grant(home: Path, clip: Path | None = None) -> Grant:
    def url(name: str) -> str:
        return (home / name).as_uri()

    return Grant(
        job="j1", attempt=1, task=Task(mode=Mode.INTERP, interpolator="flow"),
        source_url=(clip or home / "clip.mp4").as_uri(), source_name="clip.mp4",
        source_bytes=clip.stat().st_size if clip else 0, output_url=url("output"),
        picture_url=url("picture"), status_url=url("status"), log_url=url("log"),
        result_url=url("result"), deadline_at=time.time() + 300, device="cpu",
        segments=(SegmentUrls(content_url=url("0.nut"), manifest_url=url("0.json")),),
        clip_url=url("clip"), source_id="e1",
    )  # fmt: skip


def make_manifest(number: int) -> Manifest:
    """Of 24 pictures each."""
    begin = 24 * number
    return Manifest(
        number=number, recipe=_RECIPE, begin_at=begin, last_at=begin + 23,
        next_at=begin + 24 if number < 2 else None, frames=24, first=begin, last=begin + 23,
        end=begin + 24, pictures=begin + 24, sha256=hashlib.sha256(_CONTENT).hexdigest(),
        bytes=len(_CONTENT), encoder="libx264", extradata_sha256="0" * 64, depth=2,
        until=72 if number == 2 else None,
    )  # fmt: skip


KINDS = (
    Kind(name="readers", count=800, quick=100, run=run_readers, must_accept=0.1, must_refuse=0.3),
    Kind(name="grants", count=60, quick=0, run=run_grants, must_accept=0.1, must_refuse=0.1),
)  # fmt: skip
