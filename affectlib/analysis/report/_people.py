"""Sections on users: how uneven use is, heavy use, change, and what goes with survey scores."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from functools import partial

import polars as pl

from affectlib.analysis._frames import AnalysisWarning, TableError
from affectlib.analysis._privacy import hidden_crossed
from affectlib.analysis._rate_regression import CHARGED_RATE, associate_rates
from affectlib.analysis.concentration import concentration, lorenz
from affectlib.analysis.report import _plots
from affectlib.analysis.report._share import best_by, contradicted, error_notes, share_figure
from affectlib.analysis.report._study import (
    CALIBRATED,
    DECILE,
    LABELLED,
    Figure,
    Grid,
    Number,
    Row,
    Section,
    Statement,
    Study,
    is_labelled,
    one_of,
    rows_of,
    uncorrected,
)

_FEWEST_FOR_DECILES = 100
_NO_INTERVAL = {"low": None, "high": None}


def concentrated(study: Study) -> Section | None:
    """Show how much of the charge few users produce; None if there is none, or no users."""
    if study.people is None or not study.people["charged_turns"].sum():
        return None
    t = study.t
    found = rows_of(concentration(study.people, min_users=study.min_users))
    # Every top share that is shown is a point of the curve, so that none comes between two.
    most = len(study.people) / max(study.min_users, 1)
    steps = next((steps for steps in (100, 20) if steps <= most), 10)
    curve = lorenz(study.people, points=steps + 1, min_users=study.min_users)
    rows = [
        (t("users.top", share=t.tick(float(measure[4:-1]) / 100)), t.share(row), t.interval(row))
        for row in found
        if (measure := row["measure"]) != "gini"
    ]
    if (gini := one_of(found, measure="gini")) is not None:
        rows.append((t("users.gini"), t.value(gini), t.reach(gini)))
    users, share = (curve[name].to_list() for name in ("share_of_users", "share"))
    svg = _plots.lorenz_curve(users, share, t) if len(curve) > 2 else ""
    head = study.head("measure", "estimate", "interval")
    return Section(
        "users",
        t("users.title"),
        [t("users.text") if svg else None],
        Figure(svg, t("users.lorenz")),
        [Grid(t("users.grid"), head, rows, labelled=range(len(rows)))],
        [t("note.labelled"), t("users.note")],
        numbers=[Number.of(row, f"concentration: {row['measure']}") for row in found],
    )


def by_usage(study: Study) -> Section | None:
    """Set tenths of users by usage against the share labelled charged."""
    if study.people is None or len(study.people) < _FEWEST_FOR_DECILES:
        return None
    t = study.t
    tenths = study.people.select("user_id", "usage_decile").lazy()
    own = study.labels.drop("usage_decile", strict=False)  # a column of that name is another's
    joined = own.join(tenths, on="user_id", how="left", maintain_order="left")
    found = best_by(study, joined, "usage_decile", DECILE)
    found = [row for row in found if row["usage_decile"] is not None]
    ticks = [str(row["usage_decile"]) for row in found]
    draw = partial(_plots.series, x=t("axis.decile"))
    figure = share_figure(study, draw, "deciles.caption", ticks, found)
    users = [t("hidden") if row["suppressed"] else t.number(row["users"]) for row in found]
    grid = Grid(
        study.behind(figure),
        study.head("decile", "share", "interval", "users"),
        [
            (tick, t.share(row), t.interval(row), count)
            for tick, row, count in zip(ticks, found, users, strict=True)
        ],
        folded=bool(figure.svg),
        labelled=uncorrected(found),
    )
    finding = None if is_labelled(found) else _ends(study, found)
    return Section(
        "deciles",
        t("deciles.title"),
        [t("deciles.text"), finding.text if finding else None],
        figure,
        [grid],
        [*error_notes(study, found, ticks), t("note.association")],
        finding,
        [Number.of(row, "share", f"tenth {row['usage_decile']}") for row in found],
    )


def _ends(study: Study, found: Sequence[Row]) -> Statement | None:
    """Set the tenth of users who use it most against the tenth who use it least."""
    t = study.t
    first, last = (one_of(found, usage_decile=tenth) for tenth in (1, 10))
    if not first or not last or first["estimate"] is None or last["estimate"] is None:
        return None
    sentence = t(
        "deciles.finding",
        high=t.share(last),
        high_interval=t.interval(last),
        low=t.share(first),
        low_interval=t.interval(first),
    )
    return Statement(
        sentence, [Number.of(last, "share", "tenth 10"), Number.of(first, "share", "tenth 1")]
    )


def changing(study: Study) -> Section | None:
    """Count users whose rate rises, falls or is flat; None if too few were there long enough."""
    if study.people is None:
        return None
    total = study.people["direction"].count()
    if total < max(study.min_users, 1):
        return None
    t = study.t
    directed = study.people.drop_nulls("direction").select("direction", _user="user_id", units=1)
    hidden = hidden_crossed(directed, ["direction"], study.min_users)
    counts = {name: len(directed.filter(direction=name)) for name in ("rising", "flat", "falling")}
    rows = [
        (
            t(f"trend.{name}"),
            t("fewer" if users < study.min_users else "hidden", users=study.min_users)
            if hidden.get((name,), False)
            else t.number(users),
        )
        for name, users in counts.items()
    ]
    head = study.head("direction", "users")
    return Section(
        "trends",
        t("trend.title"),
        [t("trend.text", users=t.number(total))],
        None,
        [Grid(t("trend.grid"), head, rows, labelled=range(len(rows)))],
        [t("note.labelled"), t("trend.note")],
    )


def associated(study: Study) -> list[Section]:
    """Regress every outcome on usage and the affective rate, controls held constant."""
    if study.participants is None:
        return []
    t = study.t
    sections = []
    for place, outcome in enumerate(study.outcomes):
        try:
            found, corrected = _regressed(study, study.participants, outcome)
        except TableError as error:
            warnings.warn(
                f"what goes with {outcome!r}: not shown; {error}", AnalysisWarning, stacklevel=3
            )
            hidden = t("associated.hidden", users=max(study.min_users, 3))
            title = t("associated.title", outcome=outcome)
            sections.append(Section(f"outcome-{place}", title, [hidden]))
            continue
        sections.append(_regression(study, place, outcome, found, corrected))
    return sections


def _regression(
    study: Study, place: int, outcome: str, found: Sequence[Row], corrected: bool
) -> Section:
    t = study.t
    rate = "" if corrected else "_labelled"
    of_rate = [at for at, row in enumerate(found) if row["term"] == CHARGED_RATE]
    if not corrected:  # label error draws it towards 0, so that its interval may miss the truth
        found = [{**row, **(_NO_INTERVAL if at in of_rate else {})} for at, row in enumerate(found)]
    rows = [
        (
            t.maybe(f"term.{row['term']}{rate if at in of_rate else ''}", row["term"])
            + (f" ({t('control')})" if row["role"] == "control" else ""),
            t.value(row, 3),
            t.reach(row, 3),
            t.number(row["standardized"], 2),
            t.p(row["q"]),
        )
        for at, row in enumerate(found)
    ]
    head = study.head("term", "coefficient", "interval", "standardized", "q")
    method = CALIBRATED if corrected else LABELLED
    numbers = [
        Number.of(
            row, f"coefficient of {row['term']}", outcome, method if place in of_rate else "counted"
        )
        for place, row in enumerate(found)
    ]
    finding = None
    charged = one_of(found, term=CHARGED_RATE)
    if charged is not None and corrected:
        tenth = {name: charged[name] / 10 for name in ("estimate", "low", "high")}
        sentence = t(
            "associated.finding",
            outcome=outcome,
            value=t.value(tenth, 3),
            interval=t.reach(tenth, 3),
        )
        number = Number.of(tenth, "coefficient of charged_rate, per 0.1", outcome, method)
        finding = Statement(sentence, [number])
        numbers.append(number)
    text = t(
        "associated.text",
        outcome=outcome,
        users=t.number(found[0]["users"]),
        rate=t(f"associated.rate{rate}"),
    )
    uncorrected = "labelled" if study.message_errors is None else "unreliable"
    apart = [name for name, rows in study.by_group.items() if contradicted(study, rows)]
    notes = [
        t("associated.calibrated" if corrected else f"associated.{uncorrected}"),
        t("associated.contradicted", columns=t.quoted(apart)) if corrected and apart else None,
        t("note.association"),
    ]
    return Section(
        f"outcome-{place}",
        t("associated.title", outcome=outcome),
        [text, finding.text if finding else None],
        None,
        [Grid(t("associated.grid"), head, rows, labelled=[] if corrected else of_rate)],
        notes,
        finding,
        numbers,
    )


def _regressed(study: Study, users: pl.DataFrame, outcome: str) -> tuple[Sequence[Row], bool]:
    """Regress an outcome; also say whether the rates of charged turns were calibrated."""
    controls = [name for name in dict.fromkeys(study.controls) if name != outcome]
    there = [name for name in study.groups if name in users.columns]
    groups = [name for name in there if users[name].drop_nulls().n_unique() > 1]
    # What is held constant is no predictor as well, nor is the outcome itself.
    named = {outcome, *controls}
    return associate_rates(
        users.with_columns(pl.col("usage_decile").cast(pl.Float64)),
        study.message_errors,
        outcome=outcome,
        predictors=[name for name in ("usage_decile", *groups) if name not in named],
        controls=controls,
        min_users=study.min_users,
    )
