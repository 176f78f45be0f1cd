"""What a fault happens to, asked for only when one happens."""

from collections.abc import Callable, Iterator, Sequence


class Lazily(Sequence[str]):
    """The states that ``ask(*arguments)`` tells, once somebody looks."""

    def __init__(self, ask: Callable[..., Sequence[str]], *arguments: object) -> None:
        self._ask = ask
        self._arguments = arguments

    def __iter__(self) -> Iterator[str]:
        return iter(self._ask(*self._arguments))

    def __len__(self) -> int:
        return len(self._ask(*self._arguments))

    def __getitem__(self, place):
        return self._ask(*self._arguments)[place]


def unknown(*_: object) -> tuple[str, ...]:
    """Where nobody has said how to find out."""
    return ("",)
