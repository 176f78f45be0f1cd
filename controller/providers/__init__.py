"""Where machines come from: each provider in a module of its own behind :mod:`.base`."""
