"""Where objects are kept: each kind of storage in a module of its own behind :mod:`.base`."""
