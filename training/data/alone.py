"""Which messages say by themselves what they are labelled.

Copies of a target follow other messages than its own, or none (`training.data.augment`). Many a
message is charged only after what precedes it ("yes, since March"), and others only seem so
without it. Their copies keep their context; else their label would be wrong.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from affectlib.conversation import Conversation, Message
from affectlib.model.calibration import sigmoid
from affectlib.model.encoding import WindowEncoder
from affectlib.model.scoring import score_messages
from affectlib.model.windows import WindowSettings
from affectlib.taxonomy import EMOTIONAL, OUTPUTS
from training.evaluation.scoring import TrainedModel


class AloneReader:
    """Reads messages by themselves with the model that training goes on from.

    Args:
        folder: Folder of the model, with its tokenizer.
        settings: How windows are laid out.
        threshold: P(emotional) from which a message counts as charged.
    """

    def __init__(self, folder: Path, settings: WindowSettings, threshold: float) -> None:
        """Load the model."""
        self._encoder = WindowEncoder(folder / "tokenizer.json", settings)
        self._engine = TrainedModel(folder)
        self._threshold = threshold
        self._charged: dict[str, bool] = {}

    def read(self, texts: Iterable[str]) -> None:
        """Read messages, each once."""
        new = [text for text in dict.fromkeys(texts) if text not in self._charged]
        conversations = [Conversation((Message("user", text),)) for text in new]
        scores = score_messages(conversations, self._encoder, self._engine)
        emotional = OUTPUTS.index(EMOTIONAL)
        for text, by_message in zip(new, scores, strict=True):
            if 0 in by_message:
                probability = sigmoid(float(by_message[0].logits[emotional]))
                self._charged[text] = probability >= self._threshold

    def agrees(self, text: str, *, charged: bool) -> bool:
        """Return whether a message that was read is labelled as it reads; True if it was not."""
        return self._charged.get(text, charged) == charged
