from __future__ import annotations

import dataclasses
import re
from pathlib import Path

import pytest

from affectlib.taxonomy import (
    ASSISTANT_CUES,
    CHARGES,
    CUES,
    EMOTIONAL,
    LABELS,
    OUTPUTS,
    TASK,
    THEMES,
    USER_CUES,
    Cue,
)

CODEBOOK = Path(__file__).parents[1] / "training" / "data" / "CODEBOOK.md"


def test_labels_are_the_two() -> None:
    assert LABELS == (EMOTIONAL, TASK) == ("emotional", "task")


def test_outputs_keep_their_order_since_weights_depend_on_it() -> None:
    assert OUTPUTS == (
        "emotional",
        "charge_1_or_more",
        "charge_3",
        "shares_feelings",
        "seeks_support",
        "seeks_personal_advice",
        "seeks_company",
        "expresses_affection",
        "expresses_hostility",
        "humanizes_assistant",
        "shows_dependence",
        "in_crisis",
        "shows_empathy",
        "claims_affection",
        "love",
        "family",
        "other_people",
        "loneliness",
        "bond_with_assistant",
        "romance_with_assistant",
        "work_and_study",
        "money",
        "health",
        "mind_and_crisis",
        "grief",
        "self_worth",
        "meaning_and_world",
        "joy_and_pride",
    )
    assert (*USER_CUES, *ASSISTANT_CUES) == tuple(CUES) == OUTPUTS[3:14]
    assert tuple(THEMES) == OUTPUTS[14:]
    assert {*CHARGES} == {*OUTPUTS[:3]}


def test_cues_are_those_of_the_codebook() -> None:
    text = CODEBOOK.read_text(encoding="utf-8")
    assert re.findall(r"^ ([UA]\d) \w+:", text, re.MULTILINE) == [c.code for c in CUES.values()]


@pytest.mark.parametrize("cue", CUES.values(), ids=lambda cue: cue.name)
def test_cue_is_complete(cue: Cue) -> None:
    assert CUES[cue.name] is cue
    assert re.fullmatch("[a-z]+(_[a-z]+)*", cue.name)
    assert cue.title.lower().replace(" the ", " ").replace(" ", "_") == cue.name
    assert cue.unit == {"U": "user", "A": "assistant"}[cue.code[0]]
    assert (cue.name in USER_CUES) == (cue.unit == "user")
    assert cue.definition.endswith(".")


def test_equivalent_of_the_studies_belongs_to_one_cue() -> None:
    for version in ("v1", "v2"):
        names = [name for cue in CUES.values() for name in getattr(cue, version)]
        assert len(names) == len(set(names)) > 15


def test_nobody_can_change_it() -> None:
    with pytest.raises(TypeError, match="does not support item assignment"):
        CUES["new"] = CUES["in_crisis"]  # type: ignore[index]
    with pytest.raises(dataclasses.FrozenInstanceError):
        CUES["in_crisis"].title = "Other"  # type: ignore[misc]
