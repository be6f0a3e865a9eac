"""The command info on transcripts: what is in them, and their conversion."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest

from affectlib import cli
from affectlib.formats import ReadOptions, inspection, read_conversations
from affectlib.model.artifacts import load_artifact
from tests.formats.test_fixtures import FIXTURES
from tests.transcript_files import EXAMPLES, SECRET, chat, lines, write


def run(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    status = cli.main([str(argument) for argument in arguments])
    captured = capsys.readouterr()
    return status, captured.out, captured.err


def records() -> str:
    first = chat(SECRET, "hello", user_id="u1", id="a", model="m", timestamp="2024-05-01")
    return (
        lines(first, first | {"timestamp": "2024-06-01"}, chat("", id="b"), chat("x"))
        + f'{{"messages": [{{"role": "{SECRET}", "content": "x"}}]}}\n'
        + f'{{"messages": "{SECRET}\n'
    )


def test_inspect(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write(tmp_path, records())
    status, out, err = run(capsys, "info", path)
    assert (status, err) == (1, "")
    assert SECRET not in out
    found = dict(line.split(maxsplit=1) for line in out.splitlines()[:3])
    assert found == {
        "format": 'openai (records with "messages")',
        "conversations": "4",
        "not": "read        2",
    }
    for part in (
        "user 4, assistant 2",
        "no user text    1",
        "2024-05-01 to 2024-06-01; 2 conversations without",
        "en 2, unknown 2",
        "models          m 2",
        "users           1; 2 conversations without",
        "no id           1",
        "repeated ids    1",
        "role: unknown role; use user, assistant, system or tool (line 5)",
        "(line 6)",
    ):
        assert part in out


def test_inspect_reaches_for_a_model_of_the_hub_only_where_it_may(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[str, dict[str, Any]]] = []

    def load(model: str, **options: Any) -> Any:
        asked.append((model, options))
        return load_artifact()

    monkeypatch.setattr("affectlib.cli.info.load_artifact", load)
    command = ["info", write(tmp_path, records()), "--no-languages", "--model", "user/name"]
    run(capsys, *command)
    run(capsys, *command, "--network")
    assert asked == [
        ("user/name", {"local_files_only": True}),
        ("user/name", {"local_files_only": False}),
    ]


def test_inspect_as_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status, out, _ = run(capsys, "info", FIXTURES / "chatgpt", "--json", "--branches", "all")
    found = json.loads(out)
    assert status == 0
    assert found["conversations"] == found["modalities"]["text"] + found["modalities"]["mixed"] + 1
    assert found["formats"] == {"chatgpt": 'records with "mapping"'}
    assert found["dropped"]["reasoning"] == {"count": 3, "places": ["hidden.json: record 0"]}
    assert found["last"].startswith("2024-05-01")
    assert found["messages"].keys() == {"user", "assistant"}


def test_inspect_shows_text_only_if_asked(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write(tmp_path, lines(chat(SECRET), chat("second\nline " + "x" * 500), chat("third")))
    for arguments in ([], ["--json"], ["--no-languages"]):
        assert SECRET not in run(capsys, "info", path, *arguments)[1]
    out = run(capsys, "info", path, "--preview", "2")[1]
    assert f"user: {SECRET}\n" in out
    assert "user: second line xxx" in out
    assert "third" not in out
    assert len(out) < 800


def test_text_does_not_stand_among_the_json(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write(tmp_path, lines(chat(SECRET)))
    _, out, err = run(capsys, "info", path, "--json", "--preview=3")
    assert json.loads(out)["conversations"] == 1
    assert f"user: {SECRET}\n" in err


def test_inspect_without_the_detector(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("py3langid", "py3langid.langid"):
        monkeypatch.setitem(sys.modules, name, None)
    inspection._load_identifier.cache_clear()
    status, out, err = run(capsys, "info", EXAMPLES / "transcripts.jsonl")
    assert status == 0
    assert "affectlib[formats]" in err
    assert "languages" not in out
    assert run(capsys, "info", EXAMPLES / "transcripts.jsonl", "--no-languages")[2] == ""


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["none.json"], "No such file"),
        (["*.none"], "no file matches this pattern"),
        ([str(EXAMPLES / "README.md")], "found neither JSON nor a table of several columns; if"),
        ([str(EXAMPLES / "chats.csv"), "--columns", "role=who"], "no column 'who'"),
    ],
)
def test_errors(arguments: Any, message: str, capsys: pytest.CaptureFixture[str]) -> None:
    status, out, err = run(capsys, "info", *arguments)
    assert (status, out) == (2, "")
    assert message in err
    assert len(err.splitlines()) == 1


def test_convert(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out.jsonl"
    source = FIXTURES / "chatgpt" / "branches.json"
    status, printed, err = run(capsys, "info", source, "-o", out, "--branches", "all")
    assert (status, printed) == (0, "")
    assert f"3 conversations (chatgpt) -> {out}" in err
    assert "1  system messages" in err
    assert [*read_conversations(out)] == [*read_conversations(source, ReadOptions(branches="all"))]
    assert run(capsys, "info", source, "-o", out)[0] == 2
    assert run(capsys, "info", source, "-o", out, "--overwrite", "--quiet") == (0, "", "")
    assert len([*read_conversations(out)]) == 1


def test_convert_names_skipped_files_even_if_quiet(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "chats"
    folder.mkdir()
    shutil.copy(FIXTURES / "chatgpt" / "branches.json", folder)
    (folder / "README.txt").write_text("What is in this folder.\n")
    told = []
    for option in ((), ("--quiet",)):
        out = tmp_path / f"{len(option)}.jsonl"
        status, printed, err = run(capsys, "info", folder, "-o", out, *option)
        assert (status, printed) == (0, "")
        told.append(err)
    assert told[1] == "files skipped\n          1  it has no known format (README.txt)\n"
    assert told[0].endswith(told[1])
    assert told[0] != told[1]


def test_convert_with_failures_and_roles(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = FIXTURES / "convokit" / "no_roles.jsonl"
    status, out, err = run(capsys, "info", source, "-o", "-")
    assert (status, out) == (1, "")
    assert "speaker: the speaker has no role" in err
    for option in (["--user", "Ana"], ["--assistant", "Ben"]):
        status, out, err = run(capsys, "info", source, "-o", "-", *option)
        assert status == 0
        assert [message["role"] for message in json.loads(out)["messages"]] == ["user", "assistant"]
