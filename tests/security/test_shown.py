"""What strangers put into names reaches no terminal as more than characters."""

import io
import logging
from datetime import UTC, datetime

import av
import pytest
from rich.console import Console

from bot.terminal.console import BarReporter, PlainReporter
from controller.redaction import RedactingFormatter
from remote_runner.protocol import Phase, Status
from remote_runner.report import say
from remote_runner.video.containers import stream_label
from remote_runner.video.probe import probe
from remote_runner.video.source import open_source
from tests.runner.clips import make_clip

TRICK = "\x1b[2J\x1b]0;owned\x07\r[OK] done\u202egpj\u2066\x9b31m\nERROR all is lost"
STATUS = Status(sequence=1, heartbeat_at=0, phase=Phase.PROCESSING, done=1, total=2)


def is_harmless(text):
    return all(each.isprintable() or each == "\n" for each in text)


def test_lines_of_the_terminal_move_no_cursor():
    output = io.StringIO()
    plain = PlainReporter(output, now=lambda: datetime(2030, 1, 1, tzinfo=UTC))
    for tell in (plain.warn, plain.fail, plain.log, lambda text: plain.say("OK", text)):
        tell(TRICK)
    plain.say("RESULT", "https://files.example/" + "x" * 3000)
    lines = output.getvalue().splitlines()
    assert is_harmless(output.getvalue())
    assert len(lines) == 5 and all(line.startswith("[00:00:00] [") for line in lines)
    assert lines[-1].endswith("x" * 3000)


def test_bars_of_the_terminal_move_no_cursor_of_their_own():
    output = io.StringIO()
    bars = BarReporter(Console(file=output, force_terminal=False))
    bars.progress(TRICK, STATUS)
    bars.log(TRICK)
    bars.close()
    assert is_harmless(output.getvalue())


def test_nobodys_words_look_like_a_line_of_the_log():
    formatter = RedactingFormatter((), "%(levelname)s %(message)s")
    record = logging.LogRecord("x", logging.INFO, "", 0, "of %s", (TRICK,), None)
    first, second = formatter.format(record).split("\n")
    assert first.startswith("INFO of ")
    assert second == "    ERROR all is lost"
    assert is_harmless(first + second)


def test_what_the_runner_prints_is_one_line(capsys):
    say(f"  dropped {TRICK}")
    printed = capsys.readouterr().out
    assert printed.count("\n") == 1 and is_harmless(printed)


@pytest.mark.parametrize(
    "language", [TRICK, "x" * 5000, "\u202eger", "<b>rus</b>", "\ue0000\ue001"], ids=range(5)
)
def test_the_language_of_a_stream_is_short_and_can_be_shown(tmp_path, language):
    plain = make_clip(tmp_path / "plain.mkv", audio=1)
    path = tmp_path / "in.mkv"
    with av.open(str(plain)) as source, av.open(str(path), "w") as target:
        streams = {each.index: target.add_stream_from_template(each) for each in source.streams}
        streams[1].metadata["language"] = language
        for packet in source.demux():
            if packet.size:
                packet.stream = streams[packet.stream_index]
                target.mux(packet)
    (label,) = probe(path).audio
    with open_source(path) as container:
        labels = [label, *map(stream_label, container.streams)]
    assert all(each.isprintable() and len(each) < 40 for each in labels)
