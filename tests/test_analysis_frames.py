from __future__ import annotations

import json
import subprocess
import sys
from datetime import datetime, timedelta, timezone

import pandas as pd
import polars as pl
import pyarrow.parquet as pq
import pytest

import affectlib.analysis
from affectlib.analysis import AnalysisWarning, TableError, read_labels, simulate, users
from affectlib.analysis._frames import labels_table, table
from affectlib.cli._labels import model_of
from affectlib.corpus import output_schema
from affectlib.errors import InputTypeError, OptionError

PEOPLE = simulate(40, seed=2)


def test_every_public_name_is_there_and_documented():
    for name in affectlib.analysis.__all__:
        value = getattr(affectlib.analysis, name)
        assert name.isupper() or value.__doc__, name


@pytest.mark.parametrize("level", ["message", "conversation"])
def test_simulated_labels_have_the_columns_of_real_ones(level):
    frame = PEOPLE.messages if level == "message" else PEOPLE.conversations
    assert frame.schema == pl.from_arrow(output_schema(level).empty_table()).schema


def test_simulation_repeats_with_its_seed_and_keeps_its_promises():
    again = simulate(40, seed=2)
    assert again.messages.equals(PEOPLE.messages)
    assert not simulate(40, seed=3).messages.equals(PEOPLE.messages)
    large = simulate(600, seed=0, prevalence=0.1, sensitivity=0.7, specificity=0.95)
    gold = large.gold_conversations["gold"] == "emotional"
    called = large.conversations["label"] == "emotional"
    assert gold.mean() == pytest.approx(0.1, abs=0.02)
    assert called.filter(gold).mean() == pytest.approx(0.7, abs=0.05)
    assert (~called).filter(~gold).mean() == pytest.approx(0.95, abs=0.015)
    probability = large.conversations["probability"]
    assert probability.mean() == pytest.approx(gold.mean(), abs=0.015)


@pytest.mark.parametrize(
    "options",
    [{"users": 1}, {"weeks": 1}, {"prevalence": 0}, {"sensitivity": 0.4, "specificity": 0.5}],
)
def test_impossible_populations_are_refused(options):
    with pytest.raises(OptionError):
        simulate(**({"users": 10} | options))


@pytest.mark.parametrize("suffix", ["parquet", "csv", "jsonl"])
def test_files_are_read_as_they_were_written(tmp_path, suffix):
    path = tmp_path / f"labels.{suffix}"
    frame = PEOPLE.messages.with_columns(user_id=pl.lit("007"))
    {"parquet": frame.write_parquet, "csv": frame.write_csv, "jsonl": frame.write_ndjson}[suffix](
        path
    )
    assert labels_table(read_labels(path)).collect().equals(frame)


def test_apostrophe_against_spreadsheets_is_taken_away(tmp_path):
    path = tmp_path / "labels.csv"
    path.write_text("user_id,conversation_id,label\n'-12,'=a,task\n'quoted',b,task\n")
    rows = read_labels(path).collect()
    assert rows["user_id"].to_list() == ["-12", "'quoted'"]
    assert rows["conversation_id"].to_list() == ["=a", "b"]


@pytest.mark.parametrize("encoding", ["utf-8-sig", "cp1252"])
def test_sheets_with_semicolons_and_decimal_commas(tmp_path, encoding):
    path = tmp_path / "sheet.csv"
    head = "record;conversation_id;gold;weight;any;note\r\n"
    text = head + '1;a;task;0,5;VRAI;"é, ;"\r\n2;007;task;12;FAUX;1,5 ou 2\r\n'
    path.write_bytes(text.encode(encoding))
    rows = read_labels(path).collect()
    assert rows["weight"].to_list() == [0.5, 12.0]
    assert rows["conversation_id"].to_list() == ["a", "007"]
    assert rows["any"].to_list() == [True, False]
    assert rows["note"].to_list() == ["é, ;", "1,5 ou 2"]


def test_unreadable_files_are_named(tmp_path):
    broken = tmp_path / "labels.parquet"
    broken.write_bytes(b"no parquet")
    with pytest.raises(TableError, match=r"labels\.parquet: the file cannot be read"):
        read_labels(broken)
    with pytest.raises(OptionError, match=r"unknown suffix '\.txt'"):
        read_labels(tmp_path / "labels.txt")
    with pytest.raises(FileNotFoundError):
        read_labels(tmp_path / "none.csv")
    with pytest.raises(TableError, match="it holds no Parquet shards"):
        read_labels(tmp_path)
    twice = tmp_path / "twice.csv"
    twice.write_text("record,label\n1,task\nrecord,label\n")
    with pytest.raises(TableError, match=r"twice\.csv: the file cannot be read"):
        read_labels(twice)


def test_a_folder_of_shards(tmp_path):
    for level, frame in (("conversations", PEOPLE.conversations), ("messages", PEOPLE.messages)):
        (tmp_path / level).mkdir()
        frame.head(10).write_parquet(tmp_path / level / "part-000000000000.parquet")
        frame[10:20].write_parquet(tmp_path / level / "part-000000000010.parquet")
    assert read_labels(tmp_path / "messages").collect().equals(PEOPLE.messages.head(20))
    with pytest.raises(TableError, match="labels of conversations and of messages; name one"):
        read_labels(tmp_path)
    (tmp_path / "messages").rename(tmp_path / "other")
    assert len(read_labels(tmp_path).collect()) == 20
    assert model_of(str(tmp_path)) is None  # these shards do not say
    made = {"model": "m", "model_version": "1", "operating_point": "balanced"}
    schema = output_schema().with_metadata({"affectlib": json.dumps(made)})
    for shard in (tmp_path / "conversations").iterdir():
        pq.write_table(schema.empty_table(), shard)
    assert model_of(str(tmp_path)) == "m 1, balanced"


@pytest.mark.parametrize(
    ("convert", "kind"),
    [
        (lambda frame: frame, pl.DataFrame),
        (pl.DataFrame.lazy, pl.DataFrame),
        (pl.DataFrame.to_pandas, pd.DataFrame),
        (pl.DataFrame.to_arrow, "Table"),
    ],
)
def test_results_are_of_the_kind_that_came_in(convert, kind):
    result = users(convert(PEOPLE.messages))
    assert isinstance(result, kind) if isinstance(kind, type) else type(result).__name__ == kind
    expected = users(PEOPLE.messages)
    assert table(result, "result").collect()["turn_rate"].equals(expected["turn_rate"])


@pytest.mark.parametrize("frame", [None, [1], {"label": ["task"]}, "labels.parquet"])
def test_what_is_no_frame_is_refused(frame):
    with pytest.raises(InputTypeError, match="labels: expected a pandas or polars frame"):
        users(frame)


def test_mixed_time_zones_become_utc():
    east, west = timezone(timedelta(hours=9)), timezone(timedelta(hours=-5))
    moments = [datetime(2025, 3, 1, 21, tzinfo=east), datetime(2025, 3, 1, 7, tzinfo=west)]
    texts = ["2025-03-01T21:00:00+09:00", "2025-03-01T07:00:00-05:00"]
    noon = datetime(2025, 3, 1, 12)
    for values in (
        pd.Series(moments, dtype=object),
        pd.Series(texts),
        pd.Series(["2025-03-01 12:00", "1740830400"]),
        pd.to_datetime(pd.Series([noon, noon])),
    ):
        frame = pd.DataFrame({"label": ["task", "task"], "started_at": values})
        found = labels_table(frame).collect()["started_at"]
        assert found.dtype == pl.Datetime("us", "UTC")
        assert {moment.replace(tzinfo=None) for moment in found} == {noon}


@pytest.mark.parametrize("values", [["yesterday", None], [1.5, 2.5]])
def test_times_that_are_none_are_named(values):
    with pytest.raises(TableError, match="labels, started_at"):
        labels_table(pl.DataFrame({"label": ["task", "task"], "started_at": values}))


def test_numeric_ids_are_text_and_empty_ones_missing():
    frame = pd.DataFrame({"label": ["task"] * 3, "user_id": [1.0, 2.0, None]})
    assert labels_table(frame).collect()["user_id"].to_list() == ["1", "2", None]
    frame = pl.DataFrame({"label": ["task"] * 2, "user_id": ["", "a"]})
    assert labels_table(frame).collect()["user_id"].to_list() == [None, "a"]


def test_failed_rows_are_left_out_and_unknown_labels_refused():
    frame = pl.DataFrame({"label": ["task", None], "status": ["ok", "error"]})
    assert labels_table(frame).collect().height == 1
    with pytest.raises(TableError, match="labels, label: 1 unknown values; use emotional or task"):
        labels_table(pl.DataFrame({"label": ["task", "sad"]})).labelled()
    with pytest.raises(TableError, match="no column 'label'; there are x"):
        labels_table(pl.DataFrame({"x": [1]})).labelled()
    with pytest.raises(TableError, match="no row has a label"):
        labels_table(pl.DataFrame({"label": [None]})).labelled()


def test_columns_of_mixed_types_are_named():
    with pytest.raises(TableError, match="a column mixes types"):
        labels_table(pd.DataFrame({"label": ["task", "task"], "x": [1, "a"]}))


def test_missing_extra_is_named():
    code = """
import sys
sys.modules["polars"] = None
import affectlib
try:
    import affectlib.analysis
except affectlib.MissingExtraError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "pip install 'affectlib[analysis]'" in done.stdout


def test_warnings_have_a_class_of_their_own():
    assert issubclass(AnalysisWarning, UserWarning)
