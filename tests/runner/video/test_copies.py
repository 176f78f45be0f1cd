from array import array
from fractions import Fraction

import pytest

from remote_runner.video.copies import check_streams
from remote_runner.video.payload import Print
from remote_runner.video.scan import Scan
from remote_runner.video.texts import read_text, write_text


def scan(codec, times, step):
    sound = Print(codec, "audio", packets=len(times), times=array("d", times))
    sound.end_s = times[-1] + step
    sound._hash.update(codec.encode())
    return Scan(Fraction(1, 1000), prints={1: sound})


def verdict(times, step):
    old = scan("pcm_s16le", [n * 0.05 for n in range(200)], 0.05)
    checks = check_streams("audio", old, scan("aac", times, step), old_start_s=0.0)
    return [check.passed for check in checks]


def test_sound_of_a_low_rate_may_begin_a_packet_early():
    packet = 1024 / 8000
    assert verdict([(n - 1) * packet for n in range(79)], packet) == [True]
    assert verdict([(n - 2) * packet for n in range(80)], packet) == [False]
    assert verdict([-0.128 + n * 0.02 for n in range(506)], 0.02) == [False]


def test_sound_that_was_converted_may_have_no_hole():
    times = [n * 0.02 for n in range(500)]
    assert verdict(times, 0.02) == [True]
    assert verdict(times[:200] + times[210:], 0.02) == [False]


@pytest.mark.parametrize("codec", ["subrip", "webvtt", "mov_text"])
def test_places_on_the_screen_are_no_words(codec):
    said = write_text(codec, "{\\an8}{\\pos(1,2)}{Hi} you")
    assert read_text(codec, said) == "{Hi} you"
