"""A user's labelled conversations as arrays, and what a model says of them."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from itertools import compress
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from affectlib.errors import OptionError, TranscriptFormatError
from affectlib.finetuning.labelled import LabelledConversation
from affectlib.finetuning.user_file import read_labelled_file
from affectlib.model.artifacts import Artifact
from affectlib.model.calibration import sigmoid
from affectlib.model.decisions import conversation_logits
from affectlib.model.encoding import EncodedWindow, WindowEncoder
from affectlib.model.engines import Engine
from affectlib.model.scoring import score_windows
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
        return Labelled([*compress(self.conversations, chosen)], [*compress(self.groups, chosen)])


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
        self._encoder = WindowEncoder(base.file("tokenizer.json"), base.windows)
        self.pad_id = self._encoder.pad_id

    def windows(self, data: Labelled) -> list[list[EncodedWindow]]:
        """Return the windows of each conversation."""
        return self._encoder.encode([labelled.conversation for labelled in data.conversations])

    def probabilities(
        self, windows: Sequence[Sequence[EncodedWindow]], engine: Engine
    ) -> NDArray[np.float64]:
        """Return P(emotional) by the base's calibration, shape ``[conversations]``.

        Args:
            windows: The windows of each conversation.
            engine: Runs them.
        """
        emotional = self.base.outputs.index(EMOTIONAL)
        return np.array(
            [
                self.base.recalibration.probability(
                    sigmoid(float(conversation_logits(self.base, scores)[emotional]))
                )
                for scores in score_windows(windows, engine, self.pad_id)
            ],
            np.float64,
        )
