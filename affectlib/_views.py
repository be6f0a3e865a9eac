"""How predictions and explanations look: as HTML in notebooks, and as plots.

The HTML stands alone: no script, no style sheet, nothing from elsewhere. Colours are translucent
and text has that of its surroundings, so it can be read on light and dark. All text is escaped.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from typing import TYPE_CHECKING, Any

from affectlib._extras import requires_extra
from affectlib.predictions import ConversationPrediction, MessagePrediction
from affectlib.taxonomy import CUES, EMOTIONAL, TASK

if TYPE_CHECKING:
    from affectlib.explanations import Explanation, WordExplanation

ROWS = 50
"""Rows of a table at most."""

_ORANGE, _BLUE = "224,112,32", "48,128,224"
_CUE = 0.5
_EXCERPT = 100
_CELL = "padding:.15em .6em;text-align:left;vertical-align:top"


def prediction_html(prediction: ConversationPrediction) -> str:
    """Return a table of a conversation's turns."""
    turns = _foremost(prediction.turns, [turn.probability or 0.0 for turn in prediction.turns])
    rows = [
        (turn.label == EMOTIONAL, [str(turn.index), turn.role, *_found(turn), _cues(turn)])
        for turn in turns
    ]
    header = ["message", "role", "label", "probability", f"cues of {_CUE} or more"]
    return _page(_title(prediction), _table(header, rows), len(prediction.turns) - len(rows))


def explanation_html(explanation: Explanation) -> str:
    """Return a table of a conversation's turns with their shares and the beginning of their text.

    Args:
        explanation: What is shown.
    """
    turns = _foremost(explanation.turns, [abs(turn.share) for turn in explanation.turns])
    messages = explanation.conversation.messages
    rows = [
        (
            turn.label == EMOTIONAL,
            [
                str(turn.index),
                _bar(turn.probability),
                _bar(turn.share, signed=True),
                f"<bdi>{escape(_excerpt(messages[turn.index].content))}</bdi>",
            ],
        )
        for turn in turns
    ]
    header = ["message", "probability", "share of P(emotional)", "text"]
    left_out = len(explanation.turns) - len(rows)
    return _page(_title(explanation.prediction), _table(header, rows), left_out)


def words_html(explanation: WordExplanation) -> str:
    """Return a message with its words tinted, orange for and blue against.

    The tint is full at the largest share, but never at less than 1: shares that hardly matter
    should not look as if they did.

    Args:
        explanation: What is shown.
    """
    most = max((abs(word.share) for word in explanation.words), default=0.0)
    parts = []
    done = 0
    for word in explanation.words:
        colour = _ORANGE if word.share > 0 else _BLUE
        strength = 0.6 * abs(word.share) / max(most, 1.0)
        style = f"background:rgba({colour},{strength:.2f});border-radius:.2em"
        text = escape(explanation.text[word.start : word.stop])
        parts.append(escape(explanation.text[done : word.start]))
        parts.append(f'<span style="{style}" title="{word.share:+.2f}">{text}</span>')
        done = word.stop
    parts.append(escape(explanation.text[done:]))
    title = (
        f"message {explanation.index}: probability of {escape(explanation.output)} "
        f"{explanation.probability:.3f}; orange speaks for it, blue against, "
        f"at most {most:.2f} of the logit"
    )
    body = f'<bdi style="white-space:pre-wrap;overflow-wrap:anywhere">{"".join(parts)}</bdi>'
    return _page(title, f"<div>{body}</div>", 0)


def plot_turns(prediction: ConversationPrediction, threshold: float | None, ax: Any | None) -> Any:
    """Plot the probabilities of the user's messages; see `ConversationPrediction.plot`."""
    with requires_extra("analysis"):
        from matplotlib.ticker import MaxNLocator
    if ax is None:
        from matplotlib import pyplot

        _, ax = pyplot.subplots(figsize=(6, 2.5), layout="constrained")
    turns = [
        (t.index, t.probability, t.label) for t in prediction.turns if t.probability is not None
    ]
    ax.plot([t[0] for t in turns], [t[1] for t in turns], color="#8c959f", zorder=1)
    for label, colour, mark in ((EMOTIONAL, "#e07020", "o"), (TASK, "#3080e0", "s")):
        points = [turn[:2] for turn in turns if turn[2] == label]
        if points:
            ax.scatter(*zip(*points, strict=True), color=colour, marker=mark, label=label, zorder=2)
    if threshold is not None:
        ax.axhline(threshold, color="#8c959f", linestyle="--", label="threshold")
    ax.set(xlabel="message", ylabel="P(emotional)", ylim=(-0.03, 1.03))
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    ax.legend(loc="best", frameon=False)
    return ax


def _foremost(items: Sequence[Any], weights: Sequence[float]) -> list[Any]:
    """Return the items of the greatest weight, as many as a table has rows, in their order."""
    chosen = sorted(range(len(items)), key=lambda place: -weights[place])[:ROWS]
    return [items[place] for place in sorted(chosen)]


def _title(prediction: ConversationPrediction) -> str:
    name = "" if prediction.id is None else f"<bdi>{escape(_excerpt(prediction.id))}</bdi>: "
    return f"{name}<b>{escape(prediction.label)}</b>, P(emotional) {prediction.probability:.3f}"


def _found(turn: MessagePrediction) -> tuple[str, str]:
    if turn.label is None or turn.probability is None:
        return "", ""
    return escape(turn.label), _bar(turn.probability)


def _cues(turn: MessagePrediction) -> str:
    found = sorted(turn.cues.items(), key=lambda cue: -cue[1])
    return ", ".join(
        f"{escape(CUES[name].title if name in CUES else name)} {probability:.2f}"
        for name, probability in found
        if probability >= _CUE
    )


def _excerpt(text: str) -> str:
    line = " ".join(text[: 4 * _EXCERPT].split())
    return line if len(line) <= _EXCERPT and len(text) <= 4 * _EXCERPT else f"{line[:_EXCERPT]}…"


def _bar(value: float, *, signed: bool = False) -> str:
    colour = _ORANGE if value > 0 else _BLUE
    style = (
        f"display:inline-block;width:{4 * abs(value):.2f}em;height:.7em;"
        f"background:rgba({colour},.6);margin-right:.4em"
    )
    return f'<span style="{style}"></span>{value:{"+" if signed else ""}.2f}'


def _table(header: Iterable[str], rows: Iterable[tuple[bool, list[str]]]) -> str:
    """Return a table of cells that are HTML already; charged rows are marked."""
    head = "".join(f'<th style="{_CELL}">{escape(name)}</th>' for name in header)
    body = []
    for charged, cells in rows:
        tint = f' style="background:rgba({_ORANGE},.15)"' if charged else ""
        row = "".join(f'<td style="{_CELL}">{cell}</td>' for cell in cells)
        body.append(f"<tr{tint}>{row}</tr>")
    return (
        f'<table style="border-collapse:collapse"><thead><tr>{head}</tr></thead>'
        f"<tbody>{''.join(body)}</tbody></table>"
    )


def _page(title: str, body: str, left_out: int) -> str:
    more = f"<div>{left_out:,} other messages are not shown</div>" if left_out else ""
    return f'<div class="affectlib"><div>{title}</div>{body}{more}</div>'
