"""Libraries that affectlib imports when needed: what to install, and how none of them reports.

Some report on their use unless they are told not to before they are imported. A switch that is set
already stays as it is. ``docs/explanation/nothing-leaves.md`` says what each of them would do.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import MappingProxyType

from affectlib.errors import MissingExtraError

__all__ = ["SWITCHES", "requires_extra", "switch_off", "without_openvino_reports"]

_DISTRIBUTIONS = {"sklearn": "scikit-learn"}
"""Packages whose name on import is another than the one that pip knows."""


SWITCHES = MappingProxyType(
    {
        "ORT_DISABLE_TELEMETRY": "1",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "RAY_USAGE_STATS_ENABLED": "0",
    }
)
"""Environment variables by which libraries are told not to report, and the value that says so."""

_RAY_ON_LOOPBACK = {"RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0"}
_OPENVINO = "openvino_telemetry"


@contextmanager
def requires_extra(extra: str) -> Iterator[None]:
    """Name the extra to install if an import within fails, and keep its libraries from reporting.

    Args:
        extra: The extra of ``pyproject.toml`` that brings what is imported.

    Raises:
        MissingExtraError: A package is missing, or too old to have what is imported.

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
            raise  # our own bug, or a library that cannot load its binaries
        raise MissingExtraError(_DISTRIBUTIONS.get(package, package), extra) from error


def switch_off(*, ray_on_loopback: bool = False) -> None:
    """Tell the libraries that are imported from now on not to report.

    Args:
        ray_on_loopback: Whether Ray's processes are to speak to each other over the loopback
            interface, as they do on Windows and macOS, which bars those of other machines.

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
    """Import OpenVINO within as if the package by which it reports were not installed.

    OpenVINO has no environment variable for this: its own switch is a file in the home folder.
    """
    if _OPENVINO in sys.modules:
        yield
        return
    sys.modules[_OPENVINO] = None  # type: ignore[assignment]
    try:
        yield
    finally:
        sys.modules.pop(_OPENVINO, None)
