"""How text is read before it is tokenized."""
