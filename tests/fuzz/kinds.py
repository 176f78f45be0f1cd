"""Everything that is tried."""

from tests.fuzz import (
    command_line,
    documents,
    files,
    machine_side,
    pages,
    provider,
    settings_input,
    storage,
    updates,
)
from tests.fuzz.tally import Kind

KINDS: tuple[Kind, ...] = (
    *files.KINDS,
    *provider.KINDS,
    *documents.KINDS,
    *machine_side.KINDS,
    *storage.KINDS,
    *pages.KINDS,
    *settings_input.KINDS,
    *command_line.KINDS,
    *updates.KINDS,
)
