"""From conversations to the logits of their messages."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from affectlib.aggregation import merge_windows
from affectlib.conversation import Conversation
from affectlib.encoding import EncodedWindow, WindowEncoder, token_batches
from affectlib.engines import Engine

__all__ = ["MessageScore", "score_messages"]

_BATCH_TOKENS = 4096


@dataclass(frozen=True, slots=True)
class MessageScore:
    """What the encoder says of one message.

    Attributes:
        logits: Its logits, shape ``[outputs]``.
        truncated_tokens: Tokens of it that were not read.
    """

    logits: NDArray[Any]
    truncated_tokens: int


def score_messages(
    conversations: Sequence[Conversation],
    encoder: WindowEncoder,
    engine: Engine,
    *,
    assistant_targets: bool = True,
) -> list[dict[int, MessageScore]]:
    """Score the messages of several conversations; windows that are the same are run once.

    Args:
        conversations: The conversations.
        encoder: Lays out and tokenizes them.
        engine: Runs the windows.
        assistant_targets: Whether the assistant's messages are scored too.

    Returns:
        For each conversation the scores of the messages that were read, by their position.

    Example:
        >>> chat = Conversation((Message("user", "hi"), Message("system", "Be brief.")))
        >>> [[*scores] for scores in score_messages([chat], encoder, engine)]
        [[0]]
    """
    scores: list[dict[int, MessageScore]] = [{} for _ in conversations]
    windows = encoder.encode(conversations, assistant_targets=assistant_targets)
    if not windows:
        return scores
    keys = [(window.conversation, window.message) for window in windows]
    unread = dict(zip(keys, (window.truncated_tokens for window in windows), strict=True))
    for (position, index), logits in merge_windows(keys, _run(windows, encoder, engine)).items():
        scores[position][index] = MessageScore(logits, unread[position, index])
    return scores


def _run(
    windows: Sequence[EncodedWindow], encoder: WindowEncoder, engine: Engine
) -> NDArray[np.float32]:
    """Return the logits of each window."""
    distinct = {tuple(window.ids): window for window in windows}
    batches = token_batches([*distinct.values()], max_tokens=_BATCH_TOKENS, pad_id=encoder.pad_id)
    rows, logits = zip(
        *((rows, engine.logits(ids, mask)) for rows, ids, mask in batches), strict=True
    )
    row_of = np.argsort(np.concatenate(rows))
    place = {ids: row_of[row] for row, ids in enumerate(distinct)}
    result: NDArray[np.float32] = np.concatenate(logits)
    return result[[place[tuple(window.ids)] for window in windows]]
