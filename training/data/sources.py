"""Where training and evaluation data come from, what each may be used for, and its labels.

Our own corpus and annotations lie in `training/data`. Public sets are listed in
`training/data/sources.jsonl` with repository, commit, licence and the SHA-256 of the file that is
used; they are read from the folder that ``--data`` names (`training/data/README.md` says how to
get them). Rows of all of them become labelled conversations here.
"""

from __future__ import annotations

import gzip
import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any

from pydantic.dataclasses import dataclass

from affectlib.conversation import Conversation, parse_conversation
from affectlib.finetuning.labelled import Charge, LabelledConversation
from affectlib.model.artifacts import sha256
from affectlib.taxonomy import CUES

DATA = Path(__file__).parent
DEV_LABELS = ("real_dev_labels.jsonl", "study_labels.jsonl")
"""Our labels of the dev transcripts of real people, by which thresholds are chosen."""
LANGUAGES = ("en", "fr")
"""What models are made for; rows of public sets in other languages are left out."""
HELD_OUT_TENTH = ("multidogo", "sgd", "taskmaster4")
"""Service dialogues of which a tenth measures how often such are flagged."""

_sha256_once = cache(sha256)
_CODES = {cue.code: cue.name for cue in CUES.values()}


@dataclass(frozen=True, slots=True)
class Source:
    """A line of the manifest, as `training/data/README.md` describes it."""

    name: str
    use: str
    repository: str
    commit: str
    licence: str
    languages: tuple[str, ...]
    file: str
    sha256: str
    conversations: int
    shared_file: bool = False
    left_out: tuple[str, ...] = ()
    native_labels: str = ""
    notes: str = ""


@cache
def load_manifest() -> Mapping[str, Source]:
    """Return the sources that are not in the repository, by name."""
    return MappingProxyType({row["name"]: Source(**row) for row in read_rows("sources.jsonl")})


def find_source(name: str) -> Source:
    """Return the source of a name; a `ValueError` names those that there are."""
    try:
        return load_manifest()[name]
    except KeyError:
        known = ", ".join(load_manifest())
        raise ValueError(f"unknown source {name!r}; there are {known}") from None


def require_training(name: str) -> None:
    """Raise a `ValueError` that names other sources if one may not be used for training."""
    source = find_source(name)
    if source.use != "train":
        known = ", ".join(s.name for s in load_manifest().values() if s.use == "train")
        raise ValueError(
            f"source {name!r} is for {source.use}, it may not be used for training; "
            f"those that may are {known}"
        )


def read_source(name: str, data: Path | None) -> Iterator[dict[str, Any]]:
    """Check that the file of a source is the one we know, and return its rows one by one."""
    source = find_source(name)
    if data is None:
        raise FileNotFoundError(
            f"source {name!r} is not in the repository: give --data DIR, a folder that holds "
            f"{source.file} (training/data/README.md says how to get it)"
        )
    path = data / source.file
    if not path.is_file():
        raise FileNotFoundError(
            f"{path}: no such file; --data DIR must be a folder that holds {source.file}, made "
            f"from {source.repository} at {source.commit} (training/data/README.md says how)"
        )
    found = _sha256_once(path)
    if found != source.sha256:
        raise ValueError(
            f"{path}: not the file that the manifest lists (SHA-256 {found}, expected "
            f"{source.sha256}); get it again, or, if you made it yourself and mean to use it, "
            "put its SHA-256 into training/data/sources.jsonl"
        )
    rows = (row for row in read_rows(path) if row["id"] not in source.left_out)
    return (row for row in rows if not source.shared_file or row["source"] == name)


@cache
def read_corpus(split: str | None = None) -> tuple[dict[str, Any], ...]:
    """Return the rows of a split of our own corpus, or of all."""
    if split is not None:
        rows = tuple(row for row in read_corpus() if row["split"] == split)
        if not rows:
            splits = sorted({row["split"] for row in read_corpus()})
            raise ValueError(f"the corpus has no split {split!r}; it has {', '.join(splits)}")
        return rows
    rows = tuple(read_rows("corpus.jsonl"))
    for row in rows:
        if row["pair"]:  # named within its part of the corpus in the file
            row["pair"] = f"{corpus_part(row['id'])}:{row['pair']}"
    return rows


def corpus_part(conversation_id: str) -> str:
    """Return the part of the corpus that a conversation belongs to: the beginning of its id."""
    return conversation_id.split("-")[0]


def is_held_out(source: str, conversation_id: str) -> bool:
    """Whether a conversation of a service set is kept for measuring, one in ten by its id."""
    digest = hashlib.sha256(conversation_id.encode()).digest()
    return source in HELD_OUT_TENTH and digest[0] % 10 == 0


def read_dev_labels() -> dict[str, dict[str, Any]]:
    """Return our labels of the dev transcripts of real people, by id."""
    return {row["id"]: row["labels"] for file in DEV_LABELS for row in read_rows(file)}


def read_small_talk(data: Path | None) -> list[dict[str, Any]]:
    """Return the small talk that is never trained on: real chats of people, with our labels."""
    labels = {row["id"]: row for row in read_rows("small_talk_labels.jsonl")}
    (name,) = {row["source"] for row in labels.values()}
    rows = read_source(name, data)
    return [{**row, "labels": labels[row["id"]]["labels"]} for row in rows if row["id"] in labels]


def read_rows(file: str | Path) -> Iterator[dict[str, Any]]:
    """Yield the rows of a file of JSON lines; text names one of our own in `training/data`."""
    path = DATA / file if isinstance(file, str) else file
    opener = gzip.open if path.suffix == ".gz" else open
    with opener(path, "rt", encoding="utf-8") as lines:
        for line in lines:
            yield json.loads(line)


def in_languages(row: Mapping[str, Any]) -> bool:
    """Tell whether a row is in one of the `LANGUAGES`; one that does not say is."""
    return row.get("lang", LANGUAGES[0]) in LANGUAGES


def from_gold(row: Mapping[str, Any], source: str) -> LabelledConversation:
    """Turn an annotated row into a labelled conversation; see `training/data/README.md`."""
    conversation = parse_conversation(said_by_user(row["messages"]), id=row["id"])
    labels = row["labels"]
    user = [i for i, m in enumerate(conversation.messages) if m.role == "user"]
    return LabelledConversation(
        conversation,
        source,
        charge=labels["charge"],
        charges=dict(zip(user, _charges(labels, len(user)), strict=True)),
        cues=frozenset(_CODES[code] for code in labels["cues"]),
        turn_cues=_turn_cues(conversation, user, labels.get("turn_cues")),
        themes=frozenset(labels["themes"]) if "themes" in labels else None,
        row={key: value for key, value in row.items() if key != "messages"},
    )


def _charges(labels: Mapping[str, Any], turns: int) -> list[Charge]:
    """Return the charge of each user turn, as far as it is known."""
    if "charges" in labels:
        given = (labels["charges"].get(str(turn), 0) for turn in range(1, turns + 1))
        return [(c, c) if isinstance(c, int) else (c[0], c[1]) for c in given]
    charge, charged = labels["charge"], labels["turns"]
    least = 3 if charge == 3 and len(charged) == 1 else 2
    calm = 1 if charge == 1 and turns == 1 else 0, min(1, charge)
    return [(least, charge) if turn in charged else calm for turn in range(1, turns + 1)]


def _turn_cues(
    conversation: Conversation, user: Sequence[int], codes: Mapping[str, Sequence[str]] | None
) -> dict[int, frozenset[str]] | None:
    """Return the cues of each message, from their codes by the number of the user's turn.

    A turn's assistant cues are those of the answer, the messages up to the user's next one.
    """
    if codes is None:
        return None
    ends = [*user[1:], len(conversation.messages)]
    cues: dict[int, frozenset[str]] = {}
    for turn, of_turn in codes.items():
        names = {_CODES[code] for code in of_turn}
        start, end = user[int(turn) - 1], ends[int(turn) - 1]
        for index in range(start, end):
            role = conversation.messages[index].role
            cues[index] = frozenset(n for n in names if CUES[n].unit == role)
    return cues


def said_by_user(messages: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return messages with the user as the speaker of those that are of neither role."""
    return [
        {"role": "user" if m["role"] == "other" else m["role"], "content": m["content"]}
        for m in messages
        if isinstance(m.get("content"), str)
    ]


def from_silver(row: Mapping[str, Any], source: str) -> LabelledConversation:
    """Take a row of a public set for a task: no message of it is charged or shows a cue."""
    conversation = parse_conversation(said_by_user(row["messages"]), id=str(row["id"]))
    return LabelledConversation(
        conversation,
        source,
        charge=0,
        charges={i: (0, 0) for i, m in enumerate(conversation.messages) if m.role == "user"},
        cues=frozenset(),
        row={key: row[key] for key in ("lang", "writer") if key in row},
    )


def from_twin(row: Mapping[str, Any], twin: Mapping[str, Any]) -> LabelledConversation:
    """Put what a twin says otherwise into a real chat; only the altered messages have targets.

    Of a line of ``twins.jsonl``, ``changed`` has the new text of user turns by their number,
    ``charges`` their charge, and ``labels`` those of the altered chat.
    """
    messages = said_by_user(row["messages"])
    user = [i for i, m in enumerate(messages) if m["role"] == "user"]
    changed = {user[int(turn) - 1]: text for turn, text in twin["changed"].items()}
    for index, text in changed.items():
        messages[index] = {**messages[index], "content": text}
    labels = {**twin["labels"], "charges": twin["charges"], "decoy": None}
    about = {"id": twin["id"], "messages": messages, "labels": labels, "pair": twin["of"]}
    labelled = from_gold({**row, **about}, "twins")
    return replace(labelled, charges={i: c for i, c in labelled.charges.items() if i in changed})
