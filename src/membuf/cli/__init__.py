"""The command line: `membuf copy` and its options.

Modules of the library import nothing from here; what a command needs is loaded when it is run.
"""

from membuf.cli.app import main

__all__ = ["main"]
