"""Label a whole file of transcripts, conversation by conversation.

Memory use does not grow with the file, the output appears under its name only when it is complete,
and it never holds transcript text. See `label_file`.
"""

from __future__ import annotations

import errno
import json
import os
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from affectlib._output import SUFFIXES, Output
from affectlib.conversation import Conversation, clean_text
from affectlib.errors import OptionError, OutputExistsError, TranscriptFormatError
from affectlib.formats import read_conversations
from affectlib.predictions import ConversationFailure, ConversationPrediction
from affectlib.taxonomy import ASSISTANT_CUES, CUES, EMOTIONAL, USER_CUES

if TYPE_CHECKING:
    import pyarrow

    from affectlib.classifier import AffectClassifier

__all__ = ["LabelSummary", "label_file", "output_schema"]

Level = Literal["conversation", "message"]

_CUES = dict.fromkeys(CUES, "double")
_COLUMNS: Mapping[str, Mapping[str, str]] = {
    "conversation": {
        "conversation_id": "string",
        "record": "int64",
        "user_id": "string",
        "model": "string",
        "language": "string",
        "source": "string",
        "started_at": "timestamp",
        "status": "string",
        "error": "string",
        "label": "string",
        "probability": "double",
        "any": "bool",
        "adjusted": "double",
        "rate": "double",
        "user_messages": "int64",
        "assistant_messages": "int64",
        "truncated_tokens": "int64",
        **_CUES,
    },
    "message": {
        "conversation_id": "string",
        "record": "int64",
        "user_id": "string",
        "message": "int64",
        "role": "string",
        "timestamp": "timestamp",
        "status": "string",
        "error": "string",
        "label": "string",
        "probability": "double",
        "truncated_tokens": "int64",
        **_CUES,
    },
}


@dataclass(frozen=True, slots=True)
class LabelSummary:
    """What `label_file` did.

    Attributes:
        conversations: Records read, those that failed included.
        emotional: Conversations labelled emotional.
        failed: Records that could not be read or labelled.
        user_messages: Messages of users in the conversations labelled.
        truncated_tokens: Tokens that the model did not read.
        seconds: How long it took.
        path: The output, ``-`` for standard output.
    """

    conversations: int
    emotional: int
    failed: int
    user_messages: int
    truncated_tokens: int
    seconds: float
    path: str

    @property
    def emotional_share(self) -> float:
        """Share of the labelled conversations that is emotional, 0.0 if there is none."""
        labelled = self.conversations - self.failed
        return self.emotional / labelled if labelled else 0.0

    def to_dict(self) -> dict[str, Any]:
        """Return the figures as a dict."""
        return asdict(self)


def output_schema(level: Level = "conversation") -> pyarrow.Schema:
    """Return the columns of an output, their order and types.

    Times are UTC. ``record`` is the position in the input from 0, and ``message`` that in the
    conversation. A cue is null where it does not apply to the role, or was not asked for.

    Args:
        level: What a row is.

    Raises:
        OptionError: `level` is unknown.

    Example:
        >>> output_schema("message").names[:4]
        ['conversation_id', 'record', 'user_id', 'message']
    """
    import pyarrow

    if level not in _COLUMNS:
        raise OptionError(f"unknown level {level!r}; use {' or '.join(_COLUMNS)}")
    types = {"timestamp": pyarrow.timestamp("us", tz="UTC")}
    return pyarrow.schema(
        [
            (name, types.get(kind) or pyarrow.type_for_alias(kind))
            for name, kind in _COLUMNS[level].items()
        ]
    )


def label_file(
    src: str | os.PathLike[str],
    dst: str | os.PathLike[str],
    *,
    classifier: AffectClassifier | None = None,
    level: Level = "conversation",
    format: str = "auto",
    columns: Mapping[str, str] | None = None,
    on_error: Literal["record", "raise"] = "record",
    overwrite: bool = False,
    progress: Callable[[LabelSummary], None] | None = None,
) -> LabelSummary:
    """Label every conversation of a file and write the labels to another.

    The output has the columns of `output_schema`, in Parquet, JSON Lines or CSV by the suffix of
    `dst`. A row is a conversation or, at level ``message``, a message of the user or assistant;
    one without text has no label. A record that cannot be read or labelled has one row with
    status ``error`` and the reason. In CSV, text that a spreadsheet would take for a formula
    (it begins with ``= + - @``, a tab or a carriage return) gets an apostrophe before it.

    The output is written beside `dst` and renamed when it is complete. If labelling is
    interrupted, what was labelled until then is kept in ``<dst>.partial``. Parquet also says, in
    its metadata under ``affectlib``, which model made the labels.

    Args:
        src: The transcripts, ``-`` for standard input; see `affectlib.formats`.
        dst: The output; ``-`` writes JSON Lines to standard output.
        classifier: What labels them; the bundled one if None.
        level: What a row is, ``conversation`` or ``message``.
        format: The format of `src`, ``auto`` to find it out.
        columns: Column names by field, for tables with unusual ones.
        on_error: ``record`` to go on after a record that fails, ``raise`` to stop at it.
        overwrite: Whether `dst` may be there already.
        progress: Called after each record with the figures so far.

    Raises:
        OutputExistsError: `dst` is there and `overwrite` is false, or it is `src` itself.
        TranscriptFormatError: `src` has no known format, or a record failed and `on_error` is
            ``raise``.
        OSError: A file cannot be opened or written.
        OptionError: An option has an unknown value, such as the suffix of `dst`.

    Example:
        >>> summary = label_file("examples/transcripts.jsonl", "labels.parquet")
        >>> summary.conversations, summary.failed
        (40, 0)
    """
    if on_error not in ("record", "raise"):
        raise OptionError(f"unknown on_error {on_error!r}; use record or raise")
    schema = output_schema(level)
    source, target = os.fspath(src), os.fspath(dst)
    _check_paths(source, target, overwrite)
    started = time.monotonic()
    conversations = read_conversations(source, format=format, columns=columns)
    if classifier is None:
        from affectlib.classifier import AffectClassifier

        classifier = AffectClassifier.from_pretrained()
    pending: deque[_Origin] = deque()
    summary = LabelSummary(0, 0, 0, 0, 0, 0.0, target)
    output = Output(target, schema.with_metadata(_provenance(classifier)))
    try:
        outcomes = classifier.stream(_remembered(conversations, pending), on_error="record")
        for outcome in outcomes:
            origin = pending.popleft()
            if on_error == "raise" and isinstance(outcome, ConversationFailure):
                raise TranscriptFormatError(f"record {origin.record}: {outcome.error}", path=source)
            rows = _conversation_rows if level == "conversation" else _message_rows
            output.add(rows(origin, outcome))
            summary = _counted(summary, origin, outcome, time.monotonic() - started)
            if progress is not None:
                progress(summary)
        output.commit()
    except BaseException as error:
        if (kept := output.abandon()) is not None:
            error.add_note(f"what was labelled until then is in {kept}")
        raise
    return replace(summary, seconds=time.monotonic() - started)


@dataclass(frozen=True, slots=True)
class _Origin:
    """What is kept of a record until its labels are there."""

    record: int
    conversation: Conversation | None

    @property
    def started_at(self) -> datetime | None:
        if self.conversation is None:
            return None
        given = self.conversation.metadata.get("started_at")
        times = (message.timestamp for message in self.conversation.messages)
        started = given if isinstance(given, datetime) else next(filter(None, times), None)
        return _utc(started)

    def count(self, role: str) -> int | None:
        if self.conversation is None:
            return None
        return sum(message.role == role for message in self.conversation.messages)


def _remembered(
    conversations: Iterable[Conversation | ConversationFailure], pending: deque[_Origin]
) -> Iterator[Conversation | ConversationFailure]:
    """Hand conversations on, keeping of each what its row will need."""
    for record, item in enumerate(conversations):
        pending.append(_Origin(record, item if isinstance(item, Conversation) else None))
        yield item


def _counted(
    summary: LabelSummary,
    origin: _Origin,
    outcome: ConversationPrediction | ConversationFailure,
    seconds: float,
) -> LabelSummary:
    if isinstance(outcome, ConversationFailure):
        return replace(
            summary,
            conversations=summary.conversations + 1,
            failed=summary.failed + 1,
            seconds=seconds,
        )
    return replace(
        summary,
        conversations=summary.conversations + 1,
        emotional=summary.emotional + (outcome.label == EMOTIONAL),
        user_messages=summary.user_messages + (origin.count("user") or 0),
        truncated_tokens=summary.truncated_tokens + outcome.truncated_tokens,
        seconds=seconds,
    )


def _common(
    origin: _Origin, outcome: ConversationPrediction | ConversationFailure
) -> dict[str, Any]:
    conversation = origin.conversation
    failed = isinstance(outcome, ConversationFailure)
    return {
        "conversation_id": outcome.id,
        "record": origin.record,
        "user_id": None if conversation is None else conversation.user_id,
        "status": "error" if failed else "ok",
        "error": clean_text(outcome.error) if isinstance(outcome, ConversationFailure) else None,
    }


def _conversation_rows(
    origin: _Origin, outcome: ConversationPrediction | ConversationFailure
) -> list[dict[str, Any]]:
    row = _common(origin, outcome) | {
        "started_at": origin.started_at,
        "user_messages": origin.count("user"),
        "assistant_messages": origin.count("assistant"),
    }
    if origin.conversation is not None:
        row |= {
            name: getattr(origin.conversation, name) for name in ("model", "language", "source")
        }
    if isinstance(outcome, ConversationPrediction):
        found = outcome.to_dict()
        names = ("label", "probability", "any", "adjusted", "rate", "truncated_tokens")
        row |= {name: found[name] for name in names} | dict(outcome.cues)
    return [row]


def _message_rows(
    origin: _Origin, outcome: ConversationPrediction | ConversationFailure
) -> list[dict[str, Any]]:
    common = _common(origin, outcome)
    if isinstance(outcome, ConversationFailure) or origin.conversation is None:
        return [common]
    turns = {turn.index: turn for turn in outcome.turns}
    rows = []
    for index, message in enumerate(origin.conversation.messages):
        if message.role not in ("user", "assistant"):
            continue
        row = common | {"message": index, "role": message.role}
        row["timestamp"] = _utc(message.timestamp)
        if (turn := turns.get(index)) is not None:
            applicable = USER_CUES if message.role == "user" else ASSISTANT_CUES
            row |= {name: turn.cues[name] for name in applicable if name in turn.cues}
            row |= {
                "label": turn.label,
                "probability": turn.probability,
                "truncated_tokens": turn.truncated_tokens,
            }
        rows.append(row)
    return rows


def _utc(moment: datetime | None) -> datetime | None:
    if moment is None:
        return None
    return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)


def _provenance(classifier: AffectClassifier) -> dict[str, str]:
    """Say in the output, where the format has a place for it, what the labels were made with."""
    from affectlib import __version__

    artifact = classifier.artifact
    made_with = {
        "version": __version__,
        "model": artifact.name,
        "model_version": artifact.version,
        "fingerprint": artifact.fingerprint,
        "operating_point": classifier.operating_point,
    }
    return {"affectlib": json.dumps(made_with)}


def _check_paths(source: str, target: str, overwrite: bool) -> None:
    """Refuse, before anything is labelled, an output that could not be written in the end."""
    if target == "-":
        return
    path = Path(target)
    if path.suffix not in SUFFIXES:
        raise OptionError(
            f"{target}: unknown suffix {path.suffix!r} of the output; use {', '.join(SUFFIXES)}"
        )
    if not path.parent.is_dir():
        raise FileNotFoundError(
            errno.ENOENT, "the folder of the output does not exist", str(path.parent)
        )
    if source != "-" and path.exists() and Path(source).exists() and path.samefile(source):
        raise OutputExistsError(f"{target}: this is the input; name another output")
    if path.exists() and not overwrite:
        raise OutputExistsError(f"{target}: it exists; name another output or allow to overwrite")
