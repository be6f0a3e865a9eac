"""Errors of the system: which of them are about a file, and which about the machine."""

from __future__ import annotations

import errno

_FILE_ERRORS = (
    *(errno.EACCES, errno.EPERM, errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.ENXIO),
    *(errno.EINVAL, errno.ELOOP, errno.ENAMETOOLONG),
)


def is_environment_error(error: BaseException) -> bool:
    """Whether the machine failed and not the file, so that reading it again may succeed.

    A failing disk, too many open files or a lost connection to a server end a run, which can be
    resumed; what is wrong with a file is a failure in its place, and the run goes on.
    """
    number = error.errno if isinstance(error, OSError) else None
    return number is not None and number not in _FILE_ERRORS
