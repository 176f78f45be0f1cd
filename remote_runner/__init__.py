"""The program that travels to a machine with a GPU and makes one video larger and smoother.

It imports nothing of the rest of the project: what the controller and it share is
:mod:`remote_runner.protocol`, which needs the standard library alone.
"""

__version__ = "0.1.0"
