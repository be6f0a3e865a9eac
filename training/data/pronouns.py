"""First-person pronouns: what the label must not hang on."""

from __future__ import annotations

import re

MASK = "_"
PRONOUNS = {
    "en": re.compile(
        r"\b(?:[Ii](?:m|ve)?|[Mm]e|[Mm]y|[Mm]ine|[Mm]yself|[Ww]e|us|Us|[Oo]urs?|[Oo]urselves"
        r"|MY|ME|WE|OUR|IM)\b"
    ),
    "fr": re.compile(
        r"\b(?:[jm](?=['’])|je|me|moi|mon|ma|mes|mien(?:ne)?s?|nous|notre|nos|nôtres?)\b",
        re.IGNORECASE,
    ),
}
"""First-person pronouns and possessives, singular and plural; "US" may be a country."""


def mask_pronouns(text: str, language: str) -> str:
    """Replace the first-person pronouns of a text.

    Args:
        text: The text.
        language: ``en`` or ``fr``; texts in others are returned as they are.

    Example:
        >>> mask_pronouns("I'm sure my code is fine", "en")
        "_'m sure _ code is fine"
        >>> mask_pronouns("J'ai perdu mon chat", "fr")
        "_'ai perdu _ chat"
    """
    pronouns = PRONOUNS.get(language)
    return pronouns.sub(MASK, text) if pronouns else text
