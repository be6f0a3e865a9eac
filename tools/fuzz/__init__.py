"""Valid exports of every format, and what becomes of them when they are damaged.

``python -m tools.fuzz`` reads at least 200,000 damaged inputs, ``--million`` as many in children
that are watched; `tests.formats.test_fuzz` and `tests.tools.test_million` are their short versions.
"""
