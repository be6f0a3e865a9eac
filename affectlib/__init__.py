"""affectlib labels chat transcripts as emotionally charged or task-oriented."""

__version__ = "0.1.0"
