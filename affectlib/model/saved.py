"""Saving a model, sharing it on the Hugging Face Hub, and fitting it to a user's own labels."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Self

from affectlib.errors import OptionError
from affectlib.model.artifacts import Artifact, save_artifact
from affectlib.model.hub import upload
from affectlib.taxonomy import EMOTIONAL, LABELS

if TYPE_CHECKING:
    from affectlib._inputs import Chats, Texts

__all__ = ["Saved"]


class Saved:
    """The part of a classifier that saves its model, shares it, and fits it to a user's labels."""

    _artifact: Artifact

    def save_pretrained(self, folder: str | os.PathLike[str]) -> None:
        """Copy the model to a folder, from which this and transformers can load it.

        Args:
            folder: Where it goes; made if needed, files of the same names are replaced.

        Raises:
            ArtifactCorruptError: A file of the model is missing or altered.
            OSError: The folder cannot be written.

        Example:
            >>> from affectlib import AffectClassifier
            >>> AffectClassifier.from_pretrained().save_pretrained("my-model")
            >>> AffectClassifier.from_pretrained("my-model").artifact.name
            'affect-small'
        """
        save_artifact(self._artifact, folder)

    def calibrated(
        self,
        conversations: Texts | Chats,
        labels: Sequence[str | bool],
        folder: str | os.PathLike[str],
        *,
        weights: Sequence[float] | None = None,
        users: Sequence[Any] | None = None,
        specificity: Mapping[str, float] | None = None,
        name: str | None = None,
        force: bool = False,
    ) -> Self:
        """Fit probabilities and thresholds to labelled conversations; no training, no torch.

        See `affectlib.analysis.calibrate`, which does the same with a table of labels and a filled
        sheet, and says what changed.

        Args:
            conversations: At least ten that are emotional, and ten others.
            labels: What each is, ``emotional`` or ``task``, or whether it is emotional.
            folder: Where the new model goes; it must be new or empty.
            weights: How many conversations each stands for; one if None.
            users: Whose each is, so that no one judges themself; all different if None.
            specificity: The share of task conversations that an operating point does not flag, by
                its name; its target if None, or less if hardly any would reach it.
            name: The new model's name; that of the folder if None.
            force: Whether to accept that recall or specificity falls by more than 0.1.

        Returns:
            A classifier with the new model, on the same engine and device.

        Raises:
            ConversationError: A conversation cannot be labelled.
            OptionError: There are too few of a kind or of too few users, a label is unknown, there
                are more or fewer labels than conversations, no emotional one reaches a
                threshold, or the labels contradict the model.
            OutputExistsError: The folder exists.
            MissingExtraError: scipy is not installed.

        Example:
            >>> mine = classifier.calibrated(chats, labels, "mine")  # doctest: +SKIP
        """
        from affectlib.model.recalibration import (
            recalibrate,
            require_enough,
            save_recalibrated,
            uncalibrated,
        )

        if odd := {label for label in labels if label not in (*LABELS, True, False)}:
            raise OptionError(f"labels: {len(odd)} unknown values; use {' or '.join(LABELS)}")
        truth = [label in (EMOTIONAL, True) for label in labels]
        require_enough(truth, "labels")
        classifier: Any = self
        found = [chat.probability for chat in classifier.stream(conversations, on_error="raise")]
        base, given = uncalibrated(self._artifact, found)
        fitted = recalibrate(
            base,
            given,
            truth,
            weights=weights,
            groups=users,
            specificity=specificity,
            force=force,
        )
        target = Path(folder)
        save_recalibrated(base, fitted, target, name=name or target.resolve().name)
        adapted: Self = classifier.from_pretrained(**classifier.options | {"model": target})
        return adapted

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
            OptionError: `name` is not an id on the Hub.

        Example:
            >>> from affectlib import AffectClassifier
            >>> classifier = AffectClassifier.from_pretrained("my-model")  # doctest: +SKIP
            >>> classifier.push_to_hub("user/my-model")  # doctest: +SKIP
            'https://.../user/my-model/commit/0f3c5b1d'
        """
        with TemporaryDirectory() as folder:  # a copy holds what was checked, and nothing else
            save_artifact(self._artifact, folder)
            return upload(Path(folder), name, private=private, message=message, token=token)
