"""The classifier: texts and conversations in, predictions out."""

from __future__ import annotations

import operator
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any, Unpack, overload

import numpy as np
from numpy.typing import NDArray

from affectlib._batching import in_buffers, map_ahead
from affectlib._inputs import (
    Chat,
    Chats,
    Input,
    Item,
    OnError,
    Options,
    Readable,
    Texts,
    read_one,
    require_on_error,
)
from affectlib._progress import with_bar
from affectlib.conversation import Conversation
from affectlib.errors import ArtifactCorruptError, NoUserTextError
from affectlib.explanations import Explanation, WordExplanation, explain_turns, explain_words
from affectlib.model.artifacts import (
    DEFAULT_MODEL,
    Artifact,
    bundled_models,
    load_artifact,
)
from affectlib.model.calibration import OperatingPoint
from affectlib.model.decisions import build_prediction
from affectlib.model.encoding import EncodedWindow, WindowEncoder
from affectlib.model.engines import Engine, load_engine
from affectlib.model.rendering import WindowRenderer, WindowText
from affectlib.model.saved import Saved
from affectlib.model.scoring import Scores, WindowCache, score_windows
from affectlib.model.screen import Screen
from affectlib.predictions import (
    ConversationFailure,
    ConversationPrediction,
    MessagePrediction,
    Predictions,
)
from affectlib.taxonomy import EMOTIONAL, LABELS

__all__ = ["AffectClassifier"]

_TOKENIZER = "tokenizer.json"


class AffectClassifier(Saved):
    """Labels messages and conversations as emotional or task; safe to share between threads.

    Most people want `from_pretrained`, then `predict` or `stream`.

    A pickled classifier holds no weights, only how to load it. In a forked child process, the onnx
    engine is loaded again at its first use; use other engines only in processes that are spawned. A
    forked child must end as those of `multiprocessing` do (``os._exit``): with ``sys.exit``, ONNX
    Runtime would wait for threads that exist only in the parent.

    Args:
        artifact: The model.
        engine: What runs it.
        operating_point: Name of the thresholds that `predict` uses if none is named.
        screen: Whether the artifact's screen may settle messages; without one, the encoder reads
            everything.

    Raises:
        OptionError: There is no such operating point.
        ArtifactCorruptError: The tokenizer or the screen is missing, altered or cannot be used.

    Example:
        >>> classifier = AffectClassifier.from_pretrained()
        >>> classifier.predict("I feel so alone since she left, can we just talk?").label
        'emotional'
    """

    def __init__(
        self,
        artifact: Artifact,
        engine: Engine,
        *,
        operating_point: str = "balanced",
        screen: bool = True,
    ) -> None:
        """Load the tokenizer."""
        artifact.operating_point(operating_point)
        self._artifact = artifact
        self._engine = engine
        self._operating_point = operating_point
        self._threads: int | None = None
        self._known = WindowCache()
        self._screen = Screen.load(artifact) if screen else None
        self._wants_screen = screen
        tokenizer = artifact.file(_TOKENIZER)
        try:
            self._encoder = WindowEncoder(tokenizer, artifact.windows)
        except Exception as error:  # tokenizers raises nothing more special
            raise ArtifactCorruptError(f"{tokenizer}: it cannot be used ({error})") from error

    @classmethod
    def from_pretrained(
        cls,
        model: str | os.PathLike[str] = DEFAULT_MODEL,
        *,
        device: str = "auto",
        engine: str = "auto",
        operating_point: str = "balanced",
        screen: bool = True,
        threads: int | None = None,
        local_files_only: bool = True,
        revision: str | None = None,
    ) -> AffectClassifier:
        """Load a classifier.

        Args:
            model: The name of a bundled model, a folder, or an id on the Hugging Face Hub.
            device: ``auto``, ``cpu``, ``cuda``, ``cuda:1`` or ``mps``.
            engine: ``auto``, ``onnx`` (CPU), ``openvino`` (CPU with bf16) or ``torch``.
            operating_point: ``balanced``, ``high_precision`` or ``high_recall``.
            screen: Whether the model's screen, if it has one, settles plain tasks, which makes it
                several times as fast; without, the encoder reads everything.
            threads: Threads that the engine computes with on the CPU; one for each core that this
                process may use if None, with torch as many as torch is set to.
            local_files_only: Whether to stay off the network; a model of the Hub is then found
                only if it was downloaded before.
            revision: The branch, tag or commit of a model of the Hub; ``main`` if None.

        Raises:
            ArtifactNotFoundError: There is no such model.
            ArtifactCorruptError: The model is damaged, or made by a newer affectlib.
            MissingExtraError: What the engine or the Hub needs is not installed.
            OptionError: Another option has an unknown value, or there is no such device.

        Example:
            >>> AffectClassifier.from_pretrained(operating_point="high_recall", device="cpu")
            AffectClassifier('affect-small', engine='onnx', device='cpu')
        """
        artifact = load_artifact(model, local_files_only=local_files_only, revision=revision)
        artifact.operating_point(operating_point)
        classifier = cls(
            artifact,
            load_engine(artifact, engine=engine, device=device, threads=threads),
            operating_point=operating_point,
            screen=screen,
        )
        classifier._threads = threads
        return classifier

    def __repr__(self) -> str:
        """Name the model and what runs it."""
        name = self._artifact.name
        return f"{type(self).__name__}({name!r}, engine={self.engine!r}, device={self.device!r})"

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle how it is loaded, not the weights: another process loads it anew."""
        return _load, (self.options,)

    @property
    def artifact(self) -> Artifact:
        """The model."""
        return self._artifact

    @property
    def engine(self) -> str:
        """The name of the engine, such as ``onnx``."""
        return self._engine.name

    @property
    def device(self) -> str:
        """Where the engine runs."""
        return self._engine.device

    @property
    def windows_run(self) -> int:
        """Windows that the engine has read so far in this process, a sign that it is working."""
        return self._known.run

    @property
    def screen(self) -> bool:
        """Whether a screen settles plain tasks before the encoder reads them."""
        return self._screen is not None

    @property
    def options(self) -> dict[str, Any]:
        """The arguments of `from_pretrained` that load this classifier in another process."""
        bundled = bundled_models().get(self._artifact.name) == self._artifact.folder
        return {
            "model": self._artifact.name if bundled else str(self._artifact.folder.resolve()),
            "device": self.device,
            "engine": self.engine,
            "operating_point": self.operating_point,
            "screen": self._wants_screen,
            "threads": self._threads,
        }

    @property
    def labels(self) -> tuple[str, str]:
        """The labels, in the order of the columns of `predict_proba`."""
        return LABELS

    @property
    def operating_point(self) -> str:
        """The name of the thresholds that are used by default."""
        return self._operating_point

    @overload
    def predict(self, x: str, **options: Unpack[Options]) -> MessagePrediction: ...  # type: ignore[overload-overlap]
    @overload
    def predict(self, x: Chat, **options: Unpack[Options]) -> ConversationPrediction: ...  # type: ignore[overload-overlap]
    @overload
    def predict(self, x: Texts, **options: Unpack[Options]) -> Predictions[MessagePrediction]: ...  # type: ignore[overload-overlap]
    @overload
    def predict(
        self, x: Chats, **options: Unpack[Options]
    ) -> Predictions[ConversationPrediction]: ...
    def predict(
        self,
        x: Any,
        *,
        operating_point: str | None = None,
        on_error: OnError = "raise",
        progress: bool = False,
    ) -> Any:
        """Label texts or conversations. The type of `x` says which it is, never its content.

        A text is a conversation of one message, and gets the same probability and label in whatever
        form it is given. If a conversation has a single message of its user, the message and the
        conversation have the same probability and label, by the operating point's threshold for
        conversations. Messages of longer conversations have their own threshold.

        Args:
            x: A text, read as a single message of a user; a conversation (a `Conversation`, a list
                of `Message` or ``{"role", "content"}`` mappings, or a mapping that has such a list
                under ``messages``); or several texts or several conversations: a list, a column of
                pandas, Polars or PyArrow, an array, or a generator.
            operating_point: The name of the thresholds, those of the classifier if None.
            on_error: What to do if one of several inputs cannot be labelled, or is missing (None,
                NaN): ``raise``, or ``record`` to put a `ConversationFailure` in its place, which
                has neither label nor probability. A single input always raises.
            progress: Whether to show a progress bar.

        Returns:
            A `MessagePrediction` for a text, a `ConversationPrediction` for a conversation, and
            `Predictions`, a list of them, for several.

        Raises:
            InputTypeError: `x`, or something in it, is of another type.
            ConversationError: A conversation is malformed; the error names the place.
            NoUserTextError: A text, or all that the user wrote in a conversation, is blank.
            OptionError: There is no such operating point, or `on_error` has another value.

        Example:
            >>> classifier = AffectClassifier.from_pretrained()
            >>> classifier.predict("Convert this CSV to JSON in Python").label
            'task'
            >>> chat = [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "Hi!"}]
            >>> [message.role for message in classifier.predict(chat).messages]
            ['user', 'assistant']
        """
        given = Input.read(x)
        predictions = self._predict(given, operating_point, on_error, progress)
        return Predictions(predictions) if given.listed else predictions[0]

    def predict_proba(
        self,
        x: str | Chat | Texts | Chats,
        *,
        on_error: OnError = "raise",
        progress: bool = False,
    ) -> NDArray[np.float32]:
        """Return the probability of each label.

        Args:
            x: What `predict` takes.
            on_error: As for `predict`; ``record`` gives a row of NaN.
            progress: Whether to show a progress bar.

        Returns:
            One row for a text or conversation, as many as there are for several; columns are
            `labels`.

        Example:
            >>> AffectClassifier.from_pretrained().predict_proba(["hello", "thanks"]).shape
            (2, 2)
        """
        predictions = self._predict(Input.read(x), None, on_error, progress)
        emotional = np.array([prediction.probability for prediction in predictions], dtype=float)
        return np.stack([emotional, 1 - emotional], axis=1).astype(np.float32)

    @overload
    def stream(  # type: ignore[overload-overlap]
        self, conversations: Texts, **options: Unpack[Options]
    ) -> Iterator[MessagePrediction | ConversationFailure]: ...
    @overload
    def stream(
        self, conversations: Chats, **options: Unpack[Options]
    ) -> Iterator[ConversationPrediction | ConversationFailure]: ...
    def stream(
        self,
        conversations: Texts | Chats,
        *,
        on_error: OnError = "record",
        operating_point: str | None = None,
        progress: bool = False,
    ) -> Iterator[Any]:
        """Label conversations or texts as they come, in order, with bounded memory.

        Up to 512 of them are read ahead, so that windows of similar length share a batch, and the
        next ones are tokenized while the engine runs. The first ones come soon: at first, few are
        read ahead.

        Args:
            conversations: Only conversations or only texts, as `predict` takes them. A
                `ConversationFailure`, of one that could not be read, is passed through.
            on_error: ``record`` to yield a `ConversationFailure` for one that cannot be labelled,
                or is missing, and go on; ``raise`` to stop at it.
            operating_point: The name of the thresholds, those of the classifier if None.
            progress: Whether to show a progress bar.

        Returns:
            An iterator of one prediction or failure for each: a `ConversationPrediction` for a
            conversation, a `MessagePrediction` for a text.

        Raises:
            InputTypeError: Something in `conversations` is of another type.
            ConversationError: A conversation cannot be labelled and `on_error` is ``raise``; the
                error names its position.
            OptionError: There is no such operating point, or `on_error` has another value.

        Example:
            >>> from affectlib import read_conversations
            >>> chats = read_conversations("examples/transcripts.jsonl")
            >>> first, *others = AffectClassifier.from_pretrained().stream(chats)
            >>> first.id, first.label, len(others)
            ('ex-001', 'task', 39)
        """
        require_on_error(on_error)
        point = self._thresholds(operating_point)
        outcomes = self._stream(conversations, on_error == "record", point)
        if not progress:
            return outcomes
        return with_bar(outcomes, operator.length_hint(conversations) or None)

    def explain(self, x: str | Chat, *, operating_point: str | None = None) -> Explanation:
        """Return what each turn adds to the decision on a conversation.

        Each message of the user is left out in turn, and read by itself in turn. Its share is the
        mean of what the conversation's probability loses and of what it gains over the model's
        prevalence (`Artifact.prevalence`). So a message has a share even if another one says the
        same. A screen is not used, so probabilities of plain tasks can differ a little from those
        of `predict`.

        Args:
            x: A conversation, as `predict` takes it, or a text, which is a conversation of one
                message here.
            operating_point: The name of the thresholds, those of the classifier if None.

        Raises:
            InputTypeError: `x` is of another type, or a list of texts or conversations; see
                `predict` for the other errors.

        Example:
            >>> chat = [{"role": "user", "content": "Convert this CSV to JSON in Python"},
            ...         {"role": "user", "content": "I feel so alone since she left"}]
            >>> [turn.share > 0 for turn in AffectClassifier.from_pretrained().explain(chat).turns]
            [False, True]
        """
        point = self._thresholds(operating_point)
        return explain_turns(read_one(x), self._encode, self._run, self._artifact, point)

    def explain_words(
        self,
        x: str | Chat,
        message: int | None = None,
        *,
        output: str = EMOTIONAL,
    ) -> WordExplanation:
        """Return what each group of words adds to the logit of a user's message.

        Groups are parts of clauses, of up to eight words, longer in very long messages. Each is
        left out in turn, and read by itself in turn, in the same conversation. Its share is the
        mean of what the logit loses and what it gains, against a message that is just "…". So a
        group has a share even if another one says the same. In a message too long to be read
        whole, what is left out makes room for other words.

        Args:
            x: A text or a conversation, as `predict` takes them.
            message: The position of a user's message; that of the highest logit if None.
            output: What is explained: ``emotional``, or the name of another charge, of a theme, or
                of one of the user's cues.

        Raises:
            InputTypeError: `x` is of another type, or a list of texts or conversations; see
                `predict` for the other errors.
            OptionError: `output` is unknown, or `message` is not a user message with text.

        Example:
            >>> classifier = AffectClassifier.from_pretrained()
            >>> text = "fix the grammar of this. I have been crying all night"
            >>> [words for words, _ in classifier.explain_words(text).top(1)]
            ['I have been crying']
        """
        return explain_words(read_one(x), message, self._score, self._artifact, output)

    def windows(self, x: str | Chat) -> list[WindowText]:
        """Return what the encoder reads of a conversation, as text for other libraries.

        Args:
            x: A text or a conversation, as `predict` takes them.

        Returns:
            The windows in reading order; one if the conversation fits.

        Raises:
            InputTypeError: See `explain`, also for the other errors.

        Example:
            >>> [window.text for window in AffectClassifier.from_pretrained().windows("thanks")]
            ['<|user|> thanks']
        """
        return [self._renderer.render(window) for window in self._encode([read_one(x)])[0]]

    @cached_property
    def _renderer(self) -> WindowRenderer:
        return WindowRenderer(self._artifact.file(_TOKENIZER))

    def _thresholds(self, operating_point: str | None) -> OperatingPoint:
        name = self._operating_point if operating_point is None else operating_point
        return self._artifact.operating_point(name)

    def _predict(
        self, given: Input, operating_point: str | None, on_error: str, progress: bool
    ) -> list[Any]:
        require_on_error(on_error)
        point = self._thresholds(operating_point)
        record = given.listed and on_error == "record"
        if not record and (problem := given.problem()) is not None:
            raise problem
        outcomes: Iterable[Any] = self._label(given.items, point)
        if progress:
            outcomes = with_bar(outcomes, len(given.items))
        return [
            _result(outcome, position if given.listed else None, given.texts, record)
            for position, outcome in enumerate(outcomes)
        ]

    def _stream(
        self, conversations: Texts | Chats, record: bool, point: OperatingPoint
    ) -> Iterator[MessagePrediction | ConversationPrediction | ConversationFailure]:
        items = Readable(conversations)
        for position, outcome in enumerate(self._label(items, point)):
            yield _result(outcome, position, items.texts, record)

    def _label(
        self, items: Iterable[Item], point: OperatingPoint
    ) -> Iterator[ConversationPrediction | ConversationFailure]:
        """Label conversations buffer by buffer, and pass on failures as they are."""
        for buffer, windows in map_ahead(self._encode, in_buffers(items, growing=True)):
            scored = iter(self._run(windows, self._screen))
            for item in buffer:
                if not isinstance(item, Conversation):
                    yield item
                    continue
                try:
                    yield build_prediction(self._artifact, item, next(scored), point)
                except NoUserTextError as error:
                    yield ConversationFailure.of(error, item.id)

    def _encode(self, buffer: Sequence[Item]) -> list[list[EncodedWindow]]:
        return self._encoder.encode([item for item in buffer if isinstance(item, Conversation)])

    def _run(
        self, windows: Sequence[Sequence[EncodedWindow]], screen: Screen | None = None
    ) -> list[Scores]:
        return score_windows(windows, self._engine, self._encoder.pad_id, screen, self._known)

    def _score(self, conversations: Sequence[Conversation]) -> list[Scores]:
        return self._run(self._encode(conversations))


def _result(outcome: Any, position: int | None, texts: bool, record: bool) -> Any:
    """Return a prediction or failure, or raise the error of one that was found here."""
    if isinstance(outcome, ConversationPrediction):
        return outcome.messages[0] if texts else outcome
    if record or outcome.cause is None:
        return outcome
    raise outcome.cause if position is None else outcome.cause.in_conversation(position)


def _load(options: Mapping[str, Any]) -> AffectClassifier:
    return AffectClassifier.from_pretrained(**options)
