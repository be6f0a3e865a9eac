from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("sklearn", reason="baselines need affectlib[train]")
pytest.importorskip("vaderSentiment", reason="baselines need affectlib[train]")

from affectlib.conversation import Conversation, Message
from training.evaluation.baselines import (
    MINILM,
    Baseline,
    TfidfBaseline,
    VaderBaseline,
    ZeroShotBaseline,
)

CHARGED = ["I feel so alone tonight", "I feel sad and so alone", "so alone and sad, I cry tonight"]
PLAIN = ["sort this list in Python", "write a Python list of files", "sort these files by name"]


def chat(*texts: str, reply: str = "All right.") -> Conversation:
    messages = (m for text in texts for m in (Message("user", text), Message("assistant", reply)))
    return Conversation(tuple(messages))


@pytest.fixture(scope="module")
def tfidf() -> TfidfBaseline:
    baseline = TfidfBaseline()
    conversations = [chat(text) for text in CHARGED + PLAIN]
    baseline.fit(conversations, [True] * len(CHARGED) + [False] * len(PLAIN))
    return baseline


def test_tfidf_tells_new_conversations_apart(tfidf: TfidfBaseline) -> None:
    charged, plain = tfidf.score([chat("alone and sad tonight"), chat("sort the Python files")])
    assert 0 < plain < 0.5 < charged < 1


def test_tfidf_needs_both_labels() -> None:
    with pytest.raises(ValueError, match="2 classes"):
        TfidfBaseline().fit([chat(text) for text in CHARGED], [True] * len(CHARGED))


def test_vader_takes_strong_feeling_of_either_sign() -> None:
    joy, grief, plain = VaderBaseline().score(
        [
            chat("I love this, it is wonderful!"),
            chat("This is horrible, I hate it."),
            chat("a list"),
        ]
    )
    assert joy > 0.5
    assert grief > 0.5
    assert plain == 0


def test_vader_takes_the_strongest_message_wherever_it_is() -> None:
    baseline = VaderBaseline()
    first, last, alone = baseline.score(
        [
            chat("I hate it, it is horrible", "a list"),
            chat("a list", "I hate it, it is horrible"),
            chat("I hate it, it is horrible"),
        ]
    )
    assert first == last == alone


@pytest.mark.parametrize("name", ["tfidf", "vader"])
def test_assistant_does_not_count(name: str, tfidf: TfidfBaseline) -> None:
    baseline: Baseline = tfidf if name == "tfidf" else VaderBaseline()
    scores = baseline.score([chat("sort it"), chat("sort it", reply="I hate to be so alone, sad!")])
    assert scores.dtype == np.float64
    assert scores.shape == (2,)
    assert scores[0] == scores[1]


def test_vader_scores_a_silent_user_zero() -> None:
    assert VaderBaseline().score([Conversation((Message("assistant", "I hate it"),))]) == [0.0]


@pytest.fixture(scope="module")
def zero_shot() -> ZeroShotBaseline:
    pytest.importorskip(MINILM, reason="baselines need affectlib[train]")
    return ZeroShotBaseline()


def test_zero_shot_tells_plain_cases_apart(zero_shot: ZeroShotBaseline) -> None:
    charged = zero_shot.score([chat(text) for text in CHARGED])
    plain = zero_shot.score([chat(text) for text in PLAIN])
    assert min(charged) > max(plain)


def test_zero_shot_takes_the_highest_message_and_no_reply(zero_shot: ZeroShotBaseline) -> None:
    alone, among, silent = zero_shot.score(
        [
            chat(CHARGED[0]),
            chat(PLAIN[0], CHARGED[0], reply="I hate to be so alone, I cry!"),
            Conversation((Message("assistant", CHARGED[0]),)),
        ]
    )
    assert among == pytest.approx(alone, abs=1e-5)
    assert silent == -2
