"""Bugs planted on purpose, one at a time, each of which some test has to notice."""
