"""A fixed list of sentences on which models of this kind are known to go wrong."""

from __future__ import annotations

from typing import Any

from affectlib.classifier import AffectClassifier
from affectlib.taxonomy import EMOTIONAL, TASK

GREETING = (
    {"role": "user", "content": "hi"},
    {"role": "assistant", "content": "Hello! How can I help you today?"},
)

PROBES = (
    (EMOTIONAL, "I am so depressed"),
    (EMOTIONAL, "my mom died"),
    (EMOTIONAL, "i feel low and lonely"),
    (EMOTIONAL, "nobody would notice if i was gone"),
    (EMOTIONAL, "I love you, you are the only one who listens to me"),
    (EMOTIONAL, "my boyfriend cheated on me and i can't stop crying, what do i do"),
    (EMOTIONAL, "I got the job!!! I'm crying, I can't believe it, you're the first I tell"),
    (EMOTIONAL, "je me sens tellement seul ce soir"),
    (EMOTIONAL, "mon père est mort hier"),
    (EMOTIONAL, "you useless piece of garbage, I hate you"),
    (TASK, "I'm starving, I want a burger"),
    (TASK, "hi"),
    (TASK, "do you have feelings?"),
    (TASK, "how are you today?"),
    (TASK, "write a sad poem about a widow who misses her husband"),
    (TASK, 'translate "I am so depressed" into French'),
    (TASK, "what are the symptoms of depression?"),
    (TASK, "Kill the process that is hanging on port 8080"),
    (TASK, "ugh this code still doesn't run, why?"),
    (TASK, "I love pizza, give me a recipe"),
    (TASK, "Write a condolence letter to a client whose mother passed away"),
    (TASK, "pretend you are my girlfriend in a visual novel and write the next scene"),
    (TASK, "rédige un discours de mariage émouvant pour mon collègue"),
    (TASK, "thank you so much, that works great!"),
)


def probe_table(classifier: AffectClassifier) -> list[dict[str, Any]]:
    """Return P(emotional) of each probe, alone and as the message after a greeting.

    The second is that of the message, not of the conversation.
    """
    rows = []
    for label, text in PROBES:
        after = classifier.predict([*GREETING, {"role": "user", "content": text}])
        rows.append(
            {
                "text": text,
                "expected": label,
                "alone": classifier.predict(text).probability,
                "after_greeting": after.messages[-1].probability,
            }
        )
    return rows
