"""A conversation of any length costs what as many messages in short ones cost."""

from __future__ import annotations

import gc
import time
from typing import Any

import numpy as np

from affectlib.classifier import AffectClassifier
from affectlib.conversation import Conversation, Message
from affectlib.taxonomy import OUTPUTS

WORDS = ("i", "am", "so", "sad", "the", "csv", "file", "hello", "word")


class NoEngine:
    """An engine that costs nothing, so that what is around it is measured."""

    name = "none"
    device = "cpu"

    def logits(self, input_ids: Any, attention_mask: Any, turns: Any) -> Any:
        return np.zeros((len(turns), 1 + turns.shape[1], len(OUTPUTS)), dtype=np.float32)


def chats(messages: int, each: int) -> list[Conversation]:
    texts = (" ".join(WORDS[n // 9**i % 9] for i in range(6)) for n in range(messages))
    turns = [Message(("user", "assistant")[n % 2], text) for n, text in enumerate(texts)]
    return [Conversation(tuple(turns[n : n + each])) for n in range(0, messages, each)]


def seconds(classifier: AffectClassifier, given: list[Conversation]) -> float:
    gc.collect()
    gc.disable()  # what it costs depends on all that other tests have left behind
    try:
        begun = time.process_time()
        assert len(list(classifier.stream(given))) == len(given)
        return time.process_time() - begun
    finally:
        gc.enable()


def test_one_long_conversation_takes_at_most_twice_the_time(tiny_classifier):
    short, long = chats(20_000, 20), chats(20_000, 20_000)
    ratios = []
    for _ in range(3):  # the machine may be busy: the best of three counts
        fresh = [AffectClassifier(tiny_classifier.artifact, NoEngine()) for _ in range(2)]
        ratios.append(seconds(fresh[0], long) / seconds(fresh[1], short))
        if ratios[-1] < 2:
            break
    assert min(ratios) < 2, ratios


def test_a_long_conversation_has_every_message(tiny_classifier):
    (long,) = chats(3000, 3000)
    found = tiny_classifier.predict(long)
    assert [message.index for message in found.messages] == [*range(3000)]
    assert found.truncated_tokens == sum(message.truncated_tokens for message in found.messages)
    silent = Conversation((Message("assistant", "hello"),) * 200)
    (nothing,) = tiny_classifier.stream([silent])
    assert nothing.status == "empty"


def test_the_windows_that_were_run_are_counted_while_they_run(tiny_classifier, monkeypatch):
    classifier = AffectClassifier(tiny_classifier.artifact, NoEngine())
    seen = []

    class Watched(NoEngine):
        def logits(self, input_ids: Any, attention_mask: Any, turns: Any) -> Any:
            seen.append(classifier.windows_run)
            return super().logits(input_ids, attention_mask, turns)

    monkeypatch.setattr(classifier, "_engine", Watched())
    classifier.predict(chats(5000, 5000)[0])
    assert len(seen) > 2
    assert seen == sorted({*seen}), "it grows with each batch"
    assert classifier.windows_run > seen[-1]
