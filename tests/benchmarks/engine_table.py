"""The table of one clip, and what is demanded of it."""

from __future__ import annotations

from dataclasses import dataclass

from tests.benchmarks.engine_crew import Row
from tests.benchmarks.engine_networks import Cost

NAMES = {
    "ours": "noxfvr",
    "plain": "plain PyTorch",
    "reference": "realesrgan 0.3.0",
}
HEADER = (
    "engine",
    "end to end",
    "network",
    "of matmul",
    "of copy",
    "peak memory",
    "first frame",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Demand:
    """Something that must hold: a figure and the least that it may be."""

    what: str
    figure: float
    least: float

    @property
    def met(self) -> bool:
        return self.figure >= self.least

    def __str__(self) -> str:
        verdict = "met" if self.met else "MISSED"
        return f"{self.what} {self.figure:.2f}, at least {self.least:g}: {verdict}"


def draw_table(rows: list[Row], cost: Cost, itemsize: int, ceilings: dict[str, float]) -> str:
    lines = [HEADER, *(_cells(row, cost, itemsize, ceilings) for row in rows)]
    widths = [max(len(line[i]) for line in lines if len(line) > 2) for i in range(len(HEADER))]
    return "\n".join(
        "  ".join(
            cell.ljust(width) if place == 0 else cell.rjust(width)
            for place, (cell, width) in enumerate(zip(line, widths, strict=False))
        )
        for line in lines
    )


def compute_share(row: Row, cost: Cost, ceilings: dict[str, float]) -> float:
    """Of the operations that a matrix product reaches, how many the network does."""
    return row.network_fps * cost.flop / ceilings["flop_s"]


def ratios(rows: list[Row]) -> tuple[float, float] | None:
    """How many times as fast as the reference we are: end to end, and the network alone."""
    named = {row.engine: row for row in rows if not row.problem}
    if not {"ours", "reference"} <= named.keys():
        return None
    ours, reference = named["ours"], named["reference"]
    return ours.end_fps / reference.end_fps, ours.network_fps / reference.network_fps


def _cells(row: Row, cost: Cost, itemsize: int, ceilings: dict[str, float]) -> tuple[str, ...]:
    name = NAMES[row.engine]
    if row.problem:
        return name, row.problem
    moved = row.network_fps * cost.values * itemsize / ceilings["bytes_s"]
    return (
        name,
        f"{row.end_fps:.2f} fps",
        f"{row.network_fps:.2f} fps",
        f"{compute_share(row, cost, ceilings):.0%}",
        f"{moved:.0%}",
        f"{row.memory / 1e6:.0f} MB",
        f"{row.first:.2f} s",
    )
