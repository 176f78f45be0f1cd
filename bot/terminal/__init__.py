"""The front end of a terminal: commands, batches, plans and rows."""
