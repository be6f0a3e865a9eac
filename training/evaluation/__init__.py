"""What an artifact is measured on, and which conversations are kept for that."""

from __future__ import annotations

import zlib

HELD_OUT = ("sgd", "multidogo", "taskmaster4")
"""Sets that may be trained on, of which one conversation in ten is kept for measuring."""


def is_held_out(source: str, conversation_id: str) -> bool:
    """Tell whether a conversation of a training set is kept for measuring.

    Args:
        source: Name of the set.
        conversation_id: Its id there. One in ten is held out, by a checksum of the id.

    Example:
        >>> [number for number in range(50) if is_held_out("sgd", f"sgd-{number}")]
        [4, 31, 46]
        >>> is_held_out("clinc150", "any")
        False
    """
    return source in HELD_OUT and zlib.crc32(conversation_id.encode()) % 10 == 0
