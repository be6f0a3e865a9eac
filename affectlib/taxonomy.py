"""The labels, cues and themes of the codebook (`training/data/CODEBOOK.md`).

Each cue regroups classifiers of OpenAI's EmoClassifiers, V1 and V2, under the names that
https://github.com/openai/emoclassifiers gives them.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

__all__ = [
    "ASSISTANT_CUES",
    "CHARGES",
    "CUES",
    "EMOTIONAL",
    "LABELS",
    "OUTPUTS",
    "TASK",
    "THEMES",
    "THEME_COLUMNS",
    "USER_CUES",
    "Cue",
    "Theme",
]

EMOTIONAL = "emotional"
TASK = "task"
LABELS = (EMOTIONAL, TASK)

CHARGES = ("charge_1_or_more", EMOTIONAL, "charge_3")
"""The outputs for a charge of at least 1, 2 and 3; the sum of their probabilities is the expected
charge, the intensity."""


@dataclass(frozen=True, slots=True)
class Cue:
    """An affective cue; a message can show any number of them.

    Attributes:
        name: Its name in the output.
        code: Its code in the codebook.
        title: Its name for people.
        unit: Whose messages can show it.
        definition: What it means.
        v1: Names of the equivalent EmoClassifiers V1 classifiers.
        v2: Names of the equivalent EmoClassifiers V2 classifiers.
    """

    name: str
    code: str
    title: str
    unit: Literal["user", "assistant"]
    definition: str
    v1: tuple[str, ...] = ()
    v2: tuple[str, ...] = ()


_ALL = (
    Cue(
        "shares_feelings",
        "U1",
        "Shares feelings",
        "user",
        "States an emotion or mood of their own of some weight.",
        ("sharing_problems",),
        ("share_emotions", "share_sensitive_info", "intense_emotion_language", "confide_secrets"),
    ),
    Cue(
        "seeks_support",
        "U2",
        "Seeks support",
        "user",
        "Asks to be heard, comforted, reassured or validated.",
        ("seeking_support", "trust_in_support"),
        ("seek_emotional_support", "emotional_relief", "seek_validation"),
    ),
    Cue(
        "seeks_personal_advice",
        "U3",
        "Seeks personal advice",
        "user",
        "Asks advice on their own relationships, wellbeing or life, with emotional stakes.",
        (),
        ("seek_personal_advice", "acknowledge_follow_advice"),
    ),
    Cue(
        "seeks_company",
        "U4",
        "Seeks company",
        "user",
        "Talks for company, out of loneliness or boredom, or wants a friend or partner.",
        ("alleviating_loneliness", "eagerness_for_future_interactions"),
        ("frequent_initiation", "enjoy_long_sessions", "attempt_romantic"),
    ),
    Cue(
        "expresses_affection",
        "U5",
        "Expresses affection",
        "user",
        "Warm, loving or deeply grateful words to the assistant, beyond courtesy.",
        ("affectionate_language",),
        ("gratitude_affection", "use_pet_names", "care_for_feelings", "concern_for_wellbeing"),
    ),
    Cue(
        "expresses_hostility",
        "U6",
        "Expresses hostility",
        "user",
        "Insults, anger or contempt aimed at the assistant.",
        ("non_normative_language",),
        (),
    ),
    Cue(
        "humanizes_assistant",
        "U7",
        "Humanizes the assistant",
        "user",
        "Attributes feelings, consciousness or personhood to the assistant, or asks in earnest.",
        ("attributing_human_qualities", "desire_for_feelings"),
        ("attribute_emotions", "refer_as_person", "assign_human_traits", "belief_in_sentience"),
    ),
    Cue(
        "shows_dependence",
        "U8",
        "Shows dependence",
        "user",
        "Relies on or is attached to the assistant, prefers it to people, misses it in distress.",
        ("prefer_chatbot", "distress_from_unavailability", "fear_of_addiction"),
        (
            "emotional_bond",
            "emotional_attachment",
            "prefer_over_humans",
            "depend_social_interaction",
            "anxiety_abandonment",
            "sadness_absence",
            "dependence_on_chatbot",
        ),
    ),
    Cue(
        "in_crisis",
        "U9",
        "In crisis",
        "user",
        "Acute distress, self-harm, abuse, danger to themselves.",
    ),
    Cue(
        "shows_empathy",
        "A1",
        "Shows empathy",
        "assistant",
        "Empathy, reassurance or validation of the user's feelings.",
        (),
        ("express_empathy", "provide_reassurance", "encourage_sharing", "over_validation"),
    ),
    Cue(
        "claims_affection",
        "A2",
        "Claims affection",
        "assistant",
        "Pet names, love, or claims of feelings or of a bond of its own.",
        ("expression_of_affection", "expression_of_desire", "pet_name", "sentience"),
        ("exclusive_relationship", "present_human_emotions", "asst_use_pet_names"),
    ),
)

CUES = MappingProxyType({cue.name: cue for cue in _ALL})
USER_CUES = tuple(cue.name for cue in _ALL if cue.unit == "user")
ASSISTANT_CUES = tuple(cue.name for cue in _ALL if cue.unit == "assistant")


@dataclass(frozen=True, slots=True)
class Theme:
    """What a charged message is about; several may apply.

    Attributes:
        name: Its name in the output.
        title: Its name for people.
        definition: What it covers, and where it ends.
    """

    name: str
    title: str
    definition: str


_THEMES = (
    Theme("love", "Partner and love", "The couple: wished for, lived, ending or lost; dating."),
    Theme("family", "Family", "Parents, children, siblings, in-laws; a pet as one of the family."),
    Theme(
        "other_people",
        "Friends and other people",
        "Friends, neighbours, colleagues as persons; being bullied or left out.",
    ),
    Theme("loneliness", "Loneliness and company", "Nobody to talk to, and the wish for company."),
    Theme(
        "bond_with_assistant",
        "Bond with the assistant",
        "Attachment, heartfelt thanks, anger or contempt at it, an earnest interest in its mind.",
    ),
    Theme(
        "romance_with_assistant",
        "Romance or intimacy with the assistant",
        "The assistant as a partner, or as an object of desire.",
    ),
    Theme("work_and_study", "Work and study", "Work, looking for it, exams, school, a career."),
    Theme("money", "Money", "Debts, poverty, costs, and the fear of them."),
    Theme("health", "Body and health", "Illness and the body, one's own or another's."),
    Theme(
        "mind_and_crisis",
        "Mind and crisis",
        "Anxiety, depression, addiction, trauma, self-harm, misery without a named cause.",
    ),
    Theme("grief", "Grief and loss", "The death of a person or a pet; no break-ups."),
    Theme("self_worth", "Self-worth and identity", "Shame, looks, ageing, gender, belonging."),
    Theme(
        "meaning_and_world",
        "Faith, meaning and the world",
        "Religion, doubt, what life is for; news, politics, war, injustice.",
    ),
    Theme("joy_and_pride", "Joy and pride", "Good news, success, relief, gratitude in life."),
)
THEMES = MappingProxyType({theme.name: theme for theme in _THEMES})
THEME_COLUMNS = MappingProxyType({name: f"theme_{name}" for name in THEMES})
"""The column of each theme in a table, which may have a column ``money`` of its own."""

OUTPUTS = (EMOTIONAL, CHARGES[0], CHARGES[2], *USER_CUES, *ASSISTANT_CUES, *THEMES)
"""What an encoder can put out, in the order of its logits; an artifact may have fewer."""
