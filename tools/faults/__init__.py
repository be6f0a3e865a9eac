"""Every step to the disk fails in turn, and the output is complete, absent or resumable.

Run as ``python -m tools.faults``; `tests.tools.test_faults` does the same with fewer records. The
steps are what Python calls of the system (open, write, fsync, rename, mkdir, unlink): the n-th one
raises, as it would on a full or failing disk, for every n until a run comes to its end.
"""
