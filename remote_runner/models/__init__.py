"""Networks and interpolators: what they are called, where they come from, how they are run."""
