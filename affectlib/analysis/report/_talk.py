"""Sections on what happens within conversations: trajectory, first charge, cues, excerpts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import polars as pl

from affectlib.analysis._correction import ErrorRates, becomes_charged, corrected_share
from affectlib.analysis._frames import labels_table
from affectlib.analysis._transcripts import Transcripts, conversations_of
from affectlib.analysis.report import _plots
from affectlib.analysis.report._study import (
    LABELLED,
    Figure,
    Grid,
    Number,
    Row,
    Section,
    Study,
    one_of,
    rows_of,
)
from affectlib.analysis.report._translator import Translator
from affectlib.analysis.trajectory import READ, cue_pairs, onset, trajectory
from affectlib.taxonomy import CUES, EMOTIONAL

_EXCERPTS = 5
_PARTS = ("start", "middle", "end")
_ONSETS = ("turn 1", "turn 2", "turns 3 to 5", "turns 6 to 10", "after turn 10")
_LATER = "turns personal"
_FOLLOWED = (("user", "charged"), ("assistant", "shows_empathy"), ("assistant", "claims_affection"))


@dataclass(frozen=True, slots=True)
class Excerpt:
    """A message that is shown in the report, and where it is from."""

    place: str
    text: str


def within(study: Study) -> Section | None:
    """Follow charge through conversations; None without labels of messages, or if all are short."""
    messages = study.messages
    if messages is None or not _has_thirds(messages):
        return None
    t = study.t
    found = rows_of(trajectory(messages, cue_threshold=study.thresholds, min_users=study.min_users))
    unexplained = _unexplained(study.message_errors, found)
    if unexplained:
        study = replace(study, message_errors=None)
    lines: list[_plots.Points] = []
    rows: list[tuple[str, ...]] = []
    numbers: list[Number] = []
    labelled: list[int] = []
    for role, measure in _FOLLOWED:
        parts = [one_of(found, part=p, role=role, measure=measure) for p in _PARTS]
        shown = [part for part in parts if part is not None]
        if len(shown) < len(_PARTS):
            continue
        errors = study.message_errors if measure == "charged" else None
        corrected = errors is not None
        if errors is not None:
            shown = [corrected_share(errors, row) for row in shown]
        name = t("followed.charged" if corrected else f"followed.{measure}_labelled")
        lines.append(_plots.Points.of(shown, name, labelled=not corrected))
        labelled += [] if corrected else range(len(rows), len(rows) + len(_PARTS))
        for part, own in zip(_PARTS, shown, strict=True):
            title = f"{name}, {t(f'part.{part}')}"
            rows.append((title, t.share(own), t.interval(own)))
            method = study.message_method if corrected else LABELLED
            numbers.append(Number.of(own, f"share of messages: {measure}", part, method))
    titles = [t(f"part.{part}") for part in _PARTS]
    figure = Figure(
        _plots.series("trajectory", titles, lines, t, t("axis.messages"), t("axis.part"))
        if any(line.enough for line in lines)
        else "",
        t("within.caption_labelled" if study.message_errors is None else "within.caption"),
    )
    head = study.head("measure", "share", "interval")
    begun, about_begun, begun_numbers = _begins(study, messages)
    grid = Grid(study.behind(figure), head, rows, folded=bool(figure.svg), labelled=labelled)
    return Section(
        "within",
        t("within.title"),
        [t("within.text")],
        figure,
        [grid, *begun],
        [
            t("within.labelled"),
            study.cue_note,
            *about_begun,
            t("within.unexplained") if unexplained else None,
        ],
        numbers=[*numbers, *begun_numbers],
    )


def _unexplained(errors: ErrorRates | None, parts: Sequence[Row]) -> bool:
    """Tell whether a part has more messages labelled charged than the known errors allow."""
    role, measure = _FOLLOWED[0]
    shares = [p["estimate"] for p in parts if (p["role"], p["measure"]) == (role, measure)]
    highest = max((share for share in shares if share is not None), default=0.0)
    return errors is not None and highest >= errors.rates[0]


def _has_thirds(messages: pl.LazyFrame) -> bool:
    """Whether three messages of one role were read in any conversation."""
    keys = labels_table(messages, "messages").conversation_keys()
    lengths = messages.filter(READ).group_by(*keys, "role").len()
    return not lengths.filter(pl.col("len") >= 3).head(1).collect().is_empty()


def cues(study: Study) -> Section | None:
    """Show how common each cue is and which go together; None without cues."""
    names = [name for name in CUES if name in study.labels.collect_schema().names()]
    if len(names) < 2:
        return None
    t = study.t
    user = pl.col("user_id") if study.people is not None else pl.int_range(pl.len())
    shows = {name: pl.col(name) >= study.thresholds[name] for name in names}
    counted = study.labels.select(
        *(shows[name].mean().alias(name) for name in names),
        *(user.filter(pl.col(name).is_not_null()).n_unique().alias(f"{name} n") for name in names),
        *(user.filter(shows[name]).n_unique().alias(f"{name} users") for name in names),
    ).collect()
    counts = counted.row(0, named=True)
    known = [name for name in names if counts[f"{name} n"]]
    few = {
        name
        for name in known
        if counts[f"{name} n"] < study.min_users or 0 < counts[f"{name} users"] < study.min_users
    }
    rows = [
        (
            _title(name, t),
            t("fewer", users=study.min_users) if name in few else t.percent(counts[name]),
            t(f"role.{CUES[name].unit}"),
            t.number(study.thresholds[name], 2),
        )
        for name in sorted(known, key=lambda name: -counts[name])
    ]
    shown = [name for name in known if name not in few]
    order = {name: place for place, name in enumerate(shown)}
    cells: list[list[float | None]] = [[None] * len(shown) for _ in shown]
    for pair in _pairs(study, names):
        if pair["cue"] in order and pair["other"] in order:
            across, down = sorted((order[pair["cue"]], order[pair["other"]]))
            cells[down][across] = pair["lift"] if pair["estimate"] else None
    plotted = any(value is not None for row in cells for value in row)
    svg = _plots.heat("cues", [_title(name, t) for name in shown], cells, t) if plotted else ""
    head = study.head("cue", "share", "whose", "from")
    return Section(
        "cues",
        t("cues.title"),
        [t("cues.text")],
        Figure(svg, t("cues.caption")),
        [Grid(t("cues.grid"), head, rows, labelled=range(len(rows)))],
        [t("note.labelled"), study.cue_note],
        numbers=[
            Number(f"share that shows {name}", None if name in few else counts[name], None, None)
            for name in known
        ],
    )


def _pairs(study: Study, names: Sequence[str]) -> Sequence[Row]:
    """Return how often two cues are shown together; nothing where no two may be."""
    if study.level == "message" and len({CUES[name].unit for name in names}) == len(names):
        return []  # a message has cues of its own role only
    return rows_of(
        cue_pairs(study.labels, cue_threshold=study.thresholds, min_users=study.min_users)
    )


def excerpts(study: Study, transcripts: Transcripts) -> list[Excerpt]:
    """Return the messages with the highest probabilities, as text, escaped by the template."""
    messages = study.labels if study.level == "message" else study.messages
    labels = study.labels if messages is None else messages
    there = labels.collect_schema().names()
    if "probability" not in there:
        return []
    keys = [name for name in ("record", "conversation_id", "message") if name in there]
    rows = (
        labels.filter(pl.col("label") == EMOTIONAL, pl.col("probability").is_not_null())
        .select(*keys, "probability")
        .sort("probability", descending=True)
        .head(_EXCERPTS)
        .collect()
    )
    chats = conversations_of(rows, transcripts)
    found = []
    for row, chat in zip(rows.iter_rows(named=True), chats, strict=True):
        shown = [chat.messages[row["message"]]] if "message" in keys else chat.user_messages
        place = study.t(
            "excerpts.place",
            conversation=chat.id or row.get("record"),
            probability=study.t.percent(row["probability"]),
        )
        found.append(Excerpt(place, "\n\n".join(message.content for message in shown)))
    return found


def _begins(study: Study, messages: pl.LazyFrame) -> tuple[list[Grid], list[str], list[Number]]:
    """Show where charge begins, as labelled, and how often it comes later, corrected.

    Returns:
        Tables, notes on them, and their figures.
    """
    t = study.t
    found = rows_of(onset(messages, min_users=study.min_users))
    later = _later(study, messages)
    if later is not None:
        found = [row for row in found if row["measure"] != _LATER]
    rows = [
        (t(f"onset.{name}"), t.share(row), t.interval(row))
        for name in _ONSETS
        if (row := one_of(found, measure=_measure(name))) is not None
    ]
    if (turned := one_of(found, measure=_LATER)) is not None:
        rows.append((t("onset.turned"), t.share(turned), t.interval(turned)))
    numbers = [Number.of(row, f"onset: {row['measure']}") for row in found]
    head = study.head("measure", "share", "interval")
    grids = [Grid(t("within.onset"), head, rows, labelled=range(len(rows)))] if rows else []
    if later is None:
        return grids, [], numbers
    cells = (t("within.later_row"), t.share(later), t.interval(later))
    whole, first = (t(f"method.{method}") for method in (study.method, study.message_method))
    return (
        [Grid(t("within.later"), head, [cells]), *grids],
        [t("within.later_note", whole=whole, first=first)],
        [*numbers, Number.of(later, "becomes charged after beginning with a task")],
    )


def _later(study: Study, messages: pl.LazyFrame) -> Row | None:
    """Estimate how often what begins with a task becomes charged; None if errors are not known."""
    if study.level == "message" or study.errors is None or study.message_errors is None:
        return None
    errors, of_messages = map(study.errors_here, (study.errors, study.message_errors))
    found = becomes_charged(study.labels, messages, errors, of_messages, study.min_users)
    # Conversations and their first turns may be corrected by different things.
    methods = dict.fromkeys((study.method, study.message_method))
    return None if found is None else found | {"method": "+".join(methods)}


def _measure(name: str) -> str:
    return f"first {name}" if name.startswith("after") else f"first at {name}"


def _title(name: str, t: Translator) -> str:
    return t.maybe(f"cue.{name}", CUES[name].title)
