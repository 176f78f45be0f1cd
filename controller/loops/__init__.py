"""The duties of the controller, each a loop of its own that looks at what is and mends it.

Level-triggered: a tick is right with an empty memory, after any crash and at any moment. What is
awaited happens with no transaction open, and its outcome is applied by a guarded move.
"""
