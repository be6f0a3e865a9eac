"""Errors in the words of the command line: options instead of Python arguments."""

from __future__ import annotations

import argparse
import ast
import re
from collections.abc import Callable

_ARGUMENTS: tuple[tuple[re.Pattern[str], str | Callable[[re.Match[str]], str], str], ...] = (
    (re.compile(r"columns=(\{[^{}]*\})"), lambda found: f"--columns {_pairs(found[1])}", "columns"),
    (re.compile(r"^columns: "), "--columns: ", "columns"),
    (re.compile(r"\bleave columns out\b"), "leave --columns out", "columns"),
    (re.compile(r"\bformat= "), "--format ", "format"),
    (re.compile(r"\(users=, assistants=; (--[^()]*)\)"), r"(\1)", "user"),
    (re.compile(r"local_files_only=False \(--network\)"), "--network", "network"),
    (re.compile(r"\blocal_files_only=False\b"), "--network", "network"),
    (re.compile(r"^keep: "), "--keep: ", "keep"),
    (re.compile(r"\bmin_users= "), "--min-users ", "min_users"),
    (re.compile(r"\bpass resume=True to continue it, or overwrite=True to replace it\b"), "give "
     "--resume to continue it, or --overwrite to replace it", "resume"),
    (re.compile(r"\bpass overwrite=True\b"), "give --overwrite", "overwrite"),
    (re.compile(r"\bcontinue with resume=True\b"), "continue with --resume", "resume"),
    (re.compile(r"\bwith screen=False\b"), "with --no-screen", "no_screen"),
    (re.compile(r"\bsee specificity\b"), "see --specificity", "specificity"),
    (re.compile(r"^specificity, "), "--specificity, ", "specificity"),
    (re.compile(r"^kind='studies': "), "--measured-on studies: ", "measured_on"),
    (re.compile(r"\bleave kind out, or give measured\b"), "leave --measured-on out, or give "
     "--measured", "measured_on"),
    (re.compile(r"\bif need be with fewer workers\b"), "if need be with fewer --workers", "resume"),
)  # fmt: skip
"""What errors say, what the command line says instead, and the option that it then names."""


def in_options(problem: str, arguments: argparse.Namespace) -> str:
    """Put a problem in the words of a command.

    Args:
        problem: What an error says.
        arguments: The command's options; no other options are named.

    Example:
        >>> in_options("name it: columns={'role': 'who'}", argparse.Namespace(columns=None))
        'name it: --columns role=who'
    """
    for pattern, replacement, option in _ARGUMENTS:
        if option in arguments:
            problem = pattern.sub(replacement, problem)
    return problem


def _pairs(text: str) -> str:
    """Return a dict as an option's value."""
    try:
        pairs = ast.literal_eval(text).items()
    except (ValueError, SyntaxError):
        return text
    return ",".join(f"{key}={value}" for key, value in pairs)
