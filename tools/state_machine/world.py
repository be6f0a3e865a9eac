"""Transcripts with a known truth, a stand-in for the model, labels and sheets."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from scipy.special import expit
from scipy.stats import norm

from affectlib import ConversationPrediction, MessagePrediction
from affectlib.analysis._provenance import known_origin
from affectlib.model.artifacts import FORMAT, Artifact, load_artifact, with_digest
from affectlib.model.calibration import reproducible, sigmoid
from affectlib.model.text import TEXT_RULES
from affectlib.model.windows import WindowSettings

CHATS, USERS, SHARD = 160, 32, 32
TASKS, CHARGED = norm(-2, 1), norm(1, 1)
"""The logits that the stand-in gives."""
THRESHOLDS = {"balanced": -0.2, "high_precision": 0.6, "high_recall": -1.0}
PARTS = {"all": slice(None), "first": slice(0, 100), "second": slice(60, None)}
KINDS = ("polars", "lazy", "pandas", "arrow", ".parquet", ".csv", ".jsonl")


@dataclass(frozen=True)
class World:
    """Transcripts with a known truth, and a model that is right about itself.

    Attributes:
        folder: Where both are.
        truth: Whether each chat is emotional, by its id.
        logit: What the stand-in gives it.
        model: The stand-in's artifact.
    """

    folder: Path
    truth: dict[str, bool]
    logit: dict[str, float]
    model: Artifact

    @classmethod
    def build(cls, folder: Path) -> World:
        rng = np.random.default_rng(0)
        user = rng.integers(USERS, size=CHATS)
        share = np.where(user % 2, 0.2, 0.4)
        truth = rng.random(CHATS) < share
        logit = np.where(truth, CHARGED.rvs(CHATS, rng), TASKS.rvs(CHATS, rng)).round(4)
        chats = [
            {
                "id": f"c{place}",
                "user_id": f"u{user[place]}",
                "language": ("en", "fr")[user[place] % 2],
                "timestamp": f"2025-03-{1 + place % 28:02}T09:00:00Z",
                "messages": [{"role": "user", "content": str(logit[place])}],
            }
            for place in range(CHATS)
        ]
        for name, part in PARTS.items():
            lines = [json.dumps(chat) for chat in chats[part]]
            (folder / f"{name}.jsonl").write_text("\n".join(lines), encoding="utf-8")
        ids = [str(chat["id"]) for chat in chats]
        return cls(
            folder,
            dict(zip(ids, truth.tolist(), strict=True)),
            dict(zip(ids, logit.tolist(), strict=True)),
            cls.make_model(folder / "stand-in"),
        )

    @staticmethod
    def make_model(folder: Path) -> Artifact:
        folder.mkdir()
        (folder / "tokenizer.json").write_text("{}", encoding="utf-8")
        points, measured = {}, {}
        for name, logit in THRESHOLDS.items():
            recall, specificity = float(CHARGED.sf(logit)), float(TASKS.cdf(logit))
            points[name] = dict.fromkeys(("message", "conversation"), float(expit(logit)))
            points[name] |= {"sensitivity": recall, "specificity": specificity}
            counts = {
                "true_positives": 400 * recall,
                "false_negatives": 400 * (1 - recall),
                "true_negatives": 1600 * specificity,
                "false_positives": 1600 * (1 - specificity),
            }
            measured[name] = {"conversation": counts}
        values = {
            "format": FORMAT,
            "name": "stand-in",
            "version": "1",
            "languages": ["en"],
            "base_model": "none",
            "outputs": ["emotional"],
            "text_rules": TEXT_RULES,
            "windows": {name: getattr(WindowSettings(), name) for name in WindowSettings.__slots__},
            "conversation": {"log_windows": 0.0},
            "messages": {},
            "prevalence": 0.3,
            "operating_points": points,
            "measured": measured,
            "files": {"tokenizer.json": sha256(b"{}").hexdigest()},
        }
        (folder / "affect.json").write_text(json.dumps(with_digest(values)), encoding="utf-8")
        return load_artifact(folder)


def conversation_probability(artifact: Artifact, logit: float) -> float:
    """Return P(emotional) that the stand-in gives to a conversation."""
    return reproducible(artifact.recalibration.probability(sigmoid(logit)))


class StandIn:
    """Labels by the logit that is the text of a conversation."""

    device, engine, windows_run, screen = "cpu", "stand-in", 0, False

    def __init__(self, artifact: Artifact, operating_point: str) -> None:
        self.artifact, self.operating_point = artifact, operating_point

    def stream(self, chats: Iterable[Any], **_: Any) -> Iterator[ConversationPrediction]:
        least = self.artifact.operating_point(self.operating_point).conversation
        for chat in chats:
            logit = float(chat.messages[0].content)
            given = conversation_probability(self.artifact, logit)
            label = "emotional" if given >= least else "task"
            turn = MessagePrediction(0, "user", label, given, {}, threshold=least)
            flag = label == "emotional"
            yield ConversationPrediction(
                chat.id, label, given, (turn,), {}, flag, float(flag), float(flag)
            )


@dataclass(frozen=True, repr=False)
class Table:
    """Labels, and beside each row where it came from.

    Attributes:
        rows: What the library is given.
        past: ``record, chat, origin, label`` as they were when labelled, and whether the row has
            lost its provenance.
    """

    rows: pl.DataFrame
    past: pl.DataFrame

    def take(self, chosen: Any) -> Table:
        return Table(self.rows[chosen], self.past[chosen])

    @cached_property
    def origins(self) -> set[str]:
        """The models and operating points that the rows name; none if the column is gone."""
        if "provenance" not in self.rows.columns:
            return set()
        named = pl.when("lost").then(pl.lit("")).otherwise("origin")
        return {*self.past.select(named.alias("origin"))["origin"]}

    @property
    def faults(self) -> set[str]:
        """Why no figure may be given."""
        columns, found = self.rows.columns, set()
        if "label" not in columns:
            return {"no labels"}
        if self.past["chat"].is_duplicated().any():
            found.add("copies")
        if len(self.origins) > 1:
            found.add("mixture")
        if self.has_thresholds and "probability" in columns and self.recomputed:
            found.add("recomputed")
        return found

    @property
    def has_thresholds(self) -> bool:
        """Whether the library knows what labels must follow from, as it has read a Parquet file."""
        codes = self.rows["provenance"] if "provenance" in self.rows.columns else []
        return any(known_origin(code).thresholds for code in {*codes} - {None})

    @cached_property
    def recomputed(self) -> bool:
        return "label" in self.rows.columns and bool(
            (self.rows["label"] != self.past["label"]).any()
        )

    @cached_property
    def chats(self) -> set[tuple[int, str]]:
        return {*self.past.select("record", "chat").iter_rows()}

    def __repr__(self) -> str:
        return f"<{len(self.rows)} rows of {sorted(self.origins)} {sorted(self.faults)}>"


@dataclass(frozen=True, repr=False)
class Sheet:
    """A sheet, and what was done to it.

    Attributes:
        rows: What the library is given.
        table: The labels that it was drawn from.
        drawn_from: The record and id of each row that could be drawn.
        drawn: The id and design of each row that was drawn; none if the design is gone.
        chosen: Whether rows that are gone were chosen by their answer.
        complete: Whether each row that could be drawn is there, with its answer.
    """

    rows: pl.DataFrame
    table: Table
    drawn_from: frozenset[tuple[int, str]]
    drawn: frozenset[tuple[str, str]] = frozenset()
    chosen: bool = False
    complete: bool = False

    @property
    def answered(self) -> pl.DataFrame:
        """The rows that have an answer."""
        return self.rows.filter(pl.col("gold").is_not_null())

    @cached_property
    def wrong(self) -> set[str]:
        """Why it must be refused."""
        found = set() if len(self.answered) else {"empty"}
        if self.answered["conversation_id"].is_duplicated().any():
            found.add("rows twice")
        if self.drawn:
            here = {*self.rows.select("conversation_id", "design").iter_rows()}
            draws = {design.split()[0] for _, design in here}
            # Of a draw that is gone as a whole, nothing is left to tell.
            if any(design.split()[0] in draws for _, design in self.drawn - here):
                found.add("chosen rows gone" if self.chosen else "random rows gone")
        return found

    def __repr__(self) -> str:
        return f"<{len(self.rows)} of {len(self.drawn_from)} rows {sorted(self.wrong)}>"


def in_kind(rows: pl.DataFrame, kind: str, file: Path, read: Callable[..., Any]) -> Any:
    """Return rows as a kind of frame, or read from a file that gets this suffix."""
    if kind == "polars":
        return rows
    if kind == "lazy":
        return rows.lazy()
    if kind == "pandas":
        return rows.to_pandas()
    if kind == "arrow":
        return rows.to_arrow()
    file = file.with_suffix(kind)
    write = {".parquet": rows.write_parquet, ".csv": rows.write_csv, ".jsonl": rows.write_ndjson}
    write[kind](file)
    return read(file)
