"""Optional libraries: the extra that installs each, and switches that keep them from reporting.

Some report on their use unless an environment variable says no before they are imported; see
``docs/explanation/nothing-leaves.md``. A variable that is set already stays as it is.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import MappingProxyType

from affectlib.errors import MissingExtraError

_DISTRIBUTIONS = {"sklearn": "scikit-learn"}
"""Names of distributions that differ from those of their packages."""

SWITCHES = MappingProxyType(
    {
        "ORT_DISABLE_TELEMETRY": "1",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "RAY_USAGE_STATS_ENABLED": "0",
    }
)
"""Environment variables that tell libraries not to report, with their values."""

_RAY_ON_LOOPBACK = {"RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0"}
_OPENVINO = "openvino_telemetry"


@contextmanager
def requires_extra(extra: str) -> Iterator[None]:
    """Name the extra to install if an import within fails, and keep its libraries from reporting.

    Example:
        >>> with requires_extra("audio"):
        ...     import sounddevice_of_tomorrow
        Traceback (most recent call last):
        affectlib.errors.MissingExtraError: sounddevice_of_tomorrow is not installed; install it \
with: pip install 'affectlib[audio]'
    """
    switch_off()
    try:
        yield
    except MissingExtraError as error:
        raise MissingExtraError(error.package, extra) from error
    except ImportError as error:
        package = (error.name or "").partition(".")[0]
        if not package or package in ("affectlib", "training"):
            raise  # a bug of ours, or a library that cannot load its binaries
        raise MissingExtraError(_DISTRIBUTIONS.get(package, package), extra) from error


def switch_off(*, ray_on_loopback: bool = False) -> None:
    """Tell libraries that are imported later not to report.

    Args:
        ray_on_loopback: Whether Ray's processes speak to each other over the loopback interface
            only, as on Windows and macOS.

    Example:
        >>> switch_off()
        >>> import os
        >>> os.environ["ORT_DISABLE_TELEMETRY"]
        '1'
    """
    for name, value in (SWITCHES | (_RAY_ON_LOOPBACK if ray_on_loopback else {})).items():
        os.environ.setdefault(name, value)


@contextmanager
def without_openvino_reports() -> Iterator[None]:
    """Import OpenVINO within as if its telemetry package were not installed.

    OpenVINO has no environment variable for this, only a file in the home folder.
    """
    if _OPENVINO in sys.modules:
        yield
        return
    sys.modules[_OPENVINO] = None  # type: ignore[assignment]
    try:
        yield
    finally:
        sys.modules.pop(_OPENVINO, None)
