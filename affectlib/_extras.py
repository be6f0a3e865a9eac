"""Optional dependencies: what to install where one is missing."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from affectlib.errors import MissingExtraError

__all__ = ["requires_extra"]

_DISTRIBUTIONS = {"sklearn": "scikit-learn"}
"""Packages whose name on import is another than the one that pip knows."""


@contextmanager
def requires_extra(extra: str) -> Iterator[None]:
    """Say which extra to install if an import within fails.

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
    try:
        yield
    except MissingExtraError as error:
        raise MissingExtraError(error.package, extra) from error
    except ImportError as error:
        package = (error.name or "").partition(".")[0]
        if not package or package in ("affectlib", "training"):
            raise  # a fault of our own, or a library that cannot load its binaries
        raise MissingExtraError(_DISTRIBUTIONS.get(package, package), extra) from error
