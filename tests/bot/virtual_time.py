"""An event loop whose clock jumps to the next timer: ten minutes pass in a second."""

import asyncio
import selectors


class _Selector(selectors.DefaultSelector):
    """Waits for nothing; time that would have been waited for is said to have passed."""

    loop = None

    def select(self, timeout=None):
        ready = super().select(0)
        if ready or timeout == 0:
            return ready
        if timeout is None:
            raise RuntimeError("nothing is scheduled: the program would wait for ever")
        self.loop.now += max(timeout, 0.0)
        return ready


class VirtualLoop(asyncio.SelectorEventLoop):
    """What runs in threads is run at once, so that no real time passes beside the virtual."""

    def __init__(self) -> None:
        self.now = 0.0
        selector = _Selector()
        super().__init__(selector)
        selector.loop = self

    def time(self):
        return self.now

    def run_in_executor(self, executor, func, *args):
        future = self.create_future()
        try:
            future.set_result(func(*args))
        except Exception as error:  # it belongs to whoever awaits it
            future.set_exception(error)
        return future


def run_virtual(make_coroutine):
    """Run ``make_coroutine(loop)`` to its end on a loop of its own."""
    loop = VirtualLoop()
    try:
        return loop.run_until_complete(make_coroutine(loop))
    finally:
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.close()
