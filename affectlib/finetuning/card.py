"""What is said about a fine-tuned model: in its card, and in notes before it is used."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from affectlib._extras import requires_extra
from affectlib.finetuning.thresholds import FEWEST_HELD_OUT

if TYPE_CHECKING:
    from affectlib.finetuning.result import FineTuned
    from affectlib.model.artifacts import Artifact

__all__ = ["card", "not_fitted", "notes"]

_POINT = "balanced"


def notes(made: FineTuned, unread: int, *, screened: bool) -> Iterator[str]:
    """Say what should be known before a model is used.

    Args:
        made: What was made.
        unread: Conversations in which the tokenizer found nothing to read.
        screened: Whether the base has a screen.
    """
    if screened:
        yield f"the screen of {made.base} is left out, so that labelling takes longer"
    if unread:
        yield f"{unread:,} conversations were left out: the tokenizer finds nothing to read in them"
    if not made.fitted:
        yield not_fitted(made.held_out, made.held_out_emotional, made.base)
    yield from _of_the_ranking(made)
    yield from _of_what_is_found(made)


def not_fitted(held_out: int, emotional: int, base: str) -> str:
    """Say why the thresholds of the base stay."""
    others = held_out - emotional
    reason = (
        f"new thresholds need {FEWEST_HELD_OUT} of each"
        if min(emotional, others) < FEWEST_HELD_OUT
        else "nearly all of one kind are of so few people that thresholds cannot be fitted to some "
        "people and judged on others (label conversations of more people)"
    )
    return (
        f"{emotional:,} emotional and {others:,} other conversations were held out, and {reason}: "
        f"those of {base} stay, and probabilities are moved to the same average as its own"
    )


def _of_the_ranking(made: FineTuned) -> Iterator[str]:
    if not made.share:
        yield (
            f"{made.base} did better on the held-out conversations, so the new model uses none of "
            "the new weights; label more conversations"
        )
        return
    change = made.figure("AUROC") if made.figures else {}
    if change.get("change") is None:
        yield "the held-out conversations do not show whether the new model is better"
    elif change["change"] <= 0:
        yield f"the new model does not rank the held-out conversations better than {made.base}"
    elif change["change_low"] <= 0:
        yield f"it may be chance that the new model ranks better than {made.base}"


def _of_what_is_found(made: FineTuned) -> Iterator[str]:
    """Say whether the new model finds fewer charged conversations than the base at `_POINT`."""
    of = {row["measure"]: row for row in made.figures if row["operating_point"] == _POINT}
    recall, specificity = of.get("recall", {}), of.get("specificity", {})
    if recall.get("change") is None or recall["change"] >= 0:
        return
    found, before = (round(recall[when] * made.held_out_emotional) for when in ("after", "before"))
    gain = specificity.get("change") or 0.0
    yield (
        f"at {_POINT}, the new model finds {found:,} of the {made.held_out_emotional:,} emotional "
        f"conversations that were held out, and {made.base} finds {before:,}"
    ) + (
        f"; its specificity is {gain * 100:.1f} points higher"
        if gain > 0
        else "; its specificity is not higher, so keep the base"
    )


def card(made: FineTuned, base: Artifact, about: Mapping[str, Any]) -> str:
    """Return the card of a model.

    Args:
        made: What was made.
        base: The model that it was made from.
        about: ``data``, the user's name for the labelled conversations; ``licence`` and ``group``,
            or None; ``seed``; ``confidence``.
    """
    with requires_extra("train"):
        import jinja2
    head: dict[str, Any] = {
        "library_name": "transformers",
        "pipeline_tag": "text-classification",
        "tags": ["affective-computing", "chat-transcripts", "multi-label", "onnx", "affectlib"],
        "language": [*base.description.get("languages", ())],
    }
    if about["licence"] is not None:
        head["license"] = about["licence"]
    template = jinja2.Template(
        Path(__file__).with_name("card.md").read_text(encoding="utf-8"),
        keep_trailing_newline=True,
        undefined=jinja2.StrictUndefined,
    )
    text: str = template.render(
        made=made,
        base=base,
        about=about,
        head=head,
        interval=_interval,
        json=partial(json.dumps, ensure_ascii=False),
        number="{:,}".format,
    )
    return text


def _interval(row: Mapping[str, Any], when: str) -> str:
    value, low, high = row[when], row[f"{when}_low"], row[f"{when}_high"]
    if value is None:
        return "-"
    sign = "+" if when == "change" else ""
    shown = f"{value:{sign}.3f}"
    return shown if low is None else f"{shown} ({low:{sign}.3f} to {high:{sign}.3f})"
