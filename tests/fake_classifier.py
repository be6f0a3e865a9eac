"""A stand-in for the classifier, for tests of what is around it."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from affectlib.conversation import Conversation, Message
from affectlib.errors import NoUserTextError
from affectlib.explanations import WordExplanation, WordShare
from affectlib.model.calibration import OperatingPoint, WindowCombination
from affectlib.model.windows import WindowSettings
from affectlib.predictions import (
    ConversationFailure,
    ConversationPrediction,
    MessagePrediction,
)
from affectlib.taxonomy import ASSISTANT_CUES, CUES, THEMES, USER_CUES

MEASURED = {
    "balanced": {
        "conversation": {
            "true_positives": 8,
            "false_negatives": 2,
            "true_negatives": 97,
            "false_positives": 3,
        }
    }
}
WORD = re.compile(r"\S+")


class FakeClassifier:
    """Finds a message emotional if it says "sad"; looks ahead as the real one does."""

    operating_point = "balanced"
    device = "cpu"
    engine = "fake"
    windows_run = 0
    screen = False
    ahead = 5

    def __init__(self, **options: Any) -> None:
        self.options = options
        self.artifact = SimpleNamespace(
            name="fake",
            version="1",
            fingerprint="f00",
            folder=Path("fake"),
            prevalence=0.1,
            outputs=("emotional", *CUES),
            windows=WindowSettings(),
            conversation=WindowCombination(),
            operating_points={"balanced": OperatingPoint(0.4, 0.5, 0.8, 0.98)},
            operating_point=lambda _: OperatingPoint(0.4, 0.5, 0.8, 0.98),
            reference=None,
            cue_thresholds=dict.fromkeys(CUES, 0.5),
            theme_thresholds=dict.fromkeys(THEMES, 0.5),
            description={"languages": ["en", "fr"], "measured": MEASURED},
        )

    def predict(self, text: str) -> MessagePrediction:
        chat = Conversation((Message("user", text),))
        return self._label(chat).messages[0]

    def explain_words(self, text: str) -> WordExplanation:
        words = (WordShare(m.start(), m.end(), 2.0 * (m[0] == "sad")) for m in WORD.finditer(text))
        return WordExplanation(0, "emotional", 0.9, tuple(words), text)

    def stream(
        self,
        conversations: Iterable[Conversation | ConversationFailure],
        *,
        on_error: str = "record",
    ) -> Iterator[ConversationPrediction | ConversationFailure]:
        waiting: deque[Conversation | ConversationFailure] = deque()
        for conversation in conversations:
            waiting.append(conversation)
            if len(waiting) > self.ahead:
                yield self._outcome(waiting.popleft(), on_error)
        while waiting:
            yield self._outcome(waiting.popleft(), on_error)

    def _outcome(
        self, item: Conversation | ConversationFailure, on_error: str
    ) -> ConversationPrediction | ConversationFailure:
        if isinstance(item, ConversationFailure):
            return item
        try:
            return self._label(item)
        except NoUserTextError as error:
            if on_error == "raise":
                raise
            return ConversationFailure(item.id, f"NoUserTextError: {error}", "empty")

    def _label(self, chat: Conversation) -> ConversationPrediction:
        chat.require_user_text()
        turns = []
        for index, message in enumerate(chat.messages):
            if not message.content or message.role not in ("user", "assistant"):
                continue
            sad = "sad" in message.content
            if message.role == "user":
                label, probability = ("emotional", 0.9) if sad else ("task", 0.1)
                cues = dict.fromkeys(USER_CUES, probability)
                shown = USER_CUES if sad else ()
                turn = MessagePrediction(
                    index,
                    "user",
                    label,
                    probability,
                    cues,
                    2,
                    shown,
                    0.5,
                    intensity=2.5 if sad else 0.25,
                    themes=dict.fromkeys(THEMES, 0.75),
                    shown_themes=tuple(THEMES) if sad else (),
                )
            else:
                turn = MessagePrediction(
                    index, "assistant", None, None, dict.fromkeys(ASSISTANT_CUES, 0.25)
                )
            turns.append(turn)
        any_sad = any(turn.label == "emotional" for turn in turns)
        return ConversationPrediction(
            chat.id,
            "emotional" if any_sad else "task",
            0.9 if any_sad else 0.1,
            tuple(turns),
            dict.fromkeys(CUES, 0.5),
            any_sad,
            0.75,
            0.5,
            7,
            intensity=2.5 if any_sad else 0.25,
            themes=dict.fromkeys(THEMES, 0.75),
        )
