"""What may travel as a document, whatever is in it."""

from remote_runner.protocol import Outcome, Result, from_json, to_json


def test_half_a_character_can_be_written():
    result = Result(job="j", attempt=1, outcome=Outcome.FAILED, detail="\ud800x")
    text = to_json(result)
    assert from_json(Result, text.encode()).detail == "?x"
