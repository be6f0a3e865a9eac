"""A user's labelled conversations as arrays, and what a model says about them."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from affectlib.errors import OptionError, TranscriptFormatError
from affectlib.finetuning.labelled import LabelledConversation
from affectlib.finetuning.user_file import read_labelled_file
from affectlib.model.artifacts import Artifact
from affectlib.model.decisions import user_logits
from affectlib.model.encoding import EncodedWindow, WindowEncoder
from affectlib.model.engines import Engine
from affectlib.model.scoring import MessageScore, WindowCache, encode_windows, score_windows
from affectlib.taxonomy import EMOTIONAL, TASK

__all__ = ["FEWEST", "Labelled", "Reader"]

FEWEST = 10
"""Conversations of each label that are needed."""


@dataclass(frozen=True)
class Labelled:
    """A user's labelled conversations, and whose each is.

    Attributes:
        conversations: The conversations.
        groups: Whose each is; what identifies it is of no matter.
    """

    conversations: Sequence[LabelledConversation]
    groups: Sequence[Hashable]

    @classmethod
    def read(cls, path: Path, group: str | None) -> Labelled:
        """Read a file.

        Args:
            path: The file.
            group: The field that says whose a conversation is; each is its own if None.

        Raises:
            TranscriptFormatError: A row is malformed, has no such field, or there is none.
            OptionError: There are too few of a label.
        """
        conversations = [*read_labelled_file(path)]
        if not conversations:
            raise TranscriptFormatError("there is no conversation in it", path=str(path))
        groups = [
            _group_of(labelled, group, path, number)
            for number, labelled in enumerate(conversations, 1)
        ]
        found = cls(conversations, groups)
        emotional = int(found.truth.sum())
        for label, count in ((EMOTIONAL, emotional), (TASK, len(conversations) - emotional)):
            if count < FEWEST:
                raise OptionError(
                    f"{path}: {count:,} of {len(conversations):,} conversations are {label}; "
                    f"fine-tuning needs at least {FEWEST}"
                )
        return found

    @property
    def truth(self) -> NDArray[np.bool_]:
        """Whether each is emotional, shape ``[conversations]``."""
        return np.array([labelled.emotional for labelled in self.conversations], bool)

    @property
    def codes(self) -> NDArray[np.intp]:
        """A number for each one's group, from 0, shape ``[conversations]``."""
        numbers: dict[Hashable, int] = {}
        return np.array([numbers.setdefault(name, len(numbers)) for name in self.groups], np.intp)

    def where(self, chosen: NDArray[np.bool_]) -> Labelled:
        """Return some of them."""
        places = np.flatnonzero(chosen).tolist()
        return Labelled(
            [self.conversations[place] for place in places], [self.groups[p] for p in places]
        )


def _group_of(
    labelled: LabelledConversation, group: str | None, path: Path, number: int
) -> Hashable:
    if group is None:  # the same chat twice is one group, so that it is not in both parts
        return tuple(message.content for message in labelled.conversation.user_messages)
    value = labelled.row.get(group)
    if isinstance(value, str | int) and value != "":
        return value
    place = labelled.conversation.id or number
    raise TranscriptFormatError(
        f"{path}, conversation {place!r}: field {group!r}, to group by, is missing, or "
        "neither text nor a number"
    )


class Reader:
    """Reads conversations as the base does, with any engine.

    Args:
        base: The model.
    """

    def __init__(self, base: Artifact) -> None:
        """Load the tokenizer."""
        self.base = base
        self.encoder = WindowEncoder(base.file("tokenizer.json"), base.windows)

    def windows(self, data: Labelled) -> list[list[EncodedWindow]]:
        """Return the windows of the user's messages of each conversation."""
        chats = [labelled.conversation for labelled in data.conversations]
        return encode_windows(chats, self.encoder, assistant_targets=False)

    def scores(
        self, windows: Sequence[Sequence[EncodedWindow]], engine: Engine
    ) -> list[dict[int, MessageScore]]:
        """Return the scores of the messages of each conversation."""
        return score_windows(windows, engine, self.encoder.pad_id, WindowCache())

    def probabilities(
        self, data: Labelled, scores: Sequence[Mapping[int, MessageScore]]
    ) -> NDArray[np.float64]:
        """Return what the base's calibration makes of scores, shape ``[conversations]``."""
        found = [
            self.base.conversation_probability(
                [*user_logits(self.base, labelled.conversation, own).values()]
            )
            for labelled, own in zip(data.conversations, scores, strict=True)
        ]
        return np.array(found, np.float64)
