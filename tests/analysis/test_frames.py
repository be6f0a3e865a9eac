from __future__ import annotations

import json
import re
from datetime import datetime, timedelta, timezone

import pandas as pd
import polars as pl
import pyarrow.parquet as pq
import pytest
from polars.testing import assert_frame_equal

import affectlib.analysis
from affectlib.analysis import TableError, cue_pairs, read_labels, trajectory, users
from affectlib.analysis._frames import labels_table, table
from affectlib.corpus.rows import output_schema
from affectlib.errors import InputTypeError, OptionError
from tools.simulate import simulate

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


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (  # the apostrophe against spreadsheets is taken away
            "user_id,conversation_id,label\n'-12,'=a,task\n'quoted',b,task\n",
            {"user_id": ["-12", "'quoted'"], "conversation_id": ["=a", "b"]},
        ),
        (
            "record,conversation_id,weight,probability,any,note\n"
            '1,"12,5","12,5","0,125",WAHR,"1,5"\n2,"7,125","1,250","2,5E-05",FALSCH,or 2\n',
            {"conversation_id": ["12,5", "7,125"], "weight": [12.5, 1.25]}
            | {"probability": [0.125, 2.5e-05], "any": [True, False], "note": ["1,5", "or 2"]},
        ),
        (  # commas may separate thousands
            'conversation_id,weight\na,"1,250"\nb,"20,000"\nc,7\n',
            {"weight": ["1,250", "20,000", "7"]},
        ),
        (
            "user_id;conversation_id;weight;gold;note\n1,5;VRAI;2,5E-05;VRAI;1,5\n"
            "2,5;FAUX;12;unsure;or 2\n",
            {"user_id": ["1,5", "2,5"], "conversation_id": ["VRAI", "FAUX"]}
            | {"weight": [2.5e-05, 12.0], "gold": ["true", "unsure"], "note": ["1,5", "or 2"]},
        ),
        (  # R writes gaps as NA, which is also Namibia
            "user_id,score,age,moved,place,weight\n7,1.5,30,TRUE,NA,1.0\n"
            "NA,NA,NA,NA,FR,2.0\n8,2,41,FALSE,FR,NA\n",
            {"user_id": ["7", "NA", "8"], "score": [1.5, None, 2.0], "age": [30, None, 41]}
            | {"moved": [True, None, False], "place": ["NA", "FR", "FR"]}
            | {"weight": [1.0, 2.0, None]},
        ),
    ],
)
def test_cells_as_spreadsheets_and_r_write_them(tmp_path, text, expected):
    path = tmp_path / "sheet.csv"
    path.write_text(text)
    rows = read_labels(path).collect()
    assert_frame_equal(rows.select(*expected), pl.DataFrame(expected))


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


@pytest.mark.parametrize("name", ["{}.parquet", "{}.csv", "{}.jsonl", "{}/part-0.parquet"])
def test_brackets_in_a_name_are_no_pattern(tmp_path, name):
    suffix = name.rpartition(".")[2]
    for stem in ("labels[1]", "labels1"):
        path = tmp_path / name.format(stem)
        path.parent.mkdir(exist_ok=True)
        frame = pl.DataFrame({"conversation_id": [stem], "label": ["task"]})
        getattr(frame, {"jsonl": "write_ndjson"}.get(suffix, f"write_{suffix}"))(path)
    meant = tmp_path / name.format("labels[1]").partition("/")[0]
    assert read_labels(meant).collect()["conversation_id"].to_list() == ["labels[1]"]
    path.unlink()
    assert read_labels(meant).collect().height == 1


def test_unreadable_files_are_named(tmp_path):
    (tmp_path / "labels.parquet").write_bytes(b"no parquet")
    (tmp_path / "twice.csv").write_text("record,label\n1,task\nrecord,label\n")
    for name, error in (
        ("labels.parquet", TableError),
        ("twice.csv", TableError),
        ("labels.docx", OptionError),
        ("none.csv", FileNotFoundError),
        (".", TableError),
    ):
        with pytest.raises(error, match=re.escape(str(tmp_path / name))):
            read_labels(tmp_path / name)


@pytest.mark.parametrize("suffix", ["csv", "jsonl"])
def test_tables_that_pandas_saved_again_are_read(tmp_path, suffix):
    failed = pl.col("record") % 5 == 0
    counts = ("label", "probability", "any", "user_messages", "truncated_tokens")
    labels = PEOPLE.conversations.with_columns(
        status=pl.when(failed).then(pl.lit("error")).otherwise("status"),
        **{name: pl.when(~failed).then(name) for name in counts},
    )
    path = tmp_path / f"labels.{suffix}"
    labels.write_csv(tmp_path / "first.csv")
    again = pd.read_csv(tmp_path / "first.csv")
    assert again["user_messages"].dtype == float
    if suffix == "csv":
        again.to_csv(path, index=False)
    else:
        again.to_json(path, orient="records", lines=True, double_precision=15)
    found = labels_table(read_labels(path)).collect()
    assert_frame_equal(found, labels_table(labels).collect())


@pytest.mark.parametrize(
    ("cells", "problem"),
    [
        ("record,any\n1,true\n2.0,FALSE\n2.5,\n", "'record', row 4 .* not a whole number"),
        ("record,any\n1,true\nNA,\n,maybe\n", "'any', row 4 .* neither true nor false"),
        ("record;any;probability\n1;;0,5\n2;;high\n", "'probability', row 3 .* not a number"),
        ("record,any,probability\n1,,0.5\n2,,high\n", "'probability', row 3 .* not a number"),
    ],
)
def test_cells_that_are_not_what_their_column_holds_are_named(tmp_path, cells, problem):
    path = tmp_path / "odd.csv"
    path.write_text(cells)
    with pytest.raises(TableError, match=rf"odd\.csv: the file cannot .*{problem}") as found:
        read_labels(path)
    assert not {"2.5", "maybe", "high"} & {*str(found.value).split()}


def test_a_whole_float_among_json_lines_is_no_error_and_another_is_named(tmp_path):
    path = tmp_path / "labels.jsonl"
    path.write_text('{"record": 1.0}\n{"record": null}\n{"record": 3}\n')
    assert read_labels(path).collect()["record"].to_list() == [1, None, 3]
    path.write_text('{"record": 1.0}\n{"record": 2.5}\n')
    with pytest.raises(TableError, match=r"'record', row 2 \(the .* row 1\): not a whole number"):
        read_labels(path)


def test_a_gap_far_down_is_one_too(tmp_path):
    path = tmp_path / "people.csv"
    path.write_text("user_id,score\n" + "".join(f"u{n},{n}\n" for n in range(10_001)) + "x,NA\n")
    assert read_labels(path).collect()["score"].null_count() == 1


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
    assert labels_table(read_labels(tmp_path)).provenance.name is None  # these shards do not say
    made = {"model": "m", "model_version": "1", "operating_point": "balanced"}
    schema = output_schema().with_metadata({"affectlib": json.dumps(made)})
    for shard in (tmp_path / "conversations").iterdir():
        pq.write_table(schema.empty_table(), shard)
    assert labels_table(read_labels(tmp_path)).provenance.name == "m 1, balanced"


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


def test_a_column_of_one_s_own_does_not_stand_for_the_time():
    own = datetime(2000, 1, 1)
    frame = pl.DataFrame(
        {"label": "task", "started_at": ["2025-03-01T12:00:00Z", "1740830400"], "moment": own}
    )
    found = labels_table(frame).collect()
    assert {moment.replace(tzinfo=None) for moment in found["started_at"]} == {
        datetime(2025, 3, 1, 12)
    }
    assert found["moment"].to_list() == [own, own]


@pytest.mark.parametrize(
    ("ids", "expected"),
    [
        (pl.Series([1.1, 2.0, None, float("nan")]), ["1.1", "2", None, None]),
        (pd.Series([1.1, 2.0, None, float("nan")]), ["1.1", "2", None, None]),
        (pd.Series([1, 1.0, 1.5, "a", None], dtype=object), ["1", "1", "1.5", "a", None]),
        (pl.Series(["", "a"]), [None, "a"]),
    ],
)
def test_ids_are_text_and_those_that_are_empty_are_missing(ids, expected):
    frame = (pl if isinstance(ids, pl.Series) else pd).DataFrame({"user_id": ids})
    assert labels_table(frame).collect()["user_id"].to_list() == expected


def test_cues_that_are_no_number_are_not_known():
    unknown = PEOPLE.messages.with_columns(pl.col(pl.Float64).fill_null(float("nan")))
    assert unknown["shows_empathy"].is_nan().any()
    for analysis in (users, cue_pairs, trajectory):
        assert_frame_equal(analysis(unknown), analysis(PEOPLE.messages))


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
