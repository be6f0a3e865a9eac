"""The classifier: texts and conversations in, predictions out."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal, overload

import numpy as np
from numpy.typing import NDArray

from affectlib._inputs import Input, Messages, Unlabelled, in_buffers, read_one, readable
from affectlib.conversation import Conversation
from affectlib.corpus.pipeline import map_ahead
from affectlib.errors import ArtifactCorruptError, NoUserTextError, OptionError
from affectlib.explanations import Explanation, WordExplanation, explain_turns, explain_words
from affectlib.model.artifacts import (
    DEFAULT_MODEL,
    Artifact,
    bundled_models,
    load_artifact,
    save_artifact,
)
from affectlib.model.calibration import OperatingPoint
from affectlib.model.decisions import conclude
from affectlib.model.encoding import EncodedWindow, WindowEncoder
from affectlib.model.engines import Engine, load_engine
from affectlib.model.hub import upload
from affectlib.model.rendering import WindowRenderer, WindowText
from affectlib.model.scoring import MessageScore, WindowCache, encode_windows, score_windows
from affectlib.predictions import ConversationFailure, ConversationPrediction, MessagePrediction
from affectlib.taxonomy import EMOTIONAL, LABELS

__all__ = ["AffectClassifier"]

_TOKENIZER = "tokenizer.json"


class AffectClassifier:
    """Labels messages and conversations as emotional or task; safe to share between threads.

    Most people want `from_pretrained`, then `predict` or `stream`.

    Pickled, it holds how it is loaded and no weights. In a forked child the onnx engine is loaded
    anew at its first use; use other engines in processes that are spawned. A forked child must end
    as those of `multiprocessing` do (``os._exit``): with ``sys.exit`` it would wait in ONNX Runtime
    for threads that only its parent has.

    Args:
        artifact: The model.
        engine: What runs it.
        operating_point: Name of the thresholds that `predict` uses if none is named.
        assistant_cues: Whether the assistant's messages are read for cues too.

    Raises:
        OptionError: There is no such operating point.
        ArtifactCorruptError: The tokenizer is missing, altered or cannot be used.

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
        assistant_cues: bool = True,
    ) -> None:
        """Load the tokenizer."""
        artifact.operating_point(operating_point)
        self._artifact = artifact
        self._engine = engine
        self._operating_point = operating_point
        self._assistant_cues = assistant_cues
        self._threads: int | None = None
        self._known = WindowCache()
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
        assistant_cues: bool = True,
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
            assistant_cues: Whether the assistant's messages are read for cues too; without,
                it is faster.
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
            assistant_cues=assistant_cues,
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
    def assistant_cues(self) -> bool:
        """Whether the assistant's messages are read for cues too."""
        return self._assistant_cues

    @property
    def options(self) -> dict[str, Any]:
        """The arguments of `from_pretrained` that load this classifier in another process."""
        bundled = bundled_models().get(self._artifact.name) == self._artifact.folder
        return {
            "model": self._artifact.name if bundled else str(self._artifact.folder.resolve()),
            "device": self.device,
            "engine": self.engine,
            "operating_point": self.operating_point,
            "assistant_cues": self.assistant_cues,
            "threads": self._threads,
        }

    @property
    def labels(self) -> tuple[str, str]:
        """The labels, in the order of the columns of `predict_proba`."""
        return LABELS

    @property
    def operating_point(self) -> str:
        """The name of the thresholds that are used if none is named."""
        return self._operating_point

    @overload
    def predict(self, x: str, *, operating_point: str | None = None) -> MessagePrediction: ...
    @overload
    def predict(
        self, x: list[str] | tuple[str, ...], *, operating_point: str | None = None
    ) -> list[MessagePrediction]: ...
    @overload
    def predict(
        self, x: Conversation | Messages, *, operating_point: str | None = None
    ) -> ConversationPrediction: ...
    @overload
    def predict(
        self, x: Sequence[Conversation | Messages], *, operating_point: str | None = None
    ) -> list[ConversationPrediction]: ...
    def predict(self, x: Any, *, operating_point: str | None = None) -> Any:
        """Label texts or conversations. What `x` is, its type says, never its content.

        A text is a conversation of one message, and has the same probability and label however it
        is given. Where a conversation has a single message of its user, that message and the
        conversation have one probability and one label, by the operating point's threshold for
        conversations. Messages of longer ones have a threshold of their own.

        Args:
            x: A text, read as a lone message of a user; a conversation (a `Conversation`, or a
                list of `Message` or ``{"role", "content"}`` mappings); or a list (or tuple) of
                texts or of conversations.
            operating_point: The name of the thresholds, those of the classifier if None.

        Returns:
            A `MessagePrediction` for a text, a `ConversationPrediction` for a conversation, and a
            list of them for a list.

        Raises:
            InputTypeError: `x`, or something in it, is of another type.
            ConversationError: A conversation is malformed; the error names the place.
            NoUserTextError: A text, or all that the user wrote in a conversation, is blank.
            OptionError: There is no such operating point.

        Example:
            >>> classifier = AffectClassifier.from_pretrained()
            >>> classifier.predict("Convert this CSV to JSON in Python").label
            'task'
            >>> chat = [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "Hi!"}]
            >>> [turn.role for turn in classifier.predict(chat).messages]
            ['user', 'assistant']
        """
        given = Input.read(x)
        predictions = self._predict(given, operating_point)
        return predictions if given.listed else predictions[0]

    def predict_proba(self, x: Any) -> NDArray[np.float32]:
        """Return the probability of each label.

        Args:
            x: What `predict` takes.

        Returns:
            One row for a text or conversation, as many as there are for a list of them; columns
            are `labels`.

        Raises:
            InputTypeError: See `predict`, also for the other errors.

        Example:
            >>> AffectClassifier.from_pretrained().predict_proba(["hello", "thanks"]).shape
            (2, 2)
        """
        predictions = self._predict(Input.read(x), None)
        emotional = np.array([prediction.probability for prediction in predictions], dtype=float)
        return np.stack([emotional, 1 - emotional], axis=1).astype(np.float32)

    def stream(
        self,
        conversations: Iterable[Conversation | Messages | ConversationFailure],
        *,
        on_error: Literal["raise", "record"] = "raise",
        operating_point: str | None = None,
    ) -> Iterator[ConversationPrediction | ConversationFailure]:
        """Label conversations as they come, in order, with bounded memory.

        Up to 512 conversations are read ahead, so that windows of like length share a batch, and
        the next ones are tokenized while the engine runs.

        Args:
            conversations: The conversations. A `ConversationFailure`, of one that could not be
                read, is handed through.
            on_error: ``raise`` to stop at a conversation that cannot be labelled; ``record`` to
                put out a `ConversationFailure` for it and go on.
            operating_point: The name of the thresholds, those of the classifier if None.

        Returns:
            An iterator of one prediction or failure for each conversation.

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
        if on_error not in ("raise", "record"):
            raise OptionError(f"unknown on_error {on_error!r}; use raise or record")
        point = self._thresholds(operating_point)
        return self._stream(conversations, on_error == "record", point)

    def explain(
        self, x: str | Conversation | Messages, *, operating_point: str | None = None
    ) -> Explanation:
        """Tell each turn's share of a conversation's decision.

        The share of a user's message is the conversation's probability less what it would be if
        that message had no logit (leave one out). The other messages keep theirs, also where they
        were read with this one as context. Without its only message, a conversation has the
        model's prevalence (`Artifact.prevalence`). Shares do not add up to the probability:
        messages that say the same cover for each other, and each may have a share of almost 0.

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
        return explain_turns(
            read_one(x), self._score, self._artifact, self._thresholds(operating_point)
        )

    def explain_words(
        self,
        x: str | Conversation | Messages,
        message: int | None = None,
        *,
        output: str = EMOTIONAL,
    ) -> WordExplanation:
        """Tell what each word adds to the logit of one of the user's messages.

        Each word is left out in turn, with the space after it, and the message read again in its
        context. If nothing that can be read would be left, the message is taken to be "…". A word
        is what lies between spaces, in pieces of 24 characters at most. A message of more than 128
        words is explained by at most 128 stretches of them. In one too long to be read whole, what
        is left out makes room for other words.

        Args:
            x: A text or a conversation, as `predict` takes them.
            message: The position of a user's message; that of the highest logit if None.
            output: What is explained: ``emotional``, or the name of one of the user's cues.

        Raises:
            InputTypeError: `x` is of another type, or a list of texts or conversations; see
                `predict` for the other errors.
            OptionError: `output` is unknown, or `message` is none of the user's with text.

        Example:
            >>> classifier = AffectClassifier.from_pretrained()
            >>> [word for word, _ in classifier.explain_words("i miss you").top(1)]
            ['miss']
        """
        return explain_words(read_one(x), message, self._score, self._artifact, output)

    def save_pretrained(self, folder: str | os.PathLike[str]) -> None:
        """Copy the model to a folder, from which this and transformers can load it.

        Args:
            folder: Where it goes; made if needed, files of the same names are replaced.

        Raises:
            ArtifactCorruptError: A file of the model is missing or altered.
            OSError: The folder cannot be written.

        Example:
            >>> AffectClassifier.from_pretrained().save_pretrained("my-model")
            >>> AffectClassifier.from_pretrained("my-model").artifact.name
            'affect-small'
        """
        save_artifact(self._artifact, folder)

    def calibrated(
        self,
        conversations: Iterable[Conversation | Messages],
        labels: Sequence[str | bool],
        folder: str | os.PathLike[str],
        *,
        weights: Sequence[float] | None = None,
        users: Sequence[Any] | None = None,
        specificity: Mapping[str, float] | None = None,
        name: str | None = None,
    ) -> AffectClassifier:
        """Fit probabilities and thresholds to labelled conversations; no training, no torch.

        See `affectlib.analysis.calibrate`, which does the same with a table of labels and a filled
        sheet, and says what changed.

        Args:
            conversations: At least ten that are emotional, and ten others.
            labels: What each is, ``emotional`` or ``task``, or whether it is emotional.
            folder: Where the new model goes; it must not be there, or be empty.
            weights: How many conversations each stands for; one if None.
            users: Whose each is, so that no one judges themself; all different if None.
            specificity: The share of task conversations that an operating point leaves alone, by
                its name; what it promised before if None, or less if hardly any would reach it.
            name: The new model's name; that of the folder if None.

        Returns:
            A classifier with the new model, on the same engine and device.

        Raises:
            ConversationError: A conversation cannot be labelled.
            OptionError: There are too few of a kind, a label is unknown, there are more or fewer
                labels than conversations, or no emotional one reaches a threshold.
            OutputExistsError: The folder is there.
            MissingExtraError: scipy is not installed.

        Example:
            >>> mine = classifier.calibrated(chats, labels, "mine")  # doctest: +SKIP
        """
        from affectlib.model.recalibration import recalibrate, save_recalibrated

        if odd := {label for label in labels if label not in (*LABELS, True, False)}:
            raise OptionError(f"labels: {len(odd)} unknown values; use {' or '.join(LABELS)}")
        found = recalibrate(
            self._artifact,
            [outcome.probability for outcome in self.stream(conversations)],  # type: ignore[union-attr]
            [label in (EMOTIONAL, True) for label in labels],
            weights=weights,
            groups=users,
            specificity=specificity,
        )
        target = Path(folder)
        save_recalibrated(self._artifact, found, target, name=name or target.resolve().name)
        return self.from_pretrained(**self.options | {"model": target})

    def push_to_hub(
        self,
        name: str,
        *,
        private: bool = True,
        message: str = "Upload an affectlib model",
        token: str | None = None,
    ) -> str:
        """Put the model on the Hugging Face Hub, from which this and transformers can load it.

        Args:
            name: Its id there, ``user/name``; the repository is made if it is not there.
            private: Whether a repository that is made is private.
            message: The message of the commit.
            token: An access token; the one that huggingface_hub knows if None.

        Returns:
            The address of the commit.

        Raises:
            ArtifactCorruptError: A file of the model is missing or altered.
            ArtifactError: The Hub refused it, or cannot be reached.
            MissingExtraError: huggingface_hub is not installed.
            OptionError: `name` is no id of the Hub.

        Example:
            >>> classifier = AffectClassifier.from_pretrained("my-model")  # doctest: +SKIP
            >>> classifier.push_to_hub("user/my-model")  # doctest: +SKIP
            'https://.../user/my-model/commit/0f3c5b1d'
        """
        with TemporaryDirectory() as folder:  # a copy holds what was checked, and nothing else
            save_artifact(self._artifact, folder)
            return upload(Path(folder), name, private=private, message=message, token=token)

    def windows(self, x: str | Conversation | Messages) -> list[WindowText]:
        """Return what the encoder reads of a conversation, as text for other libraries.

        Args:
            x: A text or a conversation, as `predict` takes them.

        Returns:
            The windows in the order of their target messages, which are `WindowText.message`.

        Raises:
            InputTypeError: See `explain`, also for the other errors.

        Example:
            >>> [window.text for window in AffectClassifier.from_pretrained().windows("thanks")]
            ['<|target|> thanks']
        """
        return [self._renderer.render(window) for window in self._encode([read_one(x)])[0]]

    @cached_property
    def _renderer(self) -> WindowRenderer:
        return WindowRenderer(self._artifact.file(_TOKENIZER))

    def _thresholds(self, operating_point: str | None) -> OperatingPoint:
        name = self._operating_point if operating_point is None else operating_point
        return self._artifact.operating_point(name)

    def _predict(self, given: Input, operating_point: str | None) -> list[Any]:
        predictions: list[Any] = []
        outcomes = self._label(given.conversations, self._thresholds(operating_point))
        for position, outcome in enumerate(outcomes):
            if isinstance(outcome, ConversationPrediction):
                predictions.append(outcome.messages[0] if given.texts else outcome)
            elif isinstance(outcome, Unlabelled):
                raise outcome.error.in_conversation(position) if given.listed else outcome.error
        return predictions

    def _stream(
        self, items: Any, record: bool, point: OperatingPoint
    ) -> Iterator[ConversationPrediction | ConversationFailure]:
        for position, outcome in enumerate(self._label(readable(items), point)):
            if not isinstance(outcome, Unlabelled):
                yield outcome
            elif record:
                yield outcome.failure()
            else:
                raise outcome.error.in_conversation(position)

    def _label(
        self,
        items: Iterable[Conversation | ConversationFailure | Unlabelled],
        point: OperatingPoint,
    ) -> Iterator[ConversationPrediction | ConversationFailure | Unlabelled]:
        """Label conversations buffer by buffer, and hand on what is none."""
        for buffer, windows in map_ahead(self._encode, in_buffers(items)):
            scored = iter(score_windows(windows, self._engine, self._encoder.pad_id, self._known))
            for item in buffer:
                if isinstance(item, Conversation):
                    yield self._conclude(item, next(scored), point)
                else:
                    yield item

    def _encode(
        self, buffer: Sequence[Conversation | ConversationFailure | Unlabelled]
    ) -> list[list[EncodedWindow]]:
        conversations = [item for item in buffer if isinstance(item, Conversation)]
        return encode_windows(conversations, self._encoder, assistant_targets=self._assistant_cues)

    def _conclude(
        self,
        conversation: Conversation,
        scores: Mapping[int, MessageScore],
        point: OperatingPoint,
    ) -> ConversationPrediction | Unlabelled:
        try:
            return conclude(self._artifact, conversation, scores, point)
        except NoUserTextError as error:
            return Unlabelled(error, conversation.id)

    def _score(self, conversations: Sequence[Conversation]) -> list[dict[int, MessageScore]]:
        windows = self._encode(conversations)
        return score_windows(windows, self._engine, self._encoder.pad_id, self._known)


def _load(options: Mapping[str, Any]) -> AffectClassifier:
    return AffectClassifier.from_pretrained(**options)
