"""affectlib labels chat transcripts as emotionally charged or task-oriented.

All public names are here. Heavy modules are imported when they are first used.

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
    from affectlib.conversation import Conversation, Message, parse_conversation
    from affectlib.corpus.label_file import LabelSummary, label_file
    from affectlib.corpus.rows import output_schema
    from affectlib.errors import (
        AffectlibError,
        ArtifactCorruptError,
        ArtifactError,
        ArtifactNotFoundError,
        ConversationError,
        InputTypeError,
        MissingExtraError,
        NoUserTextError,
        OptionError,
        OutputExistsError,
        ResumeError,
        SourceChangedError,
        TranscriptFormatError,
        WorkerError,
    )
    from affectlib.explanations import Explanation, TurnShare, WordExplanation, WordShare
    from affectlib.finetuning import FineTuned, finetune
    from affectlib.formats import ReadOptions, ReadReport, read_conversations
    from affectlib.model.artifacts import Artifact
    from affectlib.model.calibration import OperatingPoint, prior_shift
    from affectlib.model.rendering import WindowText
    from affectlib.predictions import (
        ConversationFailure,
        ConversationPrediction,
        MessagePrediction,
        Predictions,
        to_frame,
    )
    from affectlib.tables import AffectMapper, label_table
    from affectlib.taxonomy import CUES, THEMES

__all__ = [
    "CUES",
    "THEMES",
    "AffectClassifier",
    "AffectMapper",
    "AffectlibError",
    "Artifact",
    "ArtifactCorruptError",
    "ArtifactError",
    "ArtifactNotFoundError",
    "Conversation",
    "ConversationError",
    "ConversationFailure",
    "ConversationPrediction",
    "Explanation",
    "FineTuned",
    "InputTypeError",
    "LabelSummary",
    "Message",
    "MessagePrediction",
    "MissingExtraError",
    "NoUserTextError",
    "OperatingPoint",
    "OptionError",
    "OutputExistsError",
    "Predictions",
    "ReadOptions",
    "ReadReport",
    "ResumeError",
    "SourceChangedError",
    "TranscriptFormatError",
    "TurnShare",
    "WindowText",
    "WordExplanation",
    "WordShare",
    "WorkerError",
    "__version__",
    "finetune",
    "label_file",
    "label_table",
    "output_schema",
    "parse_conversation",
    "predict",
    "prior_shift",
    "read_conversations",
    "to_frame",
]

_MODULES = {
    "AffectClassifier": "classifier",
    "AffectMapper": "tables",
    "Artifact": "model.artifacts",
    "CUES": "taxonomy",
    "Conversation": "conversation",
    "ConversationFailure": "predictions",
    "ConversationPrediction": "predictions",
    "Explanation": "explanations",
    "FineTuned": "finetuning",
    "LabelSummary": "corpus.label_file",
    "Message": "conversation",
    "MessagePrediction": "predictions",
    "OperatingPoint": "model.calibration",
    "Predictions": "predictions",
    "ReadOptions": "formats",
    "ReadReport": "formats",
    "THEMES": "taxonomy",
    "TurnShare": "explanations",
    "WindowText": "model.rendering",
    "WordExplanation": "explanations",
    "WordShare": "explanations",
    "finetune": "finetuning",
    "label_file": "corpus.label_file",
    "label_table": "tables",
    "output_schema": "corpus.rows",
    "parse_conversation": "conversation",
    "predict": "_default",
    "prior_shift": "model.calibration",
    "read_conversations": "formats",
    "to_frame": "predictions",
}


def __getattr__(name: str) -> Any:
    """Import what was asked for (PEP 562)."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_MODULES.get(name, 'errors')}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """List the public names, imported or not."""
    return sorted({*globals(), *__all__})
