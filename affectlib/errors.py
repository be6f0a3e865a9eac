"""The exceptions that affectlib raises; each also derives from the built-in one that fits.

```
AffectlibError
├── ConversationError        (ValueError)         a conversation or message is malformed
│   └── NoUserTextError                           there is no text of a user
├── InputTypeError           (TypeError)          an argument has a type that is not accepted
├── OptionError              (ValueError)         an option has a value that is not accepted
├── TranscriptFormatError    (ValueError)         a file cannot be read as transcripts
├── OutputExistsError        (FileExistsError)    the output exists already
│   └── ResumeError                               it was made from another input, model or options
├── SourceChangedError       (RuntimeError)       the input was written to while it was read
├── WorkerError              (RuntimeError)       a worker ended early, or has another version
├── ArtifactError            (OSError)            an artifact cannot be used
│   ├── ArtifactNotFoundError (FileNotFoundError) no artifact of that name or folder
│   └── ArtifactCorruptError                      files missing, altered or of another format
└── MissingExtraError        (ImportError)        an optional dependency is not installed
```
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

__all__ = [
    "AffectlibError",
    "ArtifactCorruptError",
    "ArtifactError",
    "ArtifactNotFoundError",
    "ConversationError",
    "ConversationFailure",
    "InputTypeError",
    "MissingExtraError",
    "NoUserTextError",
    "OptionError",
    "OutputExistsError",
    "ResumeError",
    "SourceChangedError",
    "TranscriptFormatError",
    "WorkerError",
]


class AffectlibError(Exception):
    """Base of every exception that affectlib raises on purpose."""


class ConversationError(AffectlibError, ValueError):
    """A conversation or one of its messages is malformed.

    Attributes:
        problem: What is wrong, without the place.
        index: Position of the message, or None for the conversation as a whole.
        field: Name of the field, or None if it is not a single one.
        conversation: Id or position of the conversation in the input, or None if there is only one.
    """

    def __init__(
        self,
        problem: str,
        *,
        index: int | None = None,
        field: str | None = None,
        conversation: str | int | None = None,
    ) -> None:
        """Compose the message from the place and the problem."""
        self.problem, self.index, self.field = problem, index, field
        self.conversation = conversation
        super().__init__(f"{place}: {problem}" if (place := self._place()) else problem)

    def _place(self) -> str:
        parts = [] if self.conversation is None else [f"conversation {self.conversation!r}"]
        if self.index is not None:
            parts.append(f"messages[{self.index}]" + (f".{self.field}" if self.field else ""))
        elif self.field is not None:
            parts.append(self.field)
        return ", ".join(parts)

    def in_conversation(self, conversation: str | int) -> ConversationError:
        """Return the same error with the conversation named."""
        return type(self)(
            self.problem, index=self.index, field=self.field, conversation=conversation
        )


class NoUserTextError(ConversationError):
    """The conversation has no text written by a user, so there is nothing to label."""


@dataclass(frozen=True, slots=True)
class ConversationFailure:
    """A text or conversation that could not be read or labelled, and why.

    Attributes:
        id: The conversation's id, or None if it had none or could not be read that far.
        error: The exception's class and message, without transcript text.
        status: ``empty`` if it is missing or its user wrote nothing, ``error`` for anything else.
        cause: The exception, if it was raised in this process.
    """

    id: str | None
    error: str
    status: Literal["empty", "error"] = "error"
    cause: ConversationError | None = field(default=None, repr=False, compare=False)

    @classmethod
    def of(cls, error: ConversationError, id: str | None = None) -> ConversationFailure:
        """Return the failure of a conversation with this error."""
        empty = isinstance(error, NoUserTextError)
        message = f"{type(error).__name__}: {error}"
        return cls(id, message, "empty" if empty else "error", error)

    @property
    def label(self) -> None:
        """It has no label."""

    @property
    def probability(self) -> None:
        """It has no probability."""


class InputTypeError(AffectlibError, TypeError):
    """An argument has a type that is not accepted."""


class OptionError(AffectlibError, ValueError):
    """An option has a value that is not accepted here; the message names those that are."""


class TranscriptFormatError(AffectlibError, ValueError):
    """A file cannot be read as transcripts.

    Attributes:
        path: The file.
        line: Line or record, from 1; None for the file as a whole.
    """

    def __init__(self, problem: str, *, path: str | None = None, line: int | None = None) -> None:
        """Compose the message from the place and the problem."""
        self.problem, self.path, self.line = problem, path, line
        place = ", ".join(filter(None, (path, None if line is None else f"line {line}")))
        super().__init__(f"{place}: {problem}" if place else problem)


class OutputExistsError(AffectlibError, FileExistsError):
    """The output exists already and may not be overwritten."""


class ResumeError(OutputExistsError):
    """The output cannot be continued; the message says what has changed."""


class SourceChangedError(AffectlibError, RuntimeError):
    """The input changed while it was read, so the labels would match no version of it."""


class WorkerError(AffectlibError, RuntimeError):
    """A worker died before it was done, killed or out of memory, or has another version."""


class ArtifactError(AffectlibError, OSError):
    """A model artifact cannot be used."""


class ArtifactNotFoundError(ArtifactError, FileNotFoundError):
    """No artifact has this name, and no folder of this path is one."""


class ArtifactCorruptError(ArtifactError):
    """An artifact lacks a file, has an altered one, or has a format this version cannot read."""


class MissingExtraError(AffectlibError, ImportError):
    """An optional dependency is not installed; the message names the pip extra."""

    def __init__(self, package: str, extra: str) -> None:
        """Name the missing package and the extra that brings it."""
        self.package = package
        self.extra = extra
        super().__init__(
            f"{package} is not installed; install it with: pip install 'affectlib[{extra}]'"
        )

    def __reduce__(self) -> tuple[type[MissingExtraError], tuple[str, str]]:
        """Pickle the arguments, so that it can leave a worker process."""
        return type(self), (self.package, self.extra)
