"""The table in docs/models.md says what the catalog and the networks say."""

import pytest

from remote_runner.models import catalog
from remote_runner.models.catalog import Family
from remote_runner.models.rrdb_structure import STRIP_BYTES
from tests.runner.models.conftest import ROOT
from tests.runner.models.speed import STRUCTURES

PAGE = (ROOT / "docs" / "models.md").read_text()
WIDTH, HEIGHT = 1280, 720


def row(spec):
    """name, family, scale, licence, bytes, GFLOP of a frame, MiB of a frame, radius."""
    if spec.family is Family.FLOW:
        return [f"`{spec.name}`", spec.family, "—", spec.licence, "—", "—", "—", "—"]
    structure = STRUCTURES[spec.name]
    is_rife = spec.family is Family.RIFE
    multiple = structure.multiple if is_rife else 1
    pixels = (WIDTH + -WIDTH % multiple) * (HEIGHT + -HEIGHT % multiple)
    memory = structure.bytes_per_pixel(2) * pixels
    if spec.family is Family.RRDB:
        memory += 2 * STRIP_BYTES
    size = (
        spec.download.bytes
        if spec.download
        else (catalog.shipped_dir() / spec.file).stat().st_size
    )
    return [
        f"`{spec.name}`",
        spec.family,
        "—" if is_rife else f"×{spec.scale}",
        spec.licence,
        f"{size:,}" if size else "not known",
        f"{2 * spec.macs_per_pixel * pixels / 1e9:,.1f}",
        f"{memory / 2**20:,.0f}",
        "—" if is_rife else str(structure.receptive_radius),
    ]


@pytest.mark.parametrize("name", catalog.ALL)
def test_each_model_is_in_the_table_as_it_is(name):
    line = "| " + " | ".join(row(catalog.ALL[name])) + " |"
    assert line in PAGE, f"docs/models.md should have: {line}"


def test_when_to_take_which_is_said_as_in_the_catalog():
    for spec in catalog.ALL.values():
        assert f"- `{spec.name}`: {spec.when}." in PAGE


def test_each_file_that_a_mirror_may_hold_is_listed():
    for spec in [*catalog.ALL.values(), catalog.NOISE_KEEPER]:
        if spec.download:
            assert f"| `{spec.file}` | `{spec.download.sha256}` |" in PAGE
