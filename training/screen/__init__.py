"""The screen of an artifact: taught by its encoder, bounded by what it must not lose."""
