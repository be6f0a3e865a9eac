"""Tables of other libraries: which there are, and what is in their columns."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeGuard

from affectlib._values import name_list
from affectlib.errors import InputTypeError, OptionError

if TYPE_CHECKING:
    import narwhals as nw
    import pyarrow
    from datasets import Dataset

_REMEDIES: Mapping[str, str] = {
    **dict.fromkeys(
        ("str", "list", "tuple"),
        "; texts and conversations in a list are for AffectClassifier.predict",
    ),
    **dict.fromkeys(
        ("IterableDataset", "IterableDatasetDict"), "; use its map(AffectMapper(), batched=True)"
    ),
    "DatasetDict": "; give one of its splits, such as frame['train']",
}
"""What to do with what is not a table, by the name of its type."""


def open_table(frame: Any) -> nw.DataFrame[Any]:
    """Return a table as narwhals knows it."""
    import narwhals as nw
    from narwhals.exceptions import DuplicateError

    try:
        return nw.from_native(frame, eager_only=True)
    except DuplicateError:
        names = [*getattr(frame, "column_names", frame.columns)]
        repeated = [name for name in dict.fromkeys(names) if names.count(name) > 1]
        raise OptionError(
            f"the table has several columns of the same name: {name_list(repeated)}; rename them"
        ) from None
    except TypeError:
        remedy = _REMEDIES.get(type(frame).__name__, "")
        if isinstance(nw.from_native(frame, pass_through=True), nw.LazyFrame):
            remedy = " (a lazy frame must be collected first)"
        raise InputTypeError(
            f"expected a pandas, Polars or PyArrow table or a datasets.Dataset in memory; "
            f"got {type(frame).__name__}{remedy}"
        ) from None


def is_dataset(frame: object) -> TypeGuard[Dataset]:
    """Whether a frame is a ``datasets.Dataset``, without importing its library."""
    datasets = sys.modules.get("datasets")
    return datasets is not None and isinstance(frame, datasets.Dataset)


def to_dataset(like: Dataset, table: pyarrow.Table) -> Dataset:
    """Return a table as a data set of the same class as another."""
    from datasets.table import InMemoryTable

    return type(like)(InMemoryTable(table.replace_schema_metadata(None)))
