"""Label tables: data frames in memory, and batches on Ray, Spark and datasets."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Literal, TypeVar, overload

from affectlib import _version
from affectlib._default import classifier_or_bundled, load_once
from affectlib._inputs import require_on_error
from affectlib._progress import with_bar
from affectlib._values import column_values, name_list
from affectlib.conversation import Conversation, Message
from affectlib.corpus.provenance import provenance_code
from affectlib.corpus.rows import Labelled, Row, RowLevel, output_schema
from affectlib.errors import ConversationError, InputTypeError, OptionError, WorkerError
from affectlib.formats.columns import find_columns, has_conversation_ids
from affectlib.formats.fields import named_message
from affectlib.formats.frames import is_dataset, open_table, to_dataset
from affectlib.formats.grouping import Row as TableRow
from affectlib.formats.options import ReadOptions
from affectlib.formats.reader import Reading
from affectlib.formats.table import Found, read_table
from affectlib.predictions import ConversationFailure
from affectlib.taxonomy import CUES, THEME_COLUMNS

if TYPE_CHECKING:
    import narwhals as nw
    import pyarrow
    from datasets import Dataset
    from narwhals.typing import IntoDataFrame
    from pyspark.sql.types import StructType

    from affectlib.classifier import AffectClassifier

__all__ = ["AffectMapper", "label_table", "labels_of_table"]

_OF_BOTH = ("status", "error", "label", "probability", "intensity")
_ADDED: Mapping[RowLevel, tuple[str, ...]] = {
    "conversation": (*_OF_BOTH, "any", "adjusted", "rate"),
    "message": (*_OF_BOTH, "screened"),
}
_SPARK_TYPES = {"string": "string", "double": "double", "bool": "boolean", "int64": "long"}

_TEXTS = ("content", "text", "message", "prompt")
"""Names of a column of texts, each a single message of a user."""

TableT = TypeVar("TableT", bound="IntoDataFrame | Dataset")
"""The kind of table that goes in and comes out: pandas, Polars, PyArrow or a `Dataset`."""


def label_table(
    frame: TableT,
    *,
    classifier: AffectClassifier | None = None,
    columns: Mapping[str, str] | None = None,
    on_error: Literal["record", "raise"] = "record",
    prefix: str = "",
    progress: bool = False,
) -> TableT:
    """Add labels to the rows of a table in memory.

    A table is read as `read_conversations` reads one in a file:

    - Long, with a row for each message, if it has columns for the conversation's id, role and
      content. Each row gets the label of its message; one that repeats another's turn (or message
      id), role and content gets none.
    - Nested, with a row for each conversation and its messages in a column such as ``messages``,
      ``conversation`` or ``chat``, as a list of mappings with role and content or of
      `affectlib.Message`, or as JSON or Python text.
    - Texts, each a message of a user, in a column ``content``, ``text``, ``message`` or ``prompt``.

    Args:
        frame: A pandas, Polars or PyArrow table, or a ``datasets.Dataset``.
        classifier: What labels it; the bundled one if None.
        columns: Column names by field, for unusual ones: ``{"messages": "chat"}``, or
            ``{"conversation_id": "chat", "role": "who", "content": "words"}``.
        on_error: ``record`` to give the rows of a conversation that cannot be labelled the status
            ``error``, ``raise`` to stop at it. One without user text has the status ``empty``.
        prefix: Put before the names of the columns that are added.
        progress: Whether to show a progress bar.

    Returns:
        A table of the same kind, with the same rows in the same order, and more columns.

    Raises:
        InputTypeError: `frame` is not such a table, or not in memory.
        OptionError: A column is missing, or one to be added is there already.
        ConversationError: A conversation cannot be labelled and `on_error` is ``raise``.

    Example:
        >>> import pyarrow
        >>> chats = [[{"role": "user", "content": "I feel so alone, can we just talk?"}]]
        >>> label_table(pyarrow.table({"messages": chats}))["label"].to_pylist()
        ['emotional']
    """
    require_on_error(on_error)
    data, given = _open(frame)
    labels = _added(given, columns, classifier, on_error, prefix, progress)
    return _like(frame, data.with_columns(*_as_frame(labels, data).iter_columns()))


def labels_of_table(
    frame: TableT,
    *,
    level: RowLevel = "conversation",
    classifier: AffectClassifier | None = None,
    columns: Mapping[str, str] | None = None,
    on_error: Literal["record", "raise"] = "record",
    progress: bool = False,
) -> TableT:
    """Return the labels of a table in memory, as `label_file` writes those of a file.

    Args:
        frame: A table that `label_table` takes.
        level: What a row of the result is, ``conversation`` or ``message``.
        classifier: As for `label_table`.
        columns: As for `label_table`.
        on_error: As for `label_table`.
        progress: Whether to show a progress bar.

    Returns:
        A table of the same kind, with the columns of `output_schema` and no text.

    Example:
        >>> import pyarrow
        >>> rows = {"chat_id": [1, 2, 1], "role": ["user"] * 3, "content": ["hi", "sort", "thanks"]}
        >>> labels_of_table(pyarrow.table(rows))["conversation_id"].to_pylist()
        ['2', '1']
    """
    import pyarrow

    schema = output_schema(level)
    require_on_error(on_error)
    data, given = _open(frame)
    labelled = _labelled(given, columns, classifier, on_error, progress)
    rows = [row for _, record in labelled for row in record.rows(level)]
    labels = pyarrow.Table.from_pylist(rows, schema=schema)
    return _like(frame, _as_frame(labels, data))


class AffectMapper:
    """Labels batches of conversations: a plain callable for Ray, Spark, `datasets` and others.

    A batch is a table that `label_table` takes, a mapping of columns, or, for Spark, an iterator of
    tables; the result is of the same kind, with the labels added. A batch must hold whole
    conversations. A mapper pickles as its arguments, and loads its classifier once per process, at
    the first batch.

    Args:
        model: See `affectlib.AffectClassifier.from_pretrained`.
        columns: See `label_table`.
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
        columns: Mapping[str, str] | None = None,
        prefix: str = "",
        **options: Any,
    ) -> None:
        """Keep the arguments."""
        self._options = {**options, **({} if model is None else {"model": model})}
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
            InputTypeError: It is a single row, as from ``datasets.map`` without ``batched=True``.
            WorkerError: The mapper was pickled by another version of affectlib.
        """
        if isinstance(batch, Iterator):
            return map(self, batch)
        if isinstance(batch, Mapping):
            return self._label_columns(batch)
        options: dict[str, Any] = {"columns": self._columns, "prefix": self._prefix}
        return label_table(batch, classifier=self._classifier(), **options)

    def spark_schema(self, schema: StructType) -> StructType:
        """Return the schema of what ``mapInPandas`` gives for a Spark data frame of this schema.

        Example:
            >>> from pyspark.sql.types import StructType
            >>> AffectMapper().spark_schema(StructType().add("messages", "string")).names[:3]
            ['messages', 'status', 'error']
        """
        extended = type(schema)([*schema.fields])
        for field in _added_schema(_level(_fields(schema.names, self._columns)), self._prefix):
            extended.add(field.name, _SPARK_TYPES[str(field.type)])
        return extended

    def _label_columns(self, batch: Mapping[str, Any]) -> dict[str, Any]:
        if _is_row(batch, _fields(batch, self._columns)):
            raise InputTypeError(
                "expected a batch, as a mapping of columns; got a single row: use batched=True "
                "with map of datasets, or map_batches of Ray Data"
            )
        labels = _added(batch, self._columns, self._classifier(), "record", self._prefix)
        added: dict[str, Any] = labels.to_pydict()
        if any(type(column).__module__ == "numpy" for column in batch.values()):
            added = {name: labels[name].to_numpy(zero_copy_only=False) for name in added}
        return {**batch, **added}

    def _classifier(self) -> AffectClassifier:
        if self._version != _version.__version__:
            raise WorkerError(
                f"this process has affectlib {_version.__version__}, and the one that sent the "
                f"mapper has {self._version}; use the same version everywhere"
            )
        return load_once(**self._options)


def _open(frame: Any) -> tuple[nw.DataFrame[Any], dict[str, Any]]:
    """Return a table as a narwhals data frame, and its columns by name."""
    data = open_table(frame.with_format("arrow")[:] if is_dataset(frame) else frame)
    return data, dict(zip(data.columns, data.iter_columns(), strict=True))


def _as_frame(labels: pyarrow.Table, like: nw.DataFrame[Any]) -> nw.DataFrame[Any]:
    import narwhals as nw

    return nw.from_arrow(labels, backend=like.implementation)


def _like(frame: TableT, data: nw.DataFrame[Any]) -> TableT:
    """Return a table of the same kind as another."""
    table = data.to_native()
    found: TableT = to_dataset(frame, table) if is_dataset(frame) else table
    return found


def _named(names: Iterable[str], columns: Mapping[str, str] | None) -> dict[str, str]:
    """Return the columns that the caller named, or else that of texts if there is nothing else.

    Raises:
        OptionError: Several columns may hold the texts.
    """
    names = [*names]
    if columns or find_columns(names) is not None:
        return dict(columns or {})
    found = [name for name in names if isinstance(name, str) and name.strip().lower() in _TEXTS]
    if len(found) > 1:
        raise OptionError(
            f"the table has several columns that may hold the texts, {name_list(found)}; name the "
            f"right one, for example `columns={{'content': {found[0]!r}}}`"
        )
    given = {"content": found[0]} if found else {}
    fields = find_columns(names, given)
    return {} if fields is None or has_conversation_ids(fields, given) else given


def _fields(names: Iterable[str], columns: Mapping[str, str] | None) -> dict[str, str]:
    """Return the columns that are read, by field."""
    names = [*names]
    fields = find_columns(names, _named(names, columns))
    if fields is None:
        raise OptionError(
            f"the table has the columns {name_list(names)}, but none with a usual name for the "
            "messages of a conversation, or for its id, role and content; name them, for example "
            "`columns={'messages': 'chat'}`, or `columns={'content': 'text'}` if each row is a "
            "text by itself"
        )
    return fields


def _is_row(batch: Mapping[str, Any], fields: Mapping[str, str]) -> bool:
    """Whether a mapping holds the values of one row instead of columns."""
    read = [batch[column] for column in fields.values()]
    if any(isinstance(value, str | bytes) or not isinstance(value, Iterable) for value in read):
        return True
    cells = column_values(batch[fields["messages"]]) if "messages" in fields else []
    messages = [named_message(cell) for cell in cells if isinstance(cell, Mapping)]
    return 0 < len(cells) == sum(isinstance(message.get("role"), str) for message in messages)


def _added(
    given: Mapping[str, Any],
    columns: Mapping[str, str] | None,
    classifier: AffectClassifier | None,
    on_error: str,
    prefix: str,
    progress: bool = False,
) -> pyarrow.Table:
    """Return the columns that are added to a table."""
    import pyarrow

    level = _level(_fields(given, columns))
    schema = _added_schema(level, prefix)
    if taken := [name for name in schema.names if name in given]:
        raise OptionError(
            f"the table has a column {taken[0]!r} already; rename it, or give a prefix"
        )
    rows: list[Row] = [{} for _ in range(len(next(iter(given.values()))))]
    for found, record in _labelled(given, columns, classifier, on_error, progress):
        labels = record.rows(level)
        for place in found.rows:
            rows[_number(place)] = {name: labels[0][name] for name in ("status", "error")}
        for row in labels:
            if level == "conversation" or "message" in row:
                rows[_number(found.messages[row.get("message", 0)])] = row
    named = [{f"{prefix}{name}": value for name, value in row.items()} for row in rows]
    return pyarrow.Table.from_pylist(named, schema=schema)


def _level(fields: Mapping[str, str]) -> RowLevel:
    return "message" if "role" in fields and "messages" not in fields else "conversation"


def _added_schema(level: RowLevel, prefix: str) -> pyarrow.Schema:
    import pyarrow

    schema = output_schema(level)
    names = (*_ADDED[level], "truncated_tokens", "provenance", *CUES, *THEME_COLUMNS.values())
    return pyarrow.schema([schema.field(name).with_name(f"{prefix}{name}") for name in names])


def _labelled(
    given: Mapping[str, Any],
    columns: Mapping[str, str] | None,
    classifier: AffectClassifier | None,
    on_error: str,
    progress: bool,
) -> Iterator[tuple[Found, Labelled]]:
    """Label the conversations of a table, in the order of those of a file."""
    classifier = classifier_or_bundled(classifier)
    names = [*_fields(given, columns).values()]
    values = [[_plain(cell) for cell in column_values(given[name])] for name in names]
    rows = (
        TableRow(f"row {number}", dict(zip(map(str, names), cells, strict=True)))
        for number, cells in enumerate(zip(*values, strict=True))
    )
    named = {field: str(column) for field, column in _named(given, columns).items()}
    found = [*read_table(rows, Reading(ReadOptions(columns=named)))]
    origin = provenance_code(classifier.artifact, classifier.operating_point)
    outcomes: Iterable[Any] = classifier.stream(each.item for each in found)
    for record, outcome in enumerate(with_bar(outcomes, len(found)) if progress else outcomes):
        failed = isinstance(outcome, ConversationFailure) and outcome.status == "error"
        if failed and on_error == "raise":
            raise ConversationError(outcome.error)
        item = found[record].item
        conversation = item if isinstance(item, Conversation) else None
        yield found[record], Labelled(record, conversation, outcome, provenance=origin)


def _number(place: str) -> int:
    return int(place.removeprefix("row "))


def _plain(cell: Any) -> Any:
    """Return a cell's messages as lists and mappings, as files have them."""
    if isinstance(cell, Message):
        return asdict(cell)
    if isinstance(cell, Conversation):
        return [asdict(message) for message in cell.messages]
    if isinstance(cell, list | tuple) and not hasattr(cell, "asDict"):
        return [_plain(part) for part in cell]
    if hasattr(cell, "tolist"):
        return _plain(cell.tolist())
    return cell.asDict() if hasattr(cell, "asDict") else cell
