"""Label tables: data frames in memory, and batches of them on other engines.

`label_table` takes a pandas, Polars or PyArrow table or a ``datasets.Dataset`` and returns one of
the same kind. `AffectMapper` is the same as a plain callable, for Ray Data, Spark and
``datasets.map`` (also of streamed data sets). `register_duckdb` makes it a function of SQL. None of
them writes anything anywhere.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Literal, TypeVar, overload

from affectlib import _version
from affectlib._default import classifier_or_bundled, load_once
from affectlib._inputs import require_on_error
from affectlib._values import column_values, kind_of, name_list
from affectlib._values.dates import DateOrder
from affectlib.conversation import Conversation, Message
from affectlib.corpus.progress import with_bar
from affectlib.corpus.rows import Labelled, Row, RowLevel, output_schema
from affectlib.errors import ConversationError, InputTypeError, OptionError, WorkerError
from affectlib.formats._columns import find_columns
from affectlib.formats._fields import named_message, to_conversation, to_message
from affectlib.formats._frames import is_dataset, open_table, to_dataset
from affectlib.formats._grouping import Row as MessageRow
from affectlib.formats._reader import Reading
from affectlib.formats.table import (
    about_of,
    conversation_id_of,
    parse_cell,
    rows_in_order,
    without_repeats,
)
from affectlib.predictions import ConversationFailure

if TYPE_CHECKING:
    import pyarrow
    from datasets import Dataset
    from duckdb import DuckDBPyConnection
    from narwhals.typing import IntoDataFrame
    from pyspark.sql.types import StructType

    from affectlib.classifier import AffectClassifier

__all__ = ["AffectMapper", "label_table", "register_duckdb"]

_OF_BOTH = ("status", "error", "label", "probability", "intensity")
_ADDED: Mapping[RowLevel, tuple[str, ...]] = {
    "conversation": (*_OF_BOTH, "any", "adjusted", "rate"),
    "message": (*_OF_BOTH, "screened"),
}
_SPARK_TYPES = {"string": "string", "double": "double", "bool": "boolean", "int64": "long"}

_DUCKDB_TYPES = {"string": "VARCHAR", "double": "DOUBLE", "bool": "BOOLEAN", "int64": "BIGINT"}

_TEXTS = ("content", "text", "message", "prompt")
"""What a column of texts, each a message of the user by itself, is called."""

_Item = Conversation | ConversationFailure

TableT = TypeVar("TableT", bound="IntoDataFrame | Dataset")
"""The kind of table that goes in and comes out: pandas, Polars, PyArrow or a `Dataset`."""


def label_table(
    frame: TableT,
    *,
    classifier: AffectClassifier | None = None,
    level: RowLevel = "conversation",
    columns: Mapping[str, str] | None = None,
    on_error: Literal["record", "raise"] = "record",
    prefix: str = "",
    progress: bool = False,
) -> TableT:
    """Label the conversations of a table in memory.

    A table is long, with one message per row, if it has columns for the conversation's id, role and
    content. The messages are ordered as `read_conversations` orders those of a file; a row that
    repeats the turn (or the message's id), the role and the content of another gets no label. Else
    it is nested, with one conversation per row and its messages in a column (such as ``messages``,
    ``conversation`` or ``chat``: a list of mappings with role and content or of
    `affectlib.Message`, or such mappings as JSON or Python text). If there is none of these, but a
    column ``content``, ``text``, ``message`` or ``prompt``, or `columns` names the ``content``,
    each row is a message of the user by itself. Where a row is what `level` says, the labels are
    added to it; else the result has the columns of `output_schema`.

    Args:
        frame: A pandas, Polars or PyArrow table, or a ``datasets.Dataset``.
        classifier: What labels it; the bundled one if None.
        level: What is labelled, ``conversation`` or ``message``.
        columns: Column names by field, for unusual ones: ``{"messages": "chat"}``, or
            ``{"conversation_id": "chat", "role": "who", "content": "words"}``.
        on_error: ``record`` to give a conversation that cannot be labelled the status ``error``,
            ``raise`` to stop at it. One without text of a user is ``empty``, and no error.
        prefix: Put before the names of the columns that are added.
        progress: Whether to show a progress bar.

    Returns:
        A table of the same kind.

    Raises:
        InputTypeError: `frame` is no such table, or one that is not in memory, or `classifier` is
            none, such as the name of a model.
        OptionError: The columns needed are not there, or one to be added is there already, or two
            have the same name.
        ConversationError: A conversation cannot be labelled and `on_error` is ``raise``.

    Example:
        >>> import pyarrow
        >>> chats = [[{"role": "user", "content": "I feel so alone, can we just talk?"}]]
        >>> label_table(pyarrow.table({"messages": chats}))["label"].to_pylist()
        ['emotional']
    """
    import narwhals as nw

    if level not in _ADDED:
        raise OptionError(f"unknown level {level!r}; use {' or '.join(_ADDED)}")
    require_on_error(on_error)
    if is_dataset(frame):
        table = frame.with_format("arrow")[:]
        options: dict[str, Any] = {"level": level, "columns": columns, "on_error": on_error}
        options |= {"prefix": prefix, "progress": progress}
        found: TableT = to_dataset(frame, label_table(table, classifier=classifier, **options))
        return found
    data = open_table(frame)
    given = dict(zip(data.columns, data.iter_columns(), strict=True))
    fields = _fields(given, columns)
    labels, whole = _labels(
        given, fields, classifier_or_bundled(classifier), level, on_error, prefix, progress
    )
    added = nw.from_arrow(labels, backend=data.implementation)
    labelled = added if whole else data.with_columns(*added.iter_columns())
    found = labelled.to_native()
    return found


class AffectMapper:
    """Labels batches of conversations: a plain callable for Ray, Spark, `datasets` and others.

    A batch is a table that `label_table` takes, a mapping of columns, or, for Spark, an iterator of
    tables; the result is of the same kind, with the labels added. Each row of a batch must be a
    whole conversation, or the batch hold whole conversations (a group). Where rows are not what
    `level` says, the result is a table of its own, as that of `label_table`, which `spark_schema`
    does not describe. A mapper pickles as its arguments, and loads its classifier once per process,
    at the first batch.

    Args:
        model: See `affectlib.AffectClassifier.from_pretrained`, also for the other options.
        level: See `label_table`, also for ``columns`` and ``prefix``.
        columns: Column names by field, for unusual ones.
        prefix: Put before the names of the columns that are added.
        options: Further arguments of `AffectClassifier.from_pretrained`.

    Example:
        Ray Data, with two actors::

            ray.data.read_parquet("chats/").map_batches(
                AffectMapper, concurrency=2, batch_format="pyarrow"
            )

        Spark::

            mapper = AffectMapper(threads=1)
            frame.mapInPandas(mapper, mapper.spark_schema(frame.schema))

        datasets::

            dataset.map(AffectMapper(), batched=True)
    """

    def __init__(
        self,
        model: str | os.PathLike[str] | None = None,
        *,
        level: RowLevel = "conversation",
        columns: Mapping[str, str] | None = None,
        prefix: str = "",
        **options: Any,
    ) -> None:
        """Keep the arguments."""
        if level not in _ADDED:
            raise OptionError(f"unknown level {level!r}; use {' or '.join(_ADDED)}")
        self._options = {**options, **({} if model is None else {"model": model})}
        self._level: RowLevel = level
        self._columns = dict(columns or {})
        self._prefix = prefix
        self._version = _version.__version__

    @overload
    def __call__(self, batch: Mapping[str, Any]) -> dict[str, Any]: ...
    @overload
    def __call__(self, batch: Iterator[TableT]) -> Iterator[TableT]: ...
    @overload
    def __call__(self, batch: TableT) -> TableT: ...
    def __call__(self, batch: Any) -> Any:
        """Label a batch, or each of an iterator of batches.

        Raises:
            InputTypeError: The batch is a single row, as ``datasets.map`` hands it on without
                ``batched=True``. See `label_table` for the other errors.
            WorkerError: It was pickled by another version of affectlib.
        """
        if isinstance(batch, Iterator):
            return map(self, batch)
        if isinstance(batch, Mapping):
            return self._label_columns(batch)
        return label_table(
            batch,
            classifier=self._classifier(),
            level=self._level,
            columns=self._columns,
            prefix=self._prefix,
        )

    def spark_schema(self, schema: StructType) -> StructType:
        """Return the schema of what ``mapInPandas`` gives for a frame of this schema.

        Args:
            schema: The schema of the Spark data frame that is labelled.

        Example:
            >>> from pyspark.sql.types import StructType
            >>> AffectMapper().spark_schema(StructType().add("messages", "string")).names[:3]
            ['messages', 'status', 'error']
        """
        extended = type(schema)([*schema.fields])
        for field in _added_schema(self._level, self._prefix):
            extended.add(field.name, _SPARK_TYPES[str(field.type)])
        return extended

    def _label_columns(self, batch: Mapping[str, Any]) -> dict[str, Any]:
        fields = _fields(batch, self._columns)
        if _is_row(batch, fields):
            raise InputTypeError(
                "expected a batch, as a mapping of columns; got a single row: use batched=True "
                "with map of datasets, or map_batches of Ray Data"
            )
        labels, whole = _labels(
            batch, fields, self._classifier(), self._level, "record", self._prefix
        )
        kept: dict[str, Any] = {} if whole else dict(batch)
        added: dict[str, Any] = labels.to_pydict()
        if any(type(column).__module__ == "numpy" for column in batch.values()):
            added = {name: labels[name].to_numpy(zero_copy_only=False) for name in added}
        return kept | added

    def _classifier(self) -> AffectClassifier:
        if self._version != _version.__version__:
            raise WorkerError(
                f"this process has affectlib {_version.__version__}, and the one that sent the "
                f"mapper has {self._version}; use the same version everywhere"
            )
        return load_once(**self._options)


def register_duckdb(
    connection: DuckDBPyConnection,
    name: str = "affect",
    *,
    classifier: AffectClassifier | None = None,
) -> None:
    """Give a DuckDB connection a SQL function that labels conversations.

    It takes the messages of a conversation, as a list of structs or as JSON text
    (``json_array(json_object('role', 'user', 'content', words))`` if there is just a text), and
    returns a struct with the columns that `label_table` adds. DuckDB hands it some 2,000 rows at a
    time as Arrow. A row that cannot be labelled has the status ``error``, and one without text of a
    user, or null, ``empty``.

    Args:
        connection: What ``duckdb.connect`` returns.
        name: The function's name.
        classifier: What labels; the bundled one, loaded at the first row, if None.

    Example:
        >>> import duckdb
        >>> connection = duckdb.connect()
        >>> register_duckdb(connection)
        >>> connection.execute(
        ...     "SELECT count(*) FROM (SELECT affect(messages) AS found "
        ...     "FROM 'examples/transcripts.jsonl') WHERE found.status = 'ok'"
        ... ).fetchone()
        (40,)
    """
    import pyarrow

    def label(messages: Any) -> Any:
        table = label_table(pyarrow.table({"messages": messages}), classifier=classifier)
        return pyarrow.array(table.drop_columns("messages").to_pylist(), type=struct)

    added = _added_schema("conversation", "")
    struct = pyarrow.struct(list(added))
    fields = {field.name: _DUCKDB_TYPES[str(field.type)] for field in added}
    of_json = f"{name}_of_json"
    connection.create_function(
        of_json,
        label,
        ["VARCHAR"],
        connection.struct_type(fields),
        type="arrow",
        null_handling="special",
    )
    # Text that is JSON already becomes JSON text within JSON, which is read as well.
    connection.execute(
        f'CREATE OR REPLACE TEMP MACRO "{name}"(messages) AS "{of_json}"(to_json(messages))'
    )


def _fields(given: Mapping[str, Any], columns: Mapping[str, str] | None) -> dict[str, str]:
    """Return the columns that are read, by field."""
    fields = find_columns([*given], columns)
    if fields is None and not columns:
        fields = _text_fields([*given])
    if fields is None:
        raise OptionError(
            f"the table has the columns {name_list([*given])}, but none with a usual name for the "
            "messages of a conversation, or for its id, role and content; name them, for example "
            "columns={'messages': 'chat'}, or columns={'content': 'text'} if each row is a text by "
            "itself"
        )
    return fields


def _text_fields(names: Sequence[str]) -> dict[str, str] | None:
    """Find the column of texts by its usual names, or None if there is none.

    Raises:
        OptionError: There are several of these names.
    """
    found = [name for name in names if isinstance(name, str) and name.strip().lower() in _TEXTS]
    if len(found) > 1:
        raise OptionError(
            f"the table has several columns that may hold the texts, {name_list(found)}; name the "
            f"right one, for example columns={{'content': {found[0]!r}}}"
        )
    return find_columns(names, {"content": found[0]}) if found else None


def _is_row(batch: Mapping[str, Any], fields: Mapping[str, str]) -> bool:
    """Whether a mapping holds the values of one row, and no columns."""
    read = [batch[column] for column in fields.values()]
    if any(isinstance(value, str | bytes) or not isinstance(value, Iterable) for value in read):
        return True
    cells = column_values(batch[fields["messages"]]) if "messages" in fields else []
    messages = [named_message(cell) for cell in cells if isinstance(cell, Mapping)]
    return 0 < len(cells) == sum(isinstance(message.get("role"), str) for message in messages)


def _labels(
    given: Mapping[str, Any],
    fields: Mapping[str, str],
    classifier: AffectClassifier,
    level: RowLevel,
    on_error: Literal["record", "raise"],
    prefix: str,
    progress: bool = False,
) -> tuple[pyarrow.Table, bool]:
    """Return the labels, and whether they are a table of their own."""
    import pyarrow

    nested, texts = fields.get("messages"), "role" not in fields and "messages" not in fields
    whole = not texts and level == ("conversation" if nested is None else "message")
    added = _added_schema(level, prefix)
    if not whole and (taken := [name for name in added.names if name in given]):
        raise OptionError(
            f"the table has a column {taken[0]!r} already; rename it, or give a prefix"
        )
    if nested is None and not texts:
        values = {field: column_values(given[column]) for field, column in fields.items()}
        items, places = _read_long(values)
    else:
        read = _read_text if nested is None else _read_nested
        items = [read(value) for value in column_values(given[nested or fields["content"]])]
        places = [[row] for row in range(len(items))]
    rows: list[Row] = []
    total = sum(map(len, places))
    by_row: list[Row] = [{} for _ in range(total)]
    outcomes: Iterable[Any] = classifier.stream(items, on_error="record")
    for record, outcome in enumerate(with_bar(outcomes, len(items)) if progress else outcomes):
        item = items[record]
        failed = isinstance(outcome, ConversationFailure) and outcome.status == "error"
        if on_error == "raise" and failed:
            raise ConversationError(outcome.error, conversation=outcome.id or record)
        labelled = Labelled(record, item if isinstance(item, Conversation) else None, outcome)
        found = labelled.rows(level)
        if whole:
            rows += found
        elif nested is not None or texts:
            by_row[record] = found[0]
        else:
            for place in places[record]:
                by_row[place] = {"status": found[0]["status"], "error": found[0]["error"]}
            if labelled.conversation is not None:
                messages = labelled.conversation.messages
                for row in found:
                    if (index := row.get("message")) is not None:
                        by_row[int(messages[index].id or 0)] = row
    if whole:
        return pyarrow.Table.from_pylist(rows, schema=output_schema(level)), True
    named = [{f"{prefix}{name}": value for name, value in row.items()} for row in by_row]
    return pyarrow.Table.from_pylist(named, schema=added), False


def _added_schema(level: RowLevel, prefix: str) -> pyarrow.Schema:
    """Return the columns that are added to a table: those of an output that labels fill."""
    import pyarrow

    from affectlib.taxonomy import CUES, THEME_COLUMNS

    schema = output_schema(level)
    names = (*_ADDED[level], "truncated_tokens", *CUES, *THEME_COLUMNS.values())
    return pyarrow.schema([schema.field(name).with_name(f"{prefix}{name}") for name in names])


def _read_nested(value: Any) -> _Item:
    """Make a conversation of the messages in a cell."""
    if value is None:
        return _missing()
    try:
        for _ in range(2):  # JSON may hold JSON as text
            if isinstance(value, str):
                value = parse_cell(value)
        if isinstance(value, Conversation):
            value = value.messages
        if hasattr(value, "tolist"):
            value = value.tolist()
        if not isinstance(value, Sequence):
            raise ConversationError(f"expected a list of messages, got {kind_of(value)}")
        messages = [
            to_message(named_message(_plain_message(message)), index)
            for index, message in enumerate(value)
        ]
        return to_conversation({}, messages)
    except ConversationError as error:
        return ConversationFailure(None, f"{type(error).__name__}: {error}")


def _read_text(value: Any) -> _Item:
    """Make a conversation of a cell that is a message of the user by itself."""
    if value is None:
        return _missing()
    try:
        return to_conversation({}, [to_message({"role": "user", "content": value}, 0)])
    except ConversationError as error:
        return ConversationFailure(None, f"{type(error).__name__}: {error}")


def _missing() -> ConversationFailure:
    return ConversationFailure(None, "NoUserTextError: the cell is empty", "empty")


def _plain_message(message: Any) -> Any:
    """Return a `Message` or a row of Spark as a dict, anything else as it is."""
    if isinstance(message, Message):
        return asdict(message)
    return message.asDict() if hasattr(message, "asDict") else message


def _read_long(values: Mapping[str, Sequence[Any]]) -> tuple[list[_Item], list[list[int]]]:
    """Make conversations of rows that are messages, in the order of their first rows.

    Args:
        values: The columns, by field.

    Returns:
        The conversations, whose messages have the number of their row for an id, and the rows of
        each.
    """
    order = DateOrder()
    for time in values.get("timestamp", ()):
        order.see(time)
    groups: dict[str | None, list[MessageRow]] = {}
    for number, cells in enumerate(zip(*values.values(), strict=True)):
        fields = dict(zip(values, cells, strict=True))
        time = fields.get("timestamp")
        fields["timestamp"] = order.read(time) or time
        groups.setdefault(conversation_id_of(fields), []).append(MessageRow(str(number), fields))
    items = [_read_group(identifier, rows) for identifier, rows in groups.items()]
    return items, [[int(row.place) for row in rows] for rows in groups.values()]


def _read_group(identifier: str | None, rows: list[MessageRow]) -> _Item:
    """Make a conversation of its rows, as of those of a file."""
    try:
        if identifier is None:
            raise ConversationError("the cell is empty", field="conversation_id")
        messages = []
        for index, row in enumerate(without_repeats(rows_in_order(rows), Reading())):
            content = row.fields["content"]
            message = {
                "role": row.fields["role"],
                "content": "" if content is None else content,
                "id": row.place,
                "timestamp": row.fields["timestamp"],
            }
            messages.append(to_message(message, index))
    except ConversationError as error:
        return ConversationFailure(identifier, f"{type(error).__name__}: {error}")
    about = about_of([row.fields for row in rows])
    return to_conversation({**about, "id": identifier}, messages)
