"""What a model is worth: figures, tables and the card."""
