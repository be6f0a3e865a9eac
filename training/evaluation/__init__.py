"""What an artifact is worth: figures, tables and the card."""
