"""Whether the figures of `affectlib.analysis` hold the truth as often as they say."""
