"""affectlib labels chat transcripts as emotionally charged or task-oriented.

Exceptions are in `affectlib.errors`, cues and themes in `affectlib.taxonomy`. Heavy modules are
imported when they are first used.

Example:
    >>> import affectlib
    >>> affectlib.predict("I feel so alone since she left, can we just talk?").label
    'emotional'
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from affectlib._version import __version__

if TYPE_CHECKING:
    from affectlib._default import predict
    from affectlib.classifier import AffectClassifier
    from affectlib.conversation import Conversation, Message
    from affectlib.corpus.label_file import label_file
    from affectlib.finetuning import finetune
    from affectlib.formats import ReadOptions, read_conversations
    from affectlib.predictions import (
        ConversationFailure,
        ConversationPrediction,
        MessagePrediction,
        to_frame,
    )
    from affectlib.tables import AffectMapper, label_table

__all__ = [
    "AffectClassifier",
    "AffectMapper",
    "Conversation",
    "ConversationFailure",
    "ConversationPrediction",
    "Message",
    "MessagePrediction",
    "ReadOptions",
    "__version__",
    "finetune",
    "label_file",
    "label_table",
    "predict",
    "read_conversations",
    "to_frame",
]

_MODULES = {
    "AffectClassifier": "classifier",
    "AffectMapper": "tables",
    "Conversation": "conversation",
    "ConversationFailure": "predictions",
    "ConversationPrediction": "predictions",
    "Message": "conversation",
    "MessagePrediction": "predictions",
    "ReadOptions": "formats",
    "finetune": "finetuning",
    "label_file": "corpus.label_file",
    "label_table": "tables",
    "predict": "_default",
    "read_conversations": "formats",
    "to_frame": "predictions",
}


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used (PEP 562)."""
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """List the public names, imported or not."""
    return sorted({*globals(), *__all__})
