"""How common charged use is, whose it is, and what goes with it, in one piece.

`report` puts the analyses of `affectlib.analysis` together, for a page that is one file and can be
read by somebody who did not run them, and as tables for one's own plots.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime
from typing import Any

import polars as pl

from affectlib.analysis._correction import ErrorRates
from affectlib.analysis._frames import (
    AnalysisWarning,
    AnyFrame,
    Labels,
    TableError,
    as_text,
    group_columns,
    labels_table,
    require_numbers,
    shown_from,
    table,
)
from affectlib.analysis._privacy import check_min_users
from affectlib.analysis._provenance import Kind
from affectlib.analysis._times import in_calendar
from affectlib.analysis._transcripts import Transcripts
from affectlib.analysis.accuracy import Accuracy
from affectlib.analysis.gold import annotating_models, people_answered
from affectlib.analysis.prevalence import BY_HAND, PERIODS, label_errors, prevalence
from affectlib.analysis.report import _people, _quality, _share, _talk, _themes
from affectlib.analysis.report._document import Report
from affectlib.analysis.report._study import (
    Grid,
    Row,
    Section,
    Study,
    gold_counts,
    rows_of,
    suppressed_groups,
)
from affectlib.analysis.report._translator import Answers, Translator
from affectlib.analysis.users import users
from affectlib.errors import OptionError
from affectlib.taxonomy import EMOTIONAL

__all__ = ["Report", "report"]


def report(
    labels: AnyFrame,
    *,
    messages: AnyFrame | None = None,
    participants: AnyFrame | None = None,
    gold: AnyFrame | None = None,
    measured: Accuracy | None = None,
    kind: Kind = "logs",
    by: str | Sequence[str] | None = None,
    outcomes: Sequence[str] = (),
    controls: Sequence[str] = (),
    title: str | None = None,
    made_with: str | None = None,
    made_on: date | None = None,
    show_text: Transcripts | None = None,
    lang: str = "en",
    min_users: int = 10,
    cue_threshold: float | Mapping[str, float] | None = None,
) -> Report:
    """Put the analyses of labels together: a page, Markdown, JSON, and tables of all figures.

    It has what the labels allow: without user ids nothing on users, without times nothing on
    change, and so on, and it says what is missing. It holds no transcript text and no user id,
    unless `show_text` asks for text.

    Args:
        labels: Labels of conversations or messages.
        messages: Labels of the messages, for what happens within conversations, where `labels` are
            of conversations.
        participants: A table of the users, such as groups and survey scores: ``user_id``, one row
            per user. What rests on its columns is of the users in it, all else of all users.
        gold: Labels that people gave, see `affectlib.analysis.prevalence`.
        measured: How the classifier did elsewhere.
        kind: The transcripts on which the model itself says how it did, ``logs`` or ``studies``.
        by: Columns of `labels` or `participants` to compare groups by.
        outcomes: Columns of `participants` to explain by usage and the rate of charged turns.
        controls: Columns of `participants` to hold constant in that; not without `outcomes`.
        title: Title of the page.
        made_with: Which model made the labels; if None, what the labels say.
        made_on: Date of the report, today if None.
        show_text: The conversations that were labelled, from `affectlib.read_conversations` with
            the same options; the messages with the highest probabilities are then shown, as text.
        lang: Language, ``en`` or ``fr``.
        min_users: Figures of fewer users are suppressed; 0 shows all.
        cue_threshold: Probability from which a cue counts as shown: one for all cues, or a mapping
            from cue to threshold (cues that it lacks: 0.5). If None, the model's own thresholds
            where the labels say which model made them (see `read_labels`), else 0.5. Where all cues
            have the same, the page says so.

    Raises:
        OptionError: An option is invalid, or names a column that is not there or there twice.
        TableError: A frame lacks a column or has invalid values.
        TranscriptFormatError: The transcripts cannot be read.
        MissingExtraError: jinja2 or matplotlib is not installed.

    Warns:
        AnalysisWarning: A figure rests on less than it seems, or an outcome cannot be explained
            (a group is too small, say), which its section then says.

    Example:
        >>> from affectlib.analysis import report
        >>> from tools.simulate import simulate
        >>> people = simulate(200)
        >>> found = report(people.conversations, participants=people.participants, by="gender")
        >>> found.html().splitlines()[0]
        '<!doctype html>'
        >>> found.figures().columns[:5]
        ['section', 'measure', 'group', 'estimate', 'low']
    """
    check_min_users(min_users)
    source = in_calendar(labels_table(labels))
    source.labelled()
    answers, models = answers_of(gold)
    known = source.provenance
    study = Study(
        labels=source.rows,
        level=source.level,
        gold=gold,
        models=models,
        measured=source.accuracy(measured, kind, beside_gold=gold is not None),
        measured_themes=known.measured_themes if source.level == "conversation" else {},
        groups=group_columns(by),
        outcomes=outcomes,
        controls=controls,
        min_users=min_users,
        thresholds=shown_from(cue_threshold, known.cues),
        theme_thresholds=shown_from(None, known.themes, "theme"),
        t=Translator(lang, answers, source.level),
    )
    study = _with_shares(_joined(study, messages, participants), known.measured.get("message"))
    overall, best = _share.overall(study)
    found = [
        overall,
        _share.over_time(study),
        *_share.by_groups(study),
        _people.concentrated(study),
        _people.by_usage(study),
        _people.changing(study),
        *_people.associated(study),
        _themes.about(study),
        _talk.within(study),
        _talk.cues(study),
        _quality.quality(study),
    ]
    sections = [section for section in found if section is not None]
    excerpts = [] if show_text is None else _talk.excerpts(study, show_text)
    return Report(
        study=study,
        title=title or study.t("title"),
        made_on=study.t.day(made_on or datetime.now(UTC).date()),
        made_with=made_with or known.name,
        cards=_cards(study, best),
        sections=sections,
        excerpts=excerpts,
        data=_data(labels, study, best),
        missing=_missing(study, sections, excerpts=bool(excerpts) or show_text is None),
    )


def answers_of(gold: AnyFrame | None) -> tuple[Answers, Sequence[tuple[str, str | None]]]:
    """Tell who gave the answers in a sheet, and name the language models among them."""
    if gold is None:
        return "hand", ()
    sheet = table(gold, "gold")
    models = annotating_models(sheet)
    if not models:
        return "hand", ()
    return "mixed" if people_answered(sheet) else "model", models


def _joined(study: Study, messages: AnyFrame | None, participants: AnyFrame | None) -> Study:
    """Check and join the frames."""
    rows = study.labels
    within = rows if study.level == "message" else None
    if messages is not None:
        within = _of_the_same(labels_table(rows), messages)
    names = rows.collect_schema().names()
    people = joined = None
    if "user_id" in names and rows.select(pl.col("user_id").count()).collect().item():
        people = users(within if within is not None else rows, cue_threshold=study.thresholds)
        joined = people
    if participants is not None:
        if people is None:
            raise TableError("labels, user_id: no row has one, so participants cannot be joined")
        joined, rows = _surveyed(study, people, participants)
    _check_options(study, rows.collect_schema().names(), [] if joined is None else joined.columns)
    return replace(study, labels=rows, messages=within, people=people, participants=joined)


def _with_shares(study: Study, of_messages: Accuracy | None) -> Study:
    """Add what all sections share: how common charge is, overall and in groups, and label error."""
    rows, min_users = study.labels, study.min_users
    shares = rows_of(prevalence(rows, study.gold, measured=study.measured, min_users=min_users))
    # What corrects the share of all labels corrects all other figures of them.
    errors = label_errors(rows, study.gold if gold_counts(shares) else None, study.measured)
    message_errors = errors
    if study.level != "message":
        message_errors = None if of_messages is None else ErrorRates.measured(of_messages)
    period = _share.period_of(study)
    hidden = suppressed_groups(study, rows, None if period is None else PERIODS[period])
    study = replace(
        study, shares=shares, errors=errors, message_errors=message_errors, suppressed=hidden
    )
    by_group = {name: _share.best_by(study, rows, name) for name in study.groups}
    return replace(study, by_group=by_group)


def _surveyed(
    study: Study, people: pl.DataFrame, participants: AnyFrame
) -> tuple[pl.DataFrame, pl.LazyFrame]:
    """Join what is known of users to their usage, and the columns of groups to the labels."""
    known = table(participants, "participants").require(["user_id"]).rows.collect()
    known = known.with_columns(as_text("user_id", known.schema["user_id"]))
    if empty := known["user_id"].null_count():
        raise TableError(f"participants, user_id: {empty} rows have none")
    if known["user_id"].is_duplicated().any():
        raise TableError("participants, user_id: users appear twice; keep one row for each")
    if twice := sorted({*people.columns} & {*known.columns} - {"user_id"}):
        raise TableError(f"participants: column {twice[0]!r} exists already")
    joined = people.join(known, on="user_id", how="inner", maintain_order="left")
    if joined.is_empty():
        raise TableError(
            "participants: none of its user ids is one of the users'; write them the same way"
        )
    numeric = [name for name in study.outcomes if name in known.columns]
    require_numbers(table(known, "participants"), numeric)
    if strangers := len(people) - len(joined):
        warnings.warn(
            f"participants: {strangers:,} of {len(people):,} users are not in it and are left "
            "out of figures that need its columns",
            AnalysisWarning,
            stacklevel=5,
        )
    shared = [name for name in study.groups if name in known.columns]
    if twice := [name for name in shared if name in study.labels.collect_schema().names()]:
        raise OptionError(
            f"by: labels and participants both have a column {twice[0]!r}; rename or drop one"
        )
    more = joined.select("user_id", *shared).lazy()
    return joined, study.labels.join(more, on="user_id", how="left", maintain_order="left")


def _check_options(study: Study, names: Sequence[str], columns: Sequence[str]) -> None:
    """Refuse options that name columns which are not there."""
    for option, chosen, there in (
        ("by", study.groups, names),
        ("outcomes", study.outcomes, columns),
        ("controls", study.controls, columns),
    ):
        for name in chosen:
            if name not in there:
                hint = "; change over time is shown as it is" if name in PERIODS else ""
                raise OptionError(
                    f"{option}: no column {name!r} in the labels or participants{hint}"
                )
    if study.controls and not study.outcomes:
        raise OptionError(
            "controls: they are held constant while outcomes are explained; name outcomes as well"
        )


def _of_the_same(labels: Labels, given: AnyFrame) -> pl.LazyFrame:
    """Return the labels of messages of the same conversations; all if nothing tells which are."""
    messages = in_calendar(labels_table(given, "messages"))
    if messages.level != "message":
        raise TableError(
            "messages: these are labels of conversations; give those of messages "
            "(affectlib label --level message)"
        )
    keys = [name for name in labels.conversation_keys() if name in messages.conversation_keys()]
    if not keys:
        return messages.rows
    known = labels.rows.select(keys).unique()
    found = messages.rows.join(known, on=keys, how="semi", nulls_equal=True)
    if found.head(1).collect().is_empty():
        raise TableError(
            "messages: none is from a conversation in labels; give the labels of their messages "
            "(affectlib label --level both writes the two together)"
        )
    return found


def _cards(study: Study, best: Row) -> list[tuple[str, str, str]]:
    """Return the figures at the top: the value, what it is, and its interval."""
    t = study.t
    cards = []
    lead = _share.leading(study.shares)
    if lead["method"] in BY_HAND:
        interval = t("card.interval", interval=t.interval(lead))
        cards.append((t.share(lead), t("card.share"), interval))
    elif lead["estimate"] is not None:
        cards.append((t.share(lead), t("card.labelled"), t("card.count")))
    if best["units"] is not None:
        cards.append((t.number(best["units"]), study.units, t("card.all")))
    if study.people is not None and len(study.people) >= study.min_users:
        cards.append((t.number(len(study.people)), t("card.users"), t("card.people")))
    return cards


def _data(labels: AnyFrame, study: Study, best: Row) -> Grid:
    """Tell what the figures rest on, and what was left out; no counts of too few users."""
    t = study.t
    raw = table(labels, "labels").rows
    there = study.labels.collect_schema().names()

    def column(name: str, otherwise: Any = None) -> pl.Expr:
        return pl.col(name) if name in there else pl.lit(otherwise)

    time, user = column(study.time), column("user_id")
    labelled, is_user = pl.col("label").is_not_null(), column("role", "user") == "user"
    counts = (
        study.labels.select(
            labelled=labelled.sum(),
            emotional=(pl.col("label") == EMOTIONAL).sum(),
            unread=(~labelled & is_user).sum(),
            strangers=(labelled & user.is_null()).sum(),
            undated=(labelled & time.is_null()).sum(),
            users=user.n_unique() - user.is_null().any().cast(pl.Int64),
            first=time.min(),
            last=time.max(),
            cut=column("truncated_tokens", 0).sum(),
        )
        .collect()
        .row(0, named=True)
    )
    failed = raw.select(pl.col("status") == "error") if "status" in raw.collect_schema() else None
    counts["failed"] = 0 if failed is None else failed.collect().to_series().sum()
    shown = ("labelled", "emotional", "users", "failed", "unread", "strangers", "undated", "cut")
    hidden = {"users", "strangers"} if 0 < counts["users"] < study.min_users else set()
    if best["suppressed"]:
        hidden = {*shown} - {"failed"}
    rows = [
        (t(f"data.{name}"), t("hidden") if name in hidden else t.number(counts[name]))
        for name in shown
    ]
    if counts["first"] is not None:
        dates = t("data.from_to", first=t.day(counts["first"]), last=t.day(counts["last"]))
        rows.insert(0, (t("data.dates"), dates))
    if study.gold is not None:
        size = table(study.gold, "gold").rows.select(pl.len()).collect().item()
        rows.append((t("data.gold"), t("hidden") if best["gold"] is None else t.number(size)))
    return Grid(t("data.grid"), study.head("fact", "number"), rows)


def _missing(study: Study, sections: Sequence[Section], *, excerpts: bool) -> list[str]:
    """Say which parts the report lacks, and why."""
    there = {section.name for section in sections}
    there |= {
        name
        for name, given in (("excerpts", excerpts), ("people", study.people is not None))
        if given
    }
    names = ("time", "themes", "within", "quality", "excerpts", "people")
    return [study.t(f"missing.{name}") for name in names if name not in there]
