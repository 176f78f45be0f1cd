"""What excerpts of a file are compared by."""

import hashlib

from remote_runner.video import signal as signals
from remote_runner.video.decode import Picture
from remote_runner.video.moments import Reader, as_signal
from remote_runner.video.probe import probe


def shown_in(path):
    """Hashes of the samples of every frame, as the work sees them."""
    with Reader(path) as reader:
        return [_hash(frame, reader) for frame in reader.frames(reader.start_s)]


def _hash(frame, reader):
    signal = signals.of_frame(frame, reader.stream)
    planes = Picture(as_signal(frame, signal), 0, 0).planes()
    return hashlib.sha256(b"".join(each.numpy().tobytes() for each in planes)).hexdigest()


def describe(path):
    """Width, and seconds as they are shown."""
    facts = probe(path)
    return facts.width, facts.duration_s
