"""Transcript text leaves no trace: a canary in the input is found in nothing that is written."""

from __future__ import annotations

import io
import json
import logging
import os
import subprocess
import sys
import traceback
import warnings
import zipfile
from collections.abc import Sequence
from pathlib import Path

import pytest

from affectlib.classifier import AffectClassifier
from affectlib.errors import AffectlibError
from affectlib.formats import FORMATS, ReadOptions, ReadReport, read_conversations
from affectlib.tables import label_table
from tests.transcript_files import chat, lines, write

CANARY = "zqcanaryqz"
SAID = f"i am so alone {CANARY}"
ROOT = Path(__file__).parents[1]

GOOD = [
    chat(SAID, f"sorry {CANARY}", id="good", title=CANARY, metadata={"note": CANARY}),
    chat(SAID, id="named", user_name=CANARY, system=CANARY),
    chat(SAID, CANARY, SAID, CANARY, SAID, id="long"),
    {"id": "blocks", "messages": [{"role": "user", "content": [{"type": "text", "text": SAID}]}]},
    {
        "id": "tools",
        "messages": [
            {"role": "system", "content": CANARY},
            {"role": "tool", "content": CANARY, "name": CANARY},
            {"role": "user", "content": SAID, "name": CANARY},
        ],
    },
]
BAD = {
    "role": {"id": "b1", "messages": [{"role": SAID, "content": "x"}]},
    "short role": {"id": "b1", "messages": [{"role": CANARY, "content": SAID}]},
    "no role": {"id": "b2", "messages": [{"content": SAID}]},
    "number": {"id": "b3", "messages": [{"role": "user", "content": 7, "text": SAID}]},
    "text": {"id": "b4", "messages": SAID},
    "messages of text": {"id": "b5", "messages": [SAID]},
    "messages of lists": {"id": "b6", "messages": [[SAID]]},
    "a key": {"id": "b7", "messages": [{SAID: SAID}]},
    "a mapping": {"id": "b8", "messages": {SAID: SAID}},
    "blocks": {"id": "b9", "messages": [{"role": "user", "content": [[SAID]]}]},
    "no user": {"id": "b10", "messages": [{"role": "assistant", "content": SAID}]},
    "time": {
        "id": "b11",
        "messages": [{"role": "user", "content": SAID, "timestamp": SAID}],
    },
    "text alone": SAID,
    "list alone": [SAID],
}
BROKEN = [
    f'{{"id": "c1", "messages": [{{"role": "user", "content": "{SAID}',
    f'{{"id": "c2", "messages": "{SAID}" "{SAID}"}}',
    f'{{"id": "c3", {SAID}: 1}}',
    SAID,
    f'{{"id": "c4", "messages": [{{"role": "user", "content": "{SAID}\x07"}}]}}',
]


def everything_wrong() -> str:
    return lines(*GOOD, *BAD.values()) + "".join(f"{line}\n" for line in BROKEN)


def find(folder: Path) -> list[str]:
    """Return the files under a folder whose name or content, unpacked, holds the canary."""
    found = []
    for file in folder.rglob("*"):
        content = file.read_bytes() if file.is_file() else b""
        if file.suffix == ".parquet":
            import pyarrow.parquet as pq

            table = pq.read_table(file)
            content += repr((table.to_pylist(), table.schema.metadata)).encode()
        if CANARY in file.name or CANARY.encode() in content:
            found.append(str(file.relative_to(folder)))
    return found


@pytest.fixture
def places(tmp_path: Path) -> dict[str, Path]:
    """The input apart, and every other place that a run may write to."""
    made = {name: tmp_path / name for name in ("in", "written", "work")}
    for folder in made.values():
        folder.mkdir()
    for name in ("home", "tmp", "hf", "cache"):
        (made["written"] / name).mkdir()
    return made


def run(places: dict[str, Path], *commands: Sequence[object]) -> str:
    """Run commands in a process of their own, and return all that they printed."""
    written = places["written"]
    homes = {"HOME": "home", "TMPDIR": "tmp", "HF_HOME": "hf", "XDG_CACHE_HOME": "cache"}
    code = (
        "import json, sys; from affectlib.cli import main;"
        "print([main(command) for command in json.loads(sys.argv[1])])"
    )
    arguments = json.dumps([[*map(str, command)] for command in commands])
    done = subprocess.run(
        [sys.executable, "-X", "dev", "-c", code, arguments],
        cwd=written,
        env={
            **os.environ,
            **{name: str(written / folder) for name, folder in homes.items()},
            "PYTHONPATH": str(ROOT),
            "HF_HUB_OFFLINE": "1",
        },
        capture_output=True,
        text=True,
        errors="replace",
    )
    assert done.returncode == 0, done.stderr.replace(CANARY, "CANARY")
    return done.stdout + done.stderr


@pytest.mark.slow
def test_what_the_commands_write_and_print(places: dict[str, Path], tiny_folder: Path) -> None:
    src = write(places["in"], everything_wrong(), "chats.jsonl")
    written = places["written"]
    model = ("--model", tiny_folder, "--device", "cpu")
    outputs: list[tuple[str, str, Sequence[str]]] = [
        (".parquet", "both", ("--summary", "summary.json")),
        (".jsonl", "message", ()),
        (".csv", "both", ()),
        ("", "both", ("--to", "jsonl")),
        ("-raised.csv", "conversation", ("--on-error", "raise")),
    ]
    printed = run(
        places,
        *(
            ("label", src, "-o", f"out{suffix}", "--level", level, *model, *more)
            for suffix, level, more in outputs
        ),
        ("label", src, "-o", "-", "--level", "message", *model),
        ("info", src),
        ("info", src, "--json"),
        ("predict", SAID, *model),
        ("predict", SAID, "--json", *model),
        ("sample", "out.parquet", "-o", "sheet.csv"),
        ("prevalence", "out.parquet"),
        ("report", "out.parquet", "--messages", "out.messages.parquet", "-o", "r.html"),
    )
    assert CANARY not in printed
    assert find(written) == []
    assert "[1, 1, 1, 1, 2, 1, " in printed
    assert (written / "r.html").exists()
    assert "error" in (written / "out.jsonl").read_text()


def test_what_was_asked_for_holds_it(places: dict[str, Path], tiny_folder: Path) -> None:
    """The canary is found where text is documented to be, so the search above can find it."""
    src = write(places["in"], lines(*GOOD), "chats.jsonl")
    run(
        places,
        ("label", src, "-o", "out.parquet", "--model", tiny_folder, "--device", "cpu"),
        ("sample", "out.parquet", "--transcripts", src, "-o", "sheet.csv"),
        ("info", src, "-o", "converted.jsonl"),
    )
    assert {*find(places["written"])} == {"sheet.html", "converted.jsonl"}
    shown = run(places, ("info", src, "--preview", "1"))
    assert CANARY in shown
    assert CANARY in run(places, ("predict", SAID, "--explain", "--model", tiny_folder))


def said_of(error: BaseException) -> str:
    return "".join(traceback.format_exception_only(error)) + repr(error) + str(vars(error))


@pytest.mark.parametrize("name", BAD)
def test_what_errors_and_logs_say(
    name: str, tiny_classifier: AffectClassifier, caplog: pytest.LogCaptureFixture
) -> None:
    record = BAD[name]
    messages = record["messages"] if isinstance(record, dict) else record
    caplog.set_level(logging.DEBUG)
    said = []
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for call in (
            lambda: tiny_classifier.predict(messages),
            lambda: tiny_classifier.predict([messages, messages]),
            lambda: tiny_classifier.explain(messages),
            lambda: list(tiny_classifier.stream([messages])),
            lambda: [
                repr(outcome) for outcome in tiny_classifier.stream([messages], on_error="record")
            ],
            lambda: label_table({"messages": [messages]}, classifier=tiny_classifier),
        ):
            try:
                result = call()
            except AffectlibError as error:
                said.append(said_of(error))
            else:
                said.append(repr(result))
    said += [str(warning.message) for warning in caught]
    said += [record.getMessage() for record in caplog.records]
    assert said
    assert [text for text in said if CANARY in text] == []


def documents(format: str) -> list[bytes]:
    """Return input of every kind that may be taken for a format, all of it unfit or odd."""
    table = f"conversation_id,role,content\n1,{CANARY},{SAID}\n2,user\n3,user,{SAID},{CANARY}\n"
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("a.json", f'[{{"mapping": {{"n1": "{SAID}"}}}}')
        archive.writestr("_chat.txt", f"[1/2/24, 10:00:00] {CANARY}: {SAID}\n{SAID}\n")
    return [
        lines(*BAD.values()).encode(),
        json.dumps([*BAD.values()]).encode(),
        json.dumps({"conversations": [SAID], "mapping": {"n1": SAID}, SAID: SAID}).encode(),
        "".join(BROKEN).encode(),
        table.encode(),
        SAID.encode() + b"\xff\xfe",
        packed.getvalue(),
    ]


@pytest.mark.parametrize("format", ["auto", *FORMATS])
def test_what_readers_say(
    format: str, tmp_path: Path, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.DEBUG)
    said = []
    for number, content in enumerate(documents(format)):
        path = write(tmp_path, content, f"in{number}")
        report = ReadReport()
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            try:
                items = read_conversations(path, ReadOptions(format=format), report=report)
                said.extend(getattr(item, "error", "") for item in items)
            except AffectlibError as error:
                said.append(said_of(error))
        said += [json.dumps(report.to_dict()), *(str(warning.message) for warning in caught)]
    said += [record.getMessage() for record in caplog.records]
    assert [text for text in said if CANARY in text] == []
    captured = capfd.readouterr()
    assert CANARY not in captured.out + captured.err


def test_a_repr_tells_no_text(tiny_classifier: AffectClassifier) -> None:
    predictions = tiny_classifier.predict([[{"role": "user", "content": SAID}]])
    words = tiny_classifier.explain_words(SAID)
    assert CANARY not in repr([predictions, tiny_classifier.explain(SAID), words])
