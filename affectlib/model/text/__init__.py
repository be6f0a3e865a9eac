"""How text is read before it is tokenized."""

TEXT_RULES = 1
"""The version of the rules in this package. They are a part of the model: change what any text is
read as, and this number goes up, so that weights which learnt the older reading are refused."""
