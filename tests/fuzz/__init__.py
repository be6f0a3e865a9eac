"""Valid exports of every format, and what becomes of them when they are damaged.

``python -m tests.fuzz`` reads at least 200,000 damaged inputs; `tests.formats.test_fuzz` is its
short version.
"""
