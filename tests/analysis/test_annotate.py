"""A sheet filled in by a language model, tried against a stand-in that misbehaves."""

from __future__ import annotations

import json
import random
import re
import threading
import time
import warnings
from collections import Counter
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from affectlib import cli, read_conversations
from affectlib.analysis import (
    AnalysisWarning,
    AnnotationError,
    Endpoint,
    TableError,
    agreement,
    annotate,
    prevalence,
    sample,
    themes,
)
from affectlib.analysis.annotate import estimate, prompt_digest
from affectlib.conversation import Conversation, Message
from affectlib.corpus.manifest import Manifest
from affectlib.errors import OptionError, ResumeError
from affectlib.formats import ReadOptions

pytestmark = pytest.mark.loopback
CHATS = 24


def said_of(question: str) -> dict[str, Any]:
    charge = 3 if "sad" in question else 0
    about = ["grief", "family"] if "-3" in question else []
    return {"charge": charge, "themes": about if charge else ["love"]}


class StandIn:
    """An endpoint that answers charge 3 where a user says "sad", and misbehaves as it is told.

    Attributes:
        trouble: What to do on each of the first requests for a conversation, by name.
        refused: Texts of which each request is refused, and with what.
        asked: The bodies of all requests.
    """

    def __init__(self) -> None:
        self.trouble: list[str] = []
        self.refused: dict[str, int] = {}
        self.asked: list[dict[str, Any]] = []
        self.keys: set[str | None] = set()
        self.tries: Counter[str] = Counter()
        self.running = self.most = 0
        self.retry_after = "0.05"
        self.lock = threading.Lock()
        stand_in = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["content-length"])))
                with stand_in.lock:
                    stand_in.asked.append(body)
                    stand_in.keys.add(self.headers.get("authorization"))
                    question = body["messages"][1]["content"]
                    number = stand_in.tries[question]
                    stand_in.tries[question] += 1
                    stand_in.running += 1
                    stand_in.most = max(stand_in.most, stand_in.running)
                trouble = stand_in.trouble[number] if number < len(stand_in.trouble) else ""
                status, text = stand_in.answer(trouble, question, body)
                with stand_in.lock:
                    stand_in.running -= 1
                self.send_response(status)
                if trouble == "429":
                    self.send_header("retry-after", stand_in.retry_after)
                if status == 307:
                    self.send_header("location", f"{stand_in.url}/chat/completions")
                content = text.encode()
                # A cut answer promises more than it holds.
                self.send_header("content-length", str(len(content) + 40 * (trouble == "cut off")))
                self.end_headers()
                self.wfile.write(content)
                if trouble == "cut off":
                    self.close_connection = True

            def log_message(self, *_: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.server.handle_error = lambda *_: None  # type: ignore[method-assign]  # gone clients
        self.thread = threading.Thread(target=self.server.serve_forever, daemon=True)
        self.thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.server_address[1]}/v1"

    def answer(self, trouble: str, question: str, body: dict[str, Any]) -> tuple[int, str]:
        for text, status in self.refused.items():
            if text in question:
                return status, "nothing to see"
        if trouble == "slow":
            time.sleep(0.6)
        if trouble.isdigit():
            return int(trouble), "nothing to see"
        if trouble == "no schema" and body.get("response_format", {}).get("type") == "json_schema":
            return 400, "unknown response_format"
        said = {
            "cut JSON": '{"charge": ',
            "wrong label": '{"charge": 7}',
            "words": "This chat is quite sad.",
            "true": '{"charge": true}',
            "unknown theme": '{"charge": 3, "themes": ["weather"]}',
            "no themes": '{"charge": 3}',
            "fenced": 'Sure:\n```json\n{"charge": "3"}\n```'
            if "sad" in question
            else '{"charge": "0"}',
        }.get(trouble, json.dumps(said_of(question)))
        reply = json.dumps({"choices": [{"message": {"content": said}}]})
        return 200, {"empty": "", "cut off": reply[:20], "no choices": "{}"}.get(trouble, reply)

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture
def stand_in() -> Iterator[StandIn]:
    found = StandIn()
    yield found
    found.close()


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """Transcripts, of which every third is sad, and a sheet."""
    rows = [
        {
            "id": f"c{place}",
            "messages": [
                {"role": "user", "content": f"{'sad' if place % 3 == 0 else 'csv'} secret-{place}"},
                {"role": "assistant", "content": "I see."},
            ],
        }
        for place in range(CHATS)
    ]
    text = "".join(json.dumps(row) + "\n" for row in rows)
    (tmp_path / "chats.jsonl").write_text(text, encoding="utf-8")
    labels = pl.DataFrame(
        {
            "conversation_id": [row["id"] for row in rows],
            "record": range(CHATS),
            "label": ["emotional" if place % 3 == 0 else "task" for place in range(CHATS)],
            "probability": [0.9 if place % 3 == 0 else 0.1 for place in range(CHATS)],
        }
    )
    labels.write_csv(tmp_path / "labels.csv")
    sample(labels, CHATS, seed=1).write_csv(tmp_path / "sheet.csv")
    return tmp_path


def sheet_of(files: Path) -> pl.DataFrame:
    return pl.read_csv(files / "sheet.csv")


def fill(files: Path, stand_in: StandIn, **options: Any) -> Any:
    settings: dict[str, Any] = {"timeout": 30.0, "pause": 0.01}
    settings |= {name: options.pop(name) for name in ("timeout", "tries") if name in options}
    with Endpoint(stand_in.url, "tiny-llm", **settings) as endpoint:
        chats = read_conversations(files / "chats.jsonl")
        return annotate(sheet_of(files), chats, endpoint, **options)


def test_a_sheet_is_filled_in_its_order(files: Path, stand_in: StandIn) -> None:
    found = fill(files, stand_in)
    assert found.failed == {}
    filled, sheet = found.sheet, sheet_of(files)
    assert filled.select("record", "weight").equals(sheet.select("record", "weight"))
    for row in filled.to_dicts():
        sad = row["record"] % 3 == 0
        assert (row["gold"], row["charge"]) == (("emotional", 3) if sad else ("task", 0))
    assert {*filled["annotator"]} == {"model:tiny-llm"}
    assert {*filled["prompt"]} == {prompt_digest()}
    assert len(stand_in.asked) == CHATS
    body = stand_in.asked[0]
    assert body["response_format"]["json_schema"]["strict"] is True
    assert "Decoys" in body["messages"][0]["content"]
    question = body["messages"][1]["content"]
    assert json.loads(question.split("\n\n", 1)[1])[0]["role"] == "user"


@pytest.mark.parametrize(
    "trouble",
    ["429", "500", "503", "cut JSON", "cut off", "wrong label", "words", "true", "empty",
     "no choices", "no schema"],
)  # fmt: skip
def test_trouble_that_passes_is_tried_again(files: Path, stand_in: StandIn, trouble: str) -> None:
    stand_in.trouble = [trouble]
    found = fill(files, stand_in, concurrency=3)
    assert found.failed == {}
    assert found.sheet["gold"].null_count() == 0
    if trouble != "no schema":
        assert {*stand_in.tries.values()} == {2}


def said_in(sheet: pl.DataFrame, *places: int) -> list[str]:
    """What the user says in these rows of a sheet, as it stands in a question."""
    return [f'secret-{sheet["record"][place]}"' for place in places]


def formats_of(stand_in: StandIn, without: str = "no such text") -> Counter[str | None]:
    """Count the formats that were asked for, leaving out the questions with a text."""
    return Counter(
        body.get("response_format", {}).get("type")
        for body in stand_in.asked
        if without not in body["messages"][1]["content"]
    )


@pytest.mark.parametrize("status", [400, 413, 422])
@pytest.mark.parametrize("place", [0, 9])
def test_a_row_that_is_refused_stays_empty_and_the_rest_goes_on(
    files: Path, stand_in: StandIn, status: int, place: int
) -> None:
    (refused,) = said_in(sheet_of(files), place)
    stand_in.refused = {refused: status}
    found = fill(files, stand_in, concurrency=1)
    assert [*found.failed] == [place]
    assert str(status) in found.failed[place]
    assert found.sheet["gold"].null_count() == 1
    assert {*formats_of(stand_in, refused)} == {"json_schema"}


@pytest.mark.parametrize("refused", [[], [0]])
def test_an_endpoint_without_schemas_is_asked_without(
    files: Path, stand_in: StandIn, refused: list[int]
) -> None:
    stand_in.trouble = ["no schema"] * 9
    stand_in.refused = dict.fromkeys(said_in(sheet_of(files), *refused), 400)
    assert [*fill(files, stand_in, concurrency=1).failed] == refused
    more = {"json_schema": 2, None: 1} if refused else {"json_schema": 1}
    assert formats_of(stand_in) == {"json_object": CHATS} | more


def test_an_endpoint_that_takes_none_of_the_first_rows_ends_the_run(
    files: Path, stand_in: StandIn
) -> None:
    stand_in.trouble = ["400"] * 9
    with pytest.raises(AnnotationError, match="answered 400: it does not accept the question"):
        fill(files, stand_in, concurrency=1)
    assert len(stand_in.asked) == 5 * 3


def test_refused_rows_may_be_all_that_is_left(files: Path, stand_in: StandIn) -> None:
    stand_in.refused = dict.fromkeys(said_in(sheet_of(files), *range(12, 20)), 400)
    answers = files / "answers.jsonl"
    for resumed in (0, CHATS - 8):
        found = fill(files, stand_in, answers=answers, concurrency=2)
        assert (len(found.failed), found.resumed) == (8, resumed)


def test_json_among_words_is_found(files: Path, stand_in: StandIn) -> None:
    stand_in.trouble = ["fenced"]
    assert Counter(fill(files, stand_in).sheet["charge"]) == {3: CHATS // 3, 0: CHATS - CHATS // 3}


@pytest.mark.parametrize("trouble", ["wrong label", "cut JSON"])
def test_what_stays_is_recorded_and_the_rest_goes_on(
    files: Path, stand_in: StandIn, trouble: str
) -> None:
    stand_in.trouble = [trouble] * 2
    found = fill(files, stand_in, tries=2, concurrency=8)
    assert [*sorted(found.failed)] == [*range(CHATS)]
    assert all(problem.endswith(", 2 times") for problem in found.failed.values())
    assert found.sheet["gold"].null_count() == CHATS
    assert "secret" not in str(found.failed)


def test_rows_that_fail_after_others_were_answered_stay_empty(
    files: Path, stand_in: StandIn
) -> None:
    stand_in.refused = dict.fromkeys(said_in(sheet_of(files), *range(1, CHATS)), 500)
    found = fill(files, stand_in, tries=2, concurrency=1)
    assert {*found.failed.values()} == {"the endpoint answered 500, 2 times"}
    assert found.sheet["gold"].null_count() == CHATS - 1


@pytest.mark.parametrize("trouble", ["500", "slow", "gone"])
def test_an_endpoint_that_answers_none_of_the_first_rows_ends_the_run(
    files: Path, stand_in: StandIn, trouble: str
) -> None:
    if trouble == "gone":
        stand_in.server.server_close()
    stand_in.trouble = [trouble] * 2
    problem = {"500": " 500", "slow": r"in 0\.3 s", "gone": "ConnectError"}[trouble]
    with pytest.raises(AnnotationError, match=rf"first 5 rows .*{problem}.*, 2 times"):
        fill(files, stand_in, tries=2, timeout=0.3 if trouble == "slow" else 30.0, concurrency=1)
    assert len(stand_in.asked) == (0 if trouble == "gone" else 10)


@pytest.mark.parametrize("gone", [False, True])
def test_what_is_left_may_fail_unless_the_endpoint_is_gone(
    files: Path, stand_in: StandIn, gone: bool
) -> None:
    stand_in.refused = dict.fromkeys(said_in(sheet_of(files), *range(12, 20)), 500)
    answers = files / "answers.jsonl"
    assert len(fill(files, stand_in, answers=answers, tries=2).failed) == 8
    if gone:
        stand_in.server.server_close()
        with pytest.raises(AnnotationError, match="none of the first 5 rows"):
            fill(files, stand_in, answers=answers, tries=2)
    else:
        assert fill(files, stand_in, answers=answers, tries=2).resumed == CHATS - 8


@pytest.mark.parametrize(("status", "hint"), [("401", "wants a key"), ("404", "no such model")])
def test_a_refusal_ends_the_run(files: Path, stand_in: StandIn, status: str, hint: str) -> None:
    stand_in.trouble = [status] * 9
    with pytest.raises(AnnotationError, match=hint):
        fill(files, stand_in, concurrency=2)
    assert len(stand_in.asked) <= 4


def with_themes(files: Path) -> None:
    """Give the sheet a column for themes."""
    sheet_of(files).with_columns(themes=pl.lit(None, pl.String)).write_csv(files / "sheet.csv")


def test_themes_are_asked_where_the_sheet_has_a_column_for_them(
    files: Path, stand_in: StandIn
) -> None:
    assert "themes" not in fill(files, stand_in).sheet.columns
    assert "mind_and_crisis" not in stand_in.asked[-1]["messages"][0]["content"]
    with_themes(files)
    answers = files / "answers.jsonl"
    found = fill(files, stand_in, answers=answers).sheet
    body = stand_in.asked[-1]
    assert "mind_and_crisis" in body["messages"][0]["content"]
    assert body["response_format"]["json_schema"]["schema"]["required"] == ["charge", "themes"]
    for row in found.to_dicts():
        about = "grief,family" if str(row["record"]).startswith("3") else "none"
        assert row["themes"] == (about if row["record"] % 3 == 0 else None)
    assert {*found["prompt"]} == {prompt_digest(themes=True)} != {prompt_digest()}
    assert fill(files, stand_in, answers=answers).sheet.equals(found)
    labels = pl.read_csv(files / "labels.csv").with_columns(
        theme_grief=pl.lit(0.9), user_id=pl.col("record")
    )
    with pytest.warns(AnalysisWarning, match="from the model tiny-llm"):
        figures = themes(labels, found, min_users=0)
    assert figures.filter(method="gold", theme="grief")["estimate"].item() == pytest.approx(1 / 8)


@pytest.mark.parametrize("trouble", ["unknown theme", "no themes"])
def test_a_theme_that_is_none_is_asked_again(files: Path, stand_in: StandIn, trouble: str) -> None:
    with_themes(files)
    stand_in.trouble = [trouble]
    assert fill(files, stand_in).failed == {}
    assert {*stand_in.tries.values()} == {2}


def test_no_more_are_asked_at_a_time_than_wanted(files: Path, stand_in: StandIn) -> None:
    stand_in.trouble = ["slow"]
    fill(files, stand_in, concurrency=6)
    assert 2 <= stand_in.most <= 6


def test_it_goes_on_where_it_was_stopped(files: Path, stand_in: StandIn) -> None:
    answers = files / "answers.jsonl"

    def stop(done: int, _: int) -> None:
        if done == 7:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fill(files, stand_in, answers=answers, progress=stop, concurrency=1)
    assert "secret" not in answers.read_text("utf-8")
    with answers.open("a", encoding="utf-8") as file:
        file.write("[3, ")  # a line that was cut by a kill
    asked = len(stand_in.asked)
    found = fill(files, stand_in, answers=answers, concurrency=1)
    assert found.resumed == 7
    assert len(stand_in.asked) - asked == CHATS - 7
    assert found.sheet.equals(fill(files, stand_in).sheet)


def test_answers_of_another_sheet_or_model_are_not_taken(files: Path, stand_in: StandIn) -> None:
    answers = files / "answers.jsonl"
    fill(files, stand_in, answers=answers)
    with pytest.raises(ResumeError, match="its answers are for another max"):
        fill(files, stand_in, answers=answers, max_characters=9)
    sheet_of(files).reverse().write_csv(files / "sheet.csv")
    with pytest.raises(ResumeError, match="its answers are for another sheet"):
        fill(files, stand_in, answers=answers)


@pytest.mark.parametrize("content", [b"nonsense\n", b"[1]\n", b"1\n[0, 3]\n", b"\xff\xfe\n"])
def test_damaged_answers_are_named(files: Path, stand_in: StandIn, content: bytes) -> None:
    answers = files / "answers.jsonl"
    answers.write_bytes(content)
    with pytest.raises(ResumeError, match=r"answers\.jsonl: it is damaged; delete it"):
        fill(files, stand_in, answers=answers)
    assert answers.read_bytes() == content


def test_a_full_disk_when_a_run_goes_on_loses_no_answers(
    files: Path, stand_in: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers = files / "answers.jsonl"
    fill(files, stand_in, answers=answers)
    before = answers.read_bytes()
    cut = before[:-3]
    answers.write_bytes(cut)

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("os.fsync", full)
        with pytest.raises(OSError, match="No space left"):
            fill(files, stand_in, answers=answers)
    assert answers.read_bytes() == cut
    assert fill(files, stand_in, answers=answers).resumed == CHATS - 1
    assert answers.read_bytes() == before


@pytest.mark.parametrize(
    ("asked_for", "least", "most"), [("7", 7, 7), ("9999", 60, 60), ("soon", 0.5, 1.5)]
)
def test_it_waits_as_long_as_the_endpoint_asks_up_to_a_minute(
    stand_in: StandIn, monkeypatch: pytest.MonkeyPatch, asked_for: str, least: float, most: float
) -> None:
    pauses: list[float] = []
    monkeypatch.setattr(time, "sleep", pauses.append)
    stand_in.trouble, stand_in.retry_after = ["429"], asked_for
    with Endpoint(stand_in.url, "tiny-llm") as endpoint:
        endpoint.ask("", "« so sad »")
    assert len(pauses) == 1
    assert least <= pauses[0] <= most


def test_each_pause_is_about_twice_as_long(
    stand_in: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    pauses: list[float] = []
    monkeypatch.setattr(time, "sleep", pauses.append)
    stand_in.trouble = ["500"] * 3
    drawn = random.getstate()
    with Endpoint(stand_in.url, "tiny-llm") as endpoint:
        endpoint.ask("", "« so sad »")
    assert len(pauses) == 3
    for pause, usual in zip(pauses, (1, 2, 4), strict=True):
        assert usual / 2 <= pause <= usual * 1.5
    assert random.getstate() == drawn  # those who set a seed draw what they would have drawn


def test_no_text_goes_where_an_endpoint_redirects(stand_in: StandIn) -> None:
    stand_in.refused = {"sad": 307}
    with Endpoint(stand_in.url, "tiny-llm") as endpoint, pytest.raises(AnnotationError):
        endpoint.ask("", "« so sad »")
    assert len(stand_in.asked) == 1


def test_what_is_meant_for_this_machine_goes_through_no_proxy(
    stand_in: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://192.0.2.1:9")
    with Endpoint(stand_in.url, "tiny-llm") as endpoint:
        assert endpoint.ask("", "« so sad »").charge == 3


def test_a_message_is_asked_with_what_was_before(files: Path, stand_in: StandIn) -> None:
    sheet = sheet_of(files).head(2).with_columns(message=pl.lit(0))
    with Endpoint(stand_in.url, "tiny-llm") as endpoint:
        annotate(sheet, read_conversations(files / "chats.jsonl"), endpoint)
    assert len(stand_in.asked) == 2
    for body in stand_in.asked:
        question = body["messages"][1]["content"]
        assert question.startswith("How charged is message 0,")
        assert "I see." not in question


def test_long_conversations_are_cut_and_counted(files: Path, stand_in: StandIn) -> None:
    chats = files / "chats.jsonl"
    whole = estimate(sheet_of(files), read_conversations(chats))
    assert (whole.rows, whole.shortened) == (CHATS, 0)
    cut = estimate(sheet_of(files), read_conversations(chats), max_characters=6)
    assert cut.shortened == CHATS
    assert cut.tokens_in < whole.tokens_in + CHATS
    assert whole.cost(1.0, 2.0) == (whole.tokens_in + 2 * whole.tokens_out) / 1e6


def sent(stand_in: StandIn, texts: list[str], most: int) -> list[str]:
    """What is sent of a conversation of these messages."""
    stand_in.asked.clear()
    chat = Conversation(messages=tuple(Message("user", text) for text in texts), id="c")
    sheet = pl.DataFrame({"conversation_id": ["c"]})
    with Endpoint(stand_in.url, "tiny-llm") as endpoint:
        annotate(sheet, [chat], endpoint, max_characters=most)
    question = stand_in.asked[0]["messages"][1]["content"]
    return [message["text"] for message in json.loads(question.split("\n\n", 1)[1])]


def test_only_the_longest_messages_are_cut_and_all_room_is_used(stand_in: StandIn) -> None:
    short, long = ["yes please"] * 9, "a" * 600 + "z" * 400
    *others, cut = sent(stand_in, [*short, long], 500)
    assert others == short
    assert len(cut) == 500 - 90
    assert cut.startswith("a" * 250)
    assert cut.endswith(" […] " + "z" * 135)
    assert [len(text) for text in sent(stand_in, [long, "ab", long], 103)] == [50, 2, 50]
    assert sent(stand_in, [long, long], 6) == ["aaa", "aaa"]
    assert sent(stand_in, [long, "ab"], 1002) == [long, "ab"]


def test_bad_input_is_refused(files: Path, stand_in: StandIn) -> None:
    for url in ("localhost:11434", "ftp://x", "http://"):
        with pytest.raises(OptionError, match="must begin with http"), Endpoint(url, "m"):
            pass
    with pytest.raises(OptionError, match="concurrency must be at least 1"):
        fill(files, stand_in, concurrency=0)
    sheet_of(files).with_columns(pl.col("record") + 100).write_csv(files / "sheet.csv")
    with pytest.raises(TableError, match="no conversation for record"):
        fill(files, stand_in)
    assert stand_in.asked == []


def test_figures_say_that_a_model_answered(files: Path, stand_in: StandIn) -> None:
    filled = fill(files, stand_in).sheet
    labels = pl.read_csv(files / "labels.csv")
    named = f"answers are from the model tiny-llm with prompt {prompt_digest()}, not from people"
    person = filled.drop("prompt").with_columns(annotator=pl.lit("AB"))
    for figure, arguments in ((prevalence, (labels, filled)), (agreement, (person, filled))):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always", AnalysisWarning)
            figure(*arguments)
        assert sum(named in str(warning.message) for warning in caught) == 1


def run(files: Path, stand_in: StandIn, *options: str) -> int:
    return cli.main([
        "annotate", str(files / "sheet.csv"), "--transcripts", str(files / "chats.jsonl"),
        "--endpoint", stand_in.url, "--endpoint-model", "tiny-llm", "-o", str(files / "filled.csv"),
        *options,
    ])  # fmt: skip


def test_nothing_is_sent_unless_it_is_allowed_and_confirmed(
    files: Path, stand_in: StandIn, capsys: Any
) -> None:
    assert run(files, stand_in, "--yes") == 2
    assert "allow it with --network" in capsys.readouterr().err
    assert run(files, stand_in, "--network", "--price", "0.15,0.6") == 2
    err = capsys.readouterr().err
    assert f"{CHATS} rows, about " in err
    assert "at these prices" in err
    assert "nothing was sent; add --yes" in err
    assert stand_in.asked == []
    assert [path.name for path in files.glob("*filled*")] == []


def test_the_command_fills_a_sheet_that_prevalence_reads(
    files: Path, stand_in: StandIn, capsys: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("THE_KEY", "k-123")
    allowed = ("--network", "--yes", "--key-variable", "THE_KEY")
    assert run(files, stand_in, *allowed) == 0
    captured = capsys.readouterr()
    assert f"{CHATS} rows answered by tiny-llm" in captured.err
    assert stand_in.keys == {"Bearer k-123"}
    assert "k-123" not in captured.err + captured.out
    assert {path.name for path in files.iterdir()} == {
        "chats.jsonl", "labels.csv", "sheet.csv", "filled.csv"
    }  # fmt: skip
    labels, filled = str(files / "labels.csv"), str(files / "filled.csv")
    assert cli.main(["prevalence", labels, "--gold", filled, "--min-users", "0"]) == 0
    assert "note: gold: answers are from the model tiny-llm" in capsys.readouterr().out
    assert run(files, stand_in, *allowed) == 2
    assert "it exists" in capsys.readouterr().err
    assert run(files, stand_in, "--network", "--yes", "--key-variable", "NOT_THERE") == 2


def test_rows_without_an_answer_are_asked_by_the_same_command(
    files: Path, stand_in: StandIn, capsys: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(time, "sleep", lambda _: None)
    stand_in.refused = dict.fromkeys(said_in(sheet_of(files), *range(12, 20)), 500)
    assert run(files, stand_in, "--network", "--yes") == 1
    err = capsys.readouterr().err
    assert "8 without an answer: the endpoint answered 500, 6 times" in err
    stand_in.refused = {}
    there = (files / ".filled.csv.answers.jsonl").read_bytes()
    assert run(files, stand_in, "--network") == 2
    (tokens,) = re.findall(r"^8 rows left, about ([\d,]+) tokens", capsys.readouterr().err)
    whole = estimate(sheet_of(files), read_conversations(files / "chats.jsonl"))
    assert int(tokens.replace(",", "")) == pytest.approx(whole.tokens_in / 3, rel=0.01)
    assert (files / ".filled.csv.answers.jsonl").read_bytes() == there
    assert run(files, stand_in, "--network", "--yes") == 0
    assert pl.read_csv(files / "filled.csv")["gold"].null_count() == 0


def test_transcripts_are_read_as_they_were_labelled(
    files: Path, stand_in: StandIn, capsys: Any
) -> None:
    chats = files / "chats.csv"
    rows = [f"c{place},user,{'sad' if place % 3 == 0 else 'csv'}" for place in range(CHATS)]
    chats.write_text("\n".join(["chat,who,words", *rows]), encoding="utf-8")
    columns = {"conversation_id": "chat", "role": "who", "content": "words"}
    options = {"format": "table", "columns": columns, "branches": "active"}
    Manifest(files / "labels.csv.manifest", {"options": options}).write()
    read = ("--network", "--yes", "--transcripts", str(chats))
    assert run(files, stand_in, *read) == 2
    assert run(files, stand_in, *read, "--labels", str(files / "other.csv")) == 2
    assert "no such file" in capsys.readouterr().err
    assert stand_in.asked == []
    assert run(files, stand_in, *read, "--labels", str(files / "labels.csv")) == 0
    filled = pl.read_csv(files / "filled.csv")
    assert (filled["gold"] == "emotional").to_list() == (filled["record"] % 3 == 0).to_list()
    before = (files / "labels.csv").read_bytes()
    output = ("-o", str(files / "labels.csv"), "--overwrite")
    assert run(files, stand_in, *read, "--labels", str(files / "labels.csv"), *output) == 2
    assert (files / "labels.csv").read_bytes() == before


def test_conversations_without_ids_that_were_read_another_way_are_not_sent(
    files: Path, stand_in: StandIn, capsys: Any
) -> None:
    chats = files / "chat.txt"
    lines = [
        f"[0{1 + place // 10}/01/24, {8 + place % 10:02}:{minute}:00] {who}: {word} {place}"
        for place in range(30)
        for who, word, minute in (("Ana", "sad", "00"), ("Bot", "yes", "01"), ("Ana", "no", "15"))
    ]
    chats.write_text("\n".join(lines), encoding="utf-8")
    read = ["--format", "whatsapp", "--user", "Ana", "--assistant", "Bot"]
    options = ReadOptions(format="whatsapp", users=["Ana"], assistants=["Bot"], gap=30)
    lengths = [len(chat.messages) for chat in read_conversations(chats, options)]
    assert len(lengths) == 30
    pl.DataFrame({"record": range(30), "label": "task", "probability": 0.5}).with_columns(
        user_messages=2, assistant_messages=1
    ).write_csv(files / "labels.csv")
    labels, sheet = str(files / "labels.csv"), str(files / "sheet.csv")
    assert cli.main(["sample", labels, "-n2", "-o", sheet, "--overwrite"]) == 0
    assert pl.read_csv(sheet)["messages"].to_list() == [3, 3]
    send = ("--network", "--yes", "--transcripts", str(chats), *read)
    capsys.readouterr()
    assert run(files, stand_in, *send, "--gap", "5") == 2
    err = capsys.readouterr().err
    assert "and had 3 when the sheet was drawn; give those that were labelled" in err
    assert stand_in.asked == []
    assert run(files, stand_in, *send, "--gap", "30") == 0
