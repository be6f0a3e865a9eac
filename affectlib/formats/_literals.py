"""Python literals, which one thread at a time may parse."""

from threading import Lock

PARSING = Lock()
"""Where threads parse literals side by side, Python 3.11 can fail: `SystemError: AST constructor
recursion depth mismatch`."""
