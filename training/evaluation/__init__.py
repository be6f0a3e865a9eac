"""What an artifact is worth: figures, tables and the card."""

from training.data.sources import is_held_out

__all__ = ["is_held_out"]
