from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pytest

pytest.importorskip("sklearn", reason="baselines need affectlib[train]")
pytest.importorskip("vaderSentiment", reason="baselines need affectlib[train]")

from affectlib.conversation import Conversation, Message
from training.evaluation.baselines import MINILM, tfidf, vader, zero_shot

CHARGED = ["I feel so alone tonight", "I feel sad and so alone", "so alone and sad, I cry tonight"]
PLAIN = ["sort this list in Python", "write a Python list of files", "sort these files by name"]


def chat(*texts: str, reply: str = "All right.") -> Conversation:
    messages = (m for text in texts for m in (Message("user", text), Message("assistant", reply)))
    return Conversation(tuple(messages))


def by_tfidf(conversations: Sequence[Conversation]) -> np.ndarray:
    examples = [chat(text) for text in CHARGED + PLAIN]
    return tfidf(examples, [True] * len(CHARGED) + [False] * len(PLAIN), conversations)


def test_tfidf_tells_new_conversations_apart() -> None:
    charged, plain = by_tfidf([chat("alone and sad tonight"), chat("sort the Python files")])
    assert 0 < plain < 0.5 < charged < 1


def test_tfidf_needs_both_labels() -> None:
    with pytest.raises(ValueError, match="2 classes"):
        tfidf([chat(text) for text in CHARGED], [True] * len(CHARGED), [])


def test_vader_takes_strong_feeling_of_either_sign() -> None:
    joy, grief, plain = vader(
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
    first, last, alone = vader(
        [
            chat("I hate it, it is horrible", "a list"),
            chat("a list", "I hate it, it is horrible"),
            chat("I hate it, it is horrible"),
        ]
    )
    assert first == last == alone


@pytest.mark.parametrize("baseline", [by_tfidf, vader])
def test_assistant_does_not_count(baseline: Callable[..., np.ndarray]) -> None:
    scores = baseline([chat("sort it"), chat("sort it", reply="I hate to be so alone, sad!")])
    assert scores.dtype == np.float64
    assert scores.shape == (2,)
    assert scores[0] == scores[1]


def test_vader_scores_a_silent_user_zero() -> None:
    assert vader([Conversation((Message("assistant", "I hate it"),))]) == [0.0]


def test_zero_shot_tells_plain_cases_apart_and_takes_the_highest_message() -> None:
    pytest.importorskip(MINILM, reason="baselines need affectlib[train]")
    charged, plain = ([chat(text) for text in texts] for texts in (CHARGED, PLAIN))
    among = chat(PLAIN[0], CHARGED[0], reply="I hate to be so alone, I cry!")
    silent = Conversation((Message("assistant", CHARGED[0]),))
    scores = zero_shot([*charged, *plain, among, silent])
    assert min(scores[:3]) > max(scores[3:6])
    assert scores[6] == pytest.approx(scores[0], abs=1e-5)
    assert scores[7] == -2
