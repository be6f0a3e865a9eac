"""A model fine-tuned on a user's own labels; ``training/`` is built on the same parts."""

from affectlib.finetuning.result import FineTuned
from affectlib.finetuning.run import finetune

__all__ = ["FineTuned", "finetune"]
