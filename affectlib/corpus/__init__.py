"""Labelling a corpus: streamed, sharded, atomic and resumable."""
