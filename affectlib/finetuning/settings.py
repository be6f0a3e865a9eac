"""How a model is trained."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["TrainSettings"]


@dataclass(frozen=True, slots=True)
class TrainSettings:
    """How the encoder is trained.

    Attributes:
        epochs: Passes over the windows.
        learning_rate: Peak learning rate of the encoder.
        head_learning_rate: Peak learning rate of the head.
        warmup: Share of the steps over which the rates rise.
        batch_size: Windows of a step.
        label_smoothing: How much of each target is spread over both classes.
        save_steps: Steps between checkpoints.
        max_steps: Steps at most; -1 for as many as the epochs take.
    """

    epochs: float = 1.0
    learning_rate: float = 1e-4
    head_learning_rate: float = 5e-4
    warmup: float = 0.06
    batch_size: int = 32
    label_smoothing: float = 0.02
    save_steps: int = 400
    max_steps: int = -1
