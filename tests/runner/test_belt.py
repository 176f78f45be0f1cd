import threading
import time

import pytest

from remote_runner.belt import Abandoned, Belt, Worker, feed


def test_items_arrive_in_order_and_few_wait():
    belt = Belt(2)
    put = []

    def produce():
        for n in range(50):
            belt.put(n)
            put.append(n)
        belt.close()

    worker = Worker(produce, "producer")
    time.sleep(0.05)
    assert len(put) == 2
    assert list(belt) == list(range(50))
    worker.join()
    assert worker.failure is None


def test_a_failure_of_the_producer_reaches_the_consumer_after_its_items():
    belt = Belt(4)

    def broken():
        yield 1
        raise ZeroDivisionError

    worker = Worker(lambda: feed(belt, broken()), "producer")
    found = []
    with pytest.raises(ZeroDivisionError):
        found.extend(belt)
    worker.join()
    assert found == [1]
    assert isinstance(worker.failure, ZeroDivisionError)


def test_a_producer_waiting_for_room_is_freed_when_nobody_reads_any_more():
    belt = Belt(1)
    worker = Worker(lambda: feed(belt, iter(int, 1)), "producer")
    time.sleep(0.05)
    belt.abandon()
    worker.join()
    assert worker.failure is None
    with pytest.raises(Abandoned):
        belt.put(1)
    assert not [each for each in threading.enumerate() if each.name == "producer"]
