"""Labels that people gave, and how they are joined to those of the classifier."""

from __future__ import annotations

import math
import os
from collections.abc import Collection, Sequence
from dataclasses import replace

import polars as pl

from affectlib.analysis import _frames
from affectlib.analysis._design import complete_at_random, require_whole, rows_drawn_from
from affectlib.analysis._files import read_labels
from affectlib.analysis._frames import AnyFrame, Labels, Table, TableError
from affectlib.taxonomy import EMOTIONAL, TASK, THEMES

__all__ = ["MODEL_PREFIX", "NO_THEME", "gold_rows", "gold_themes", "read_gold"]

_ONE = ("1", "1.0")
_ANSWERS = {
    **dict.fromkeys((EMOTIONAL, "yes", "oui", "true", *_ONE), True),
    **dict.fromkeys((TASK, "no", "non", "false", "0", "0.0"), False),
}
_OPEN = ("", "unsure", "?", "na")
_HIGH = ("2", "2.0", "3", "3.0")
NO_THEME = "none"
"""The answer that a charged row has no theme."""
_ROW = "_row"
MODEL_PREFIX = "model:"
"""Prefix of annotators that are language models."""
_PROMPT = " prompt:"
_PERSON = "person"
"""The annotator where a sheet does not name one."""
PARTED = "; "
"""Separates several annotators, as of `affectlib.analysis.majority`."""
_CHARGES = "charges (0 and 1 task, 2 and 3 emotional)"


def read_gold(
    sheet: str | os.PathLike[str] | AnyFrame, *, missing_at_random: bool = False
) -> pl.DataFrame:
    """Read a filled sheet, and check that it still has every row that was drawn.

    Args:
        sheet: A file, as for `affectlib.analysis.read_labels`, or a frame.
        missing_at_random: Whether rows that are gone, or have no answer, are a random part of those
            drawn. The answered rows of a stratum then stand for its others too. They are not such a
            part if, for example, hard ones were left out.

    Returns:
        The sheet, for `affectlib.analysis.prevalence` and the other functions.

    Raises:
        TableError: Rows are gone, or the sheet cannot be read, or has no answers.
        FileNotFoundError: There is no such file.

    Example:
        >>> from affectlib.analysis import read_gold, sample
        >>> from tools.simulate import simulate
        >>> sheet = sample(simulate(200).conversations, 100).with_columns(gold=pl.lit("task"))
        >>> weights = read_gold(sheet.head(60), missing_at_random=True)["weight"]
        >>> round(weights.sum()) == len(simulate(200).conversations)
        True
    """
    rows = read_labels(sheet) if isinstance(sheet, str | os.PathLike) else sheet
    given = _frames.table(rows, "gold").require(["gold"])
    if missing_at_random:
        answered = _answer("gold").is_in(_OPEN).not_().fill_null(False)
        return complete_at_random(given.collect(), answered, "gold")
    return whole_sheet(given)


def _answer(column: str) -> pl.Expr:
    return pl.col(column).cast(pl.String).str.strip_chars().str.to_lowercase()


def whole_sheet(sheet: Table) -> pl.DataFrame:
    """Return a sheet in memory, if it still has every row that was drawn."""
    rows = sheet.collect()
    require_whole(rows, row_columns(rows.columns), sheet.name)
    return rows


def gold_flags(sheet: Table, column: str = "gold") -> pl.LazyFrame:
    """Return a sheet with its answers as flags, without the rows that have none.

    An answer is ``emotional`` or ``task`` (or yes/no, oui/non, true/false, 1/0); empty, ``unsure``,
    ``?`` and ``NA`` are none.
    """
    sheet.require([column])
    if models := model_annotators(sheet):
        _frames.warn(
            f"{sheet.name}: answers are from {' and '.join(models)}, not from people; compare them "
            "with a sheet that a person filled in (affectlib evaluate --agreement)"
        )
    answers = _answer(column)
    found = sheet.rows.select(answers.unique()).collect()[column].drop_nulls().to_list()
    unknown = [answer for answer in found if answer not in (*_ANSWERS, *_OPEN)]
    if unknown:
        hint = " (a charge of 2 or 3 is emotional, 0 or 1 task)" if {*_HIGH} & {*unknown} else ""
        row = sheet.rows.select(answers.is_in(unknown).arg_true().first()).collect().item()
        raise TableError(
            f"{sheet.name}, {column}: {len(unknown)} unknown answers, the first in row {row} "
            f"(from 0); use {EMOTIONAL}, {TASK}, or leave it empty{hint}"
        )
    if {*_ONE} & {*found}:
        _frames.warn(
            f"{sheet.name}, {column}: 1 is read as {EMOTIONAL} and 0 as {TASK}; if these are "
            f"{_CHARGES}, write labels instead"
        )
    flags = answers.replace_strict(_ANSWERS, default=None, return_dtype=pl.Boolean)
    known = sheet.rows.with_columns(flags.alias(column))
    rows, answered = known.select(pl.len(), pl.col(column).count()).collect().row(0)
    if not answered:
        raise TableError(f"{sheet.name}, {column}: no row has an answer yet")
    if answered < rows:
        _frames.warn(
            f"{sheet.name}: {rows - answered:,} of {rows:,} rows have no answer and are left out"
        )
    return known.filter(pl.col(column).is_not_null())


def model_annotators(sheet: Table) -> list[str]:
    """Return the language models that answered, and their prompts, in words."""
    found = annotating_models(sheet)
    return [f"the model {name}" + (f" with prompt {said}" if said else "") for name, said in found]


def annotating_models(sheet: Table) -> list[tuple[str, str | None]]:
    """Return the language models that answered, each with its prompt if known."""
    if "annotator" not in sheet.columns:
        return []
    found = sheet.rows.select(answered_by(sheet).str.split(PARTED).explode()).unique().collect()
    models = sorted(name for name in found.to_series() if name.startswith(MODEL_PREFIX))
    parts = [name.removeprefix(MODEL_PREFIX).partition(_PROMPT) for name in models]
    return [(model, prompt or None) for model, _, prompt in parts]


def answered_by(sheet: Table) -> pl.Expr:
    """Return who answered each row: a person, or a language model with its prompt."""
    if "annotator" not in sheet.columns:
        return pl.lit(_PERSON).alias("annotator")
    name = pl.col("annotator").cast(pl.String).fill_null(_PERSON)
    if "prompt" not in sheet.columns:
        return name
    prompt = pl.lit(_PROMPT) + pl.col("prompt").cast(pl.String)
    return name + pl.when(name.str.starts_with(MODEL_PREFIX)).then(prompt).fill_null("")


def people_answered(sheet: Table) -> bool:
    """Tell whether any answer of a sheet is from a person."""
    answered = sheet.require(["gold"]).rows.filter(pl.col("gold").is_not_null())
    names = answered.select(answered_by(sheet).str.split(PARTED).explode()).collect().to_series()
    return not names.str.starts_with(MODEL_PREFIX).all()


def id_columns(shared: Collection[str]) -> list[str]:
    """Return which columns that two frames share tell conversations apart."""
    return [name for name in reversed(_frames.KEYS) if name in shared] or ["conversation_id"]


def row_columns(shared: Collection[str]) -> list[str]:
    """Return which columns that two frames share tell rows apart."""
    return [*id_columns(shared), *(["message"] if "message" in shared else [])]


def key_columns(sheet: Table, names: Sequence[str]) -> list[pl.Expr]:
    """Return the columns that tell rows apart, in the types of those of labels."""
    kinds = sheet.require(names).rows.collect_schema()
    return [
        _frames.as_text(name, kinds[name])
        if name == "conversation_id"
        else pl.col(name).cast(pl.Int64)
        for name in names
    ]


def gold_rows(labels: Labels, frame: AnyFrame) -> pl.DataFrame:
    """Return the rows that gold labels belong to, with ``gold`` (boolean) and ``weight``.

    Where several people (``annotator``) answered a row, the majority counts.
    """
    sheet = _frames.table(frame, "gold")
    if labels.level == "conversation" and "message" in sheet.columns:
        raise TableError(
            "gold: these are hand labels of messages (there is a column 'message'), but "
            f"{labels.name} are of conversations; give the labels of messages that the sample was "
            "drawn from, or a sheet of conversations"
        )
    key = _join_key(labels, sheet.require(["gold"]))
    weight = pl.col("weight").cast(pl.Float64, strict=False)
    if "weight" not in sheet.columns:
        weight = pl.lit(1.0)
        _frames.warn(
            f"{sheet.name}: there is no column 'weight', so the rows are taken as an even draw; "
            "if it was uneven, as with affectlib sample, give the sheet with its weights"
        )
    columns = [*key_columns(sheet, key), "gold", weight.alias("weight"), _ROW]
    columns += [name for name in ("annotator",) if name in sheet.columns]
    numbered = sheet.rows.drop(_ROW, strict=False).with_row_index(_ROW)
    drawn = sheet.rows.collect()
    require_whole(drawn, key, sheet.name)
    gold = gold_flags(replace(sheet, rows=numbered)).select(columns).collect()
    sound = gold["weight"].is_between(0, math.inf, closed="none").fill_null(value=False)
    if not sound.all():
        raise TableError(
            f"gold, weight: every weight must be a number above 0; row "
            f"{gold[_ROW][sound.arg_min() or 0]} (from 0) has none"
        )
    gold = _one_of_each(gold, key)
    joined = (
        labels.rows.drop("gold", "weight", strict=False)
        .join(gold.lazy(), on=key, how="inner", nulls_equal=True, maintain_order="right")
        .collect()
    )
    _frames.refuse_alike(joined, key, labels.name, "gold labels cannot be joined")
    if strangers := len(gold) - len(joined):
        apart = gold.join(joined, on=key, how="anti", nulls_equal=True, maintain_order="left")
        row = apart.row(0, named=True)
        place = ", ".join(f"{name} {row[name]}" for name in key)
        raise TableError(
            f"gold: {strangers:,} of {len(gold):,} rows belong to no row of the labels, the first "
            f"is {place}; give the labels that the sample was drawn from"
        )
    _warn_of_other_rows(drawn, labels)
    return joined


def gold_themes(labels: Labels, frame: AnyFrame) -> pl.DataFrame:
    """Return the rows of `gold_rows` that are labelled emotional, with ``themes`` as lists.

    These are empty for tasks. Where several people answered, the themes that at least half of them
    named count. Charged rows with an answer weigh as much as all charged rows.
    """
    sheet = _frames.table(frame, "gold").require(["themes"])
    found = gold_rows(labels, frame)
    key = _join_key(labels, sheet)
    named = sheet.rows.select(*key_columns(sheet, key), theme_names()).collect()
    if unknown := {*named["themes"].explode().drop_nulls()} - {*THEMES, NO_THEME}:
        raise TableError(
            f"gold, themes: {len(unknown)} unknown names; use {', '.join(THEMES)}, or {NO_THEME}"
        )
    joined = found.drop("themes", strict=False).join(
        most_named(named, key), on=key, how="left", nulls_equal=True, maintain_order="left"
    )
    called = joined.filter("charged")
    task, charged = called.filter(~pl.col("gold")), called.filter("gold")
    answered = charged.filter(pl.col("themes").is_not_null())
    if len(charged) and answered.is_empty():
        raise Unanswered(f"{sheet.name}, themes: no row labelled {EMOTIONAL} has an answer yet")
    if len(answered) < len(charged):
        _frames.warn(
            f"{sheet.name}, themes: {len(charged) - len(answered):,} of {len(charged):,} charged "
            "rows have no answer, and are taken to be like the others",
            level=4,
        )
        more = charged["weight"].to_numpy().sum() / answered["weight"].to_numpy().sum()
        answered = answered.with_columns(weight=pl.col("weight") * more)
    none = pl.lit([], dtype=pl.List(pl.String))
    return pl.concat([answered, task.with_columns(themes=none)])


class Unanswered(TableError):
    """A sheet names no themes in any row labelled emotional."""


def theme_names() -> pl.Expr:
    """Return the themes that each row names, between commas, semicolons or spaces, as a list."""
    text = pl.col("themes").cast(pl.String).str.to_lowercase()
    return text.str.extract_all(r"[^\s,;]+").list.unique(maintain_order=True)


def most_named(named: pl.DataFrame, key: Sequence[str]) -> pl.DataFrame:
    """Return the themes that at least half of those who named any named, by key."""
    each = named.filter(pl.col("themes").list.len() > 0)
    each = each.with_columns(answers=pl.len().over(key)).explode("themes")
    return (
        each.group_by([*key, "themes"], maintain_order=True)
        .agg(pl.len().alias("votes"), pl.col("answers").first())
        .group_by(key, maintain_order=True)
        .agg(pl.col("themes").filter(pl.col("votes") * 2 >= pl.col("answers")))
    )


def _warn_of_other_rows(sheet: pl.DataFrame, labels: Labels) -> None:
    """Warn if a sheet was drawn from more or fewer rows than there are."""
    drawn_from = {*rows_drawn_from(sheet, "gold")}
    rows = labels.rows.select(pl.len()).collect(engine="streaming").item() if drawn_from else 0
    if other := drawn_from - {rows}:
        _frames.warn(
            f"gold: the sheet was drawn from {min(other):,} rows, but {labels.name} have {rows:,}; "
            "its weights hold only for the rows that it was drawn from: give those, or draw "
            "another sheet",
            level=4,
        )


def _join_key(labels: Labels, sheet: Table) -> list[str]:
    """Return the columns that join a sheet to labels."""
    key = id_columns({*labels.columns} & {*sheet.columns})
    key += ["message"] if labels.level == "message" else []
    sheet.require(key)
    labels.require(key)
    return key


def _one_of_each(gold: pl.DataFrame, key: Sequence[str]) -> pl.DataFrame:
    """Return one answer for each key, the majority's; rows with tied votes are left out."""
    if not _frames.alike(gold, key):
        return gold.drop("annotator", _ROW, strict=False)
    by_hand = [*key, *(["annotator"] if "annotator" in gold.columns else [])]
    twice = gold.filter(pl.struct(by_hand).is_duplicated())
    if len(twice):
        same = twice.join(twice.head(1), on=by_hand, how="semi", nulls_equal=True)
        first, second, *_ = same[_ROW].sort()
        raise TableError(
            f"gold: rows with the same {' and '.join(key)}, such as {first} and {second} (from 0); "
            "keep one of each, or say in a column 'annotator' who gave which"
        )
    voted = gold.group_by(key, maintain_order=True).agg(
        pl.col("gold").mean().alias("share"), pl.col("weight").first()
    )
    decided = voted.filter(pl.col("share") != 0.5)
    if decided.is_empty():
        raise TableError(
            "gold: every row has as many answers of one kind as of the other; let another person "
            "decide"
        )
    if len(decided) < len(voted):
        _frames.warn(
            f"gold: {len(voted) - len(decided):,} of {len(voted):,} rows have as many answers of "
            "one kind as of the other and are left out; let another person decide",
            level=4,
        )
    return decided.select(*key, gold=pl.col("share") > 0.5, weight="weight")
