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
        charge_weight: Weight of the losses of a charge of at least 1 and of 3; that of the label
            has weight 1.
        cue_weight: Weight of a cue's loss.
        theme_weight: Weight of a theme's loss.
        average: Share of the trained weights in their average with those that training started
            from, which keeps some of what these knew; 1 for the trained ones alone (Wortsman et
            al. 2022, "Robust fine-tuning of zero-shot models").
        save_steps: Steps between checkpoints.
        max_steps: Steps at most; -1 for as many as the epochs take.
    """

    epochs: float = 1.0
    learning_rate: float = 1e-4
    head_learning_rate: float = 5e-4
    warmup: float = 0.06
    batch_size: int = 32
    label_smoothing: float = 0.02
    charge_weight: float = 0.5
    cue_weight: float = 0.5
    theme_weight: float = 0.5
    average: float = 1.0
    save_steps: int = 400
    max_steps: int = -1

    def __post_init__(self) -> None:
        """Refuse a share that is none."""
        if not 0 < self.average <= 1:
            raise ValueError("average must be above 0 and at most 1")
