"""How transcripts are read: one set of options for every function and command that reads them."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal, TypeAlias, get_args

from affectlib.errors import InputTypeError, OptionError
from affectlib.formats.read_report import Limits

__all__ = ["Branches", "ReadOptions"]

Branches: TypeAlias = Literal["active", "all", "longest"]
"""Which paths are read of conversations that are trees."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadOptions:
    """How transcripts are read, for `read_conversations` and `label_file`.

    Attributes:
        format: One of `affectlib.formats.FORMATS`, or ``auto`` to recognise it by the contents of
            each file.
        columns: Which column holds what, for tables with unusual names, for example
            ``{"conversation_id": "chat", "role": "who", "content": "words"}``.
        branches: Which paths are read if messages were edited or answered again, so that a
            conversation is a tree: ``active``, the one that was last seen or is ranked first;
            ``longest``; or ``all``, each as a separate conversation.
        users: Names of people whose messages are the user's, for chats without roles.
        assistants: Names of people whose messages are the assistant's. If only users or only
            assistants are named, everyone else has the other role; if both are, others are left
            out.
        gap: Minutes of silence after which another conversation begins, in chats that are not
            divided into conversations. By default 30 for Gemini; a chat among people is then one
            conversation.
        local_files_only: Whether to refuse data sets on the Hub, which need the network.
        keep: Names of columns, or of fields of a record or of its ``metadata``, that go into
            `Conversation.metadata`.
        limits: How much is too much; see `affectlib.formats.Limits`.

    Raises:
        OptionError: `branches` is unknown, or `gap` is not positive.
        InputTypeError: `users`, `assistants` or `keep` is a str instead of a list of names.

    Example:
        >>> ReadOptions(format="table", columns={"content": "words"}).branches
        'active'
    """

    format: str = "auto"
    columns: Mapping[str, str] = field(default_factory=dict)
    branches: Branches = "active"
    users: Collection[str] = ()
    assistants: Collection[str] = ()
    gap: float | None = None
    local_files_only: bool = True
    keep: Collection[str] = ()
    limits: Limits = field(default_factory=Limits)

    def __post_init__(self) -> None:
        if self.branches not in get_args(Branches):
            known = ", ".join(get_args(Branches))
            raise OptionError(f"unknown branches {self.branches!r}; use {known}")
        if self.gap is not None and not self.gap > 0:
            raise OptionError(f"gap must be a positive number of minutes, got {self.gap!r}")
        object.__setattr__(self, "columns", dict(self.columns or {}))
        for name in ("users", "assistants"):
            object.__setattr__(self, name, frozenset(_names(getattr(self, name), name)))
        object.__setattr__(self, "keep", tuple(dict.fromkeys(_names(self.keep, "keep"))))

    def recorded(self) -> dict[str, Any]:
        """Return what decides on the labels, fit for JSON; of the limits, those that were set."""
        values = asdict(self)
        lists = {name: sorted(values[name]) for name in ("users", "assistants", "keep")}
        names = ("format", "columns", "branches", "users", "assistants", "gap", "keep")
        found = {name: (values | lists)[name] for name in names}
        usual = asdict(Limits())
        limits = {name: n for name, n in values["limits"].items() if n != usual[name]}
        return found | {"limits": limits} if limits else found


def _names(names: Collection[str], option: str) -> Collection[str]:
    """Refuse a single name in place of several."""
    if isinstance(names, str):
        raise InputTypeError(f"{option} must be a list of names, got a str; pass [name]")
    return names
