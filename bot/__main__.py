"""``python -m bot`` is the ``noxfvr`` command."""

from bot.cli import main

main()
