"""An output in shards: written one after the other, each all or nothing, resumed after a stop.

A folder (``labels/``) keeps its shards; for a single file (``labels.parquet``) they lie in
``labels.parquet.partial`` until they are put together::

    labels/  or  labels.parquet.partial/
        _manifest.jsonl                               see `affectlib.corpus.manifest`
        conversations/part-000000000000.parquet       by the first record it holds
        messages/part-000000000000.parquet            at level message or both

A finished single file keeps its manifest beside it (``labels.parquet.manifest``).
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from contextlib import ExitStack, closing, suppress
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

from affectlib._atomic import require_folder, sync_folder
from affectlib.corpus.manifest import NAME_ANOTHER, Header, Manifest, Shard
from affectlib.corpus.output import SUFFIXES, FileFacts, OutputFile
from affectlib.corpus.rows import Counts, Labelled, RowLevel
from affectlib.errors import OptionError, OutputExistsError, ResumeError

if TYPE_CHECKING:
    import pyarrow

_MANIFEST = "_manifest.jsonl"
_SUBFOLDERS: Mapping[RowLevel, str] = {"conversation": "conversations", "message": "messages"}
_REMEDY = "give `resume=True` to continue it, or `overwrite=True` to replace it"


@dataclass(frozen=True, slots=True)
class Layout:
    """The files of an output.

    Attributes:
        target: What the user asked for.
        levels: The tables.
        suffix: The suffix of all files of labels.
        files: The file of each table, or None if the output is a folder of shards.
    """

    target: Path
    levels: tuple[RowLevel, ...]
    suffix: str
    files: Mapping[RowLevel, Path] | None

    @classmethod
    def of(cls, target: str, levels: tuple[RowLevel, ...], kind: str | None) -> Layout:
        """Tell by its name whether an output is a file or a folder.

        Args:
            target: A folder if it exists as one, ends with a slash or has no suffix, else a file.
            levels: The tables.
            kind: The kind of the files of a folder, ``parquet`` if None.
        """
        path = Path(target)
        kinds = [suffix.removeprefix(".") for suffix in SUFFIXES]
        if kind is not None and kind not in kinds:
            raise OptionError(f"unknown output format {kind!r}; use {', '.join(kinds)}")
        require_folder(path)
        if path.is_dir() or target.endswith(("/", os.sep)) or not path.suffix:
            return cls(path, levels, f".{kind or kinds[0]}", None)
        if path.suffix not in SUFFIXES:
            raise OptionError(
                f"{target}: unknown suffix {path.suffix!r} of the output; "
                f"use {', '.join(SUFFIXES)}, or a folder"
            )
        if kind not in (None, path.suffix.removeprefix(".")):
            raise OptionError(f"{target}: its suffix is not that of the format {kind!r}")
        main, *others = levels
        files = {main: path}
        for level in others:
            files[level] = path.with_name(f"{path.stem}.{_SUBFOLDERS[level]}{path.suffix}")
        return cls(path, levels, path.suffix, files)

    @property
    def folder(self) -> Path:
        """The folder of the shards."""
        if self.files is None:
            return self.target
        return self.target.with_name(f"{self.target.name}.partial")

    @property
    def working_manifest(self) -> Path:
        """The manifest while the output is made."""
        return self.folder / _MANIFEST

    @property
    def final_manifest(self) -> Path:
        """The manifest of the finished output."""
        if self.files is None:
            return self.working_manifest
        return self.target.with_name(f"{self.target.name}.manifest")

    @property
    def written(self) -> list[Path]:
        """The files that a run writes; of the shards of each table, the first."""
        shards = [self.part(level, 0) for level in self.levels]
        return [*(self.files or {}).values(), self.final_manifest, self.working_manifest, *shards]

    def holds(self, path: Path) -> bool:
        """Whether a file of this path would be one of the output's, or lie among its shards.

        Example:
            >>> layout = Layout.of("labels.csv", ("conversation", "message"), None)
            >>> [layout.holds(Path(name)) for name in ("labels.messages.csv", "summary.json")]
            [True, False]
        """
        place = path.resolve()
        lock = self.target.with_name(f".{self.target.name}.lock")
        if place in {each.resolve() for each in (self.target, self.folder, lock, *self.written)}:
            return True
        shards = [self.subfolder(level) for level in self.levels]
        folders = shards if self.files is None else [self.folder]
        return any(place.is_relative_to(folder.resolve()) for folder in folders)

    def subfolder(self, level: RowLevel) -> Path:
        """Return the folder of the shards of a table."""
        return self.folder / _SUBFOLDERS[level]

    def part(self, level: RowLevel, first: int) -> Path:
        """Return the shard of a table that begins with a record."""
        return self.subfolder(level) / f"part-{first:012d}{self.suffix}"


def find_finished(layout: Layout, header: Header, *, resume: bool) -> Manifest | None:
    """Return the manifest of a finished output made from the same, or None if there is work to do.

    Args:
        layout: Where the output lies.
        header: What it would be made from now.
        resume: Whether an unfinished or damaged output may be completed; else it is refused.
    """
    working = Manifest.read(layout.working_manifest)
    if working is not None and (layout.files is not None or working.finished is None):
        labelled = working.counts().conversations
        if not resume:
            raise OutputExistsError(
                f"{layout.target}: there is an unfinished output of {labelled:,} conversations; "
                f"{_REMEDY}"
            )
        _require_same(layout, working, header)
        return None
    finished = Manifest.read(layout.final_manifest)
    there = [path for path in (layout.files or {}).values() if path.exists()]
    if finished is None:
        _refuse_foreign(layout)
        if there:
            raise OutputExistsError(f"{there[0]}: it exists; {NAME_ANOTHER}")
        return None
    if layout.files is not None and not there:
        return None
    _require_same(layout, finished, header)
    if problems := _problems(layout, finished):
        if layout.files is None and resume:
            return None
        remedy = _REMEDY if layout.files is None else NAME_ANOTHER
        raise OutputExistsError(f"{'; '.join(problems)}; {remedy}")
    if layout.files is not None:
        discard_unfinished(layout)  # shards of a run that was killed at the very end
    return finished


def require_new(layout: Layout) -> None:
    """Refuse any earlier output, for an input that cannot be compared with the earlier one."""
    there = (layout.working_manifest, *(layout.files or {}).values())
    if any(path.exists() for path in there):
        raise OutputExistsError(
            f"{layout.target}: it exists, and as the input is a stream, nothing tells whether it "
            f"was made from it; {NAME_ANOTHER}"
        )
    _refuse_foreign(layout)


class Shards:
    """An output that is being made.

    Args:
        layout: Where it lies.
        header: What it is made from.
        schemas: The columns of each table, with the metadata of Parquet files.
        size: Records of a shard.
    """

    def __init__(
        self,
        layout: Layout,
        header: Header,
        schemas: Mapping[RowLevel, pyarrow.Schema],
        *,
        size: int,
    ) -> None:
        self._layout = layout
        self._size = size
        self._schemas = schemas
        self._open: _OpenShard | None = None
        self.repaired: tuple[str, ...] = ()
        """Files of shards that were lost or altered, and are made again."""
        manifest = Manifest.read(layout.working_manifest)
        self._began = manifest is None
        if manifest is None:
            manifest = Manifest(layout.working_manifest, header)
            layout.folder.mkdir(exist_ok=True)
        self._manifest = manifest
        self._drop_incomplete()

    @property
    def counts(self) -> Counts:
        """The counts of the complete shards."""
        return self._manifest.counts()

    def done(self) -> list[tuple[int, int]]:
        """Return the records that are labelled, as ranges of first and end, in order."""
        return [(shard.first, shard.end) for shard in self._manifest.ordered()]

    def add(self, labelled: Labelled) -> None:
        """Add a record, after all before it that are not done."""
        shard = self._open
        if shard is not None and (shard.records >= self._size or shard.end != labelled.record):
            self._complete(shard)
            shard = None
        if shard is None:
            shard = self._open = _OpenShard(labelled.record, self._layout, self._schemas)
        try:
            shard.add(labelled)
        except BaseException:  # part of the record may be written, so it can never be completed
            self._open = None
            shard.close()
            raise

    def finish(self) -> None:
        """Complete the output."""
        if self._open is None and not self._manifest.shards:
            self._open = _OpenShard(0, self._layout, self._schemas)  # columns without rows
        if self._open is not None:
            self._complete(self._open)
        if self._layout.files is None:
            for shard in self._manifest.ordered():
                for name in shard.files:
                    (self._layout.folder / name).stat()  # raises if somebody removed it
            self._manifest.finish({})
            return
        facts: dict[OutputFile, FileFacts] = {}
        with ExitStack() as opened:
            for level, path in self._layout.files.items():
                file = opened.enter_context(closing(OutputFile(path, self._schemas[level])))
                shards = self._manifest.ordered()
                file.append([self._layout.part(level, shard.first) for shard in shards])
                file.finish()
                facts[file] = file.facts()
            self._manifest.finish({file.path.name: each for file, each in facts.items()})
            for file in facts:
                file.publish()
        self._layout.working_manifest.replace(self._layout.final_manifest)
        sync_folder(self._layout.target.parent)
        shutil.rmtree(self._layout.folder)

    def abandon(self, *, resumable: bool) -> str | None:
        """Keep what was labelled, and say where it is; `resumable` if the input can be reread."""
        folder = self._layout.folder
        removed = self._manifest.finished is None and not self._layout.working_manifest.exists()
        if self._open is not None:
            shard = self._open
            with suppress(Exception):  # the error that led here is the one to report
                self._complete(shard)
            with suppress(OSError):
                shard.close()
        if removed:
            return f"{folder} was removed or moved during the run, so that it cannot be resumed"
        if self._manifest.shards and self._layout.working_manifest.exists():
            remedy = ", and can be resumed" if resumable else ""
            return f"what was labelled until then is in {folder}{remedy}"
        if self._began:
            discard_unfinished(self._layout)
        return None

    def _complete(self, shard: _OpenShard) -> None:
        self._open = None
        self._manifest.add(shard.complete())

    def _drop_incomplete(self) -> None:
        """Drop shards that were lost or altered, and files that the manifest lacks."""
        folder = self._layout.folder
        for shard in self._manifest.ordered():
            if problems := shard.problems(folder):
                del self._manifest.shards[shard.first]
                self.repaired += (*problems,)
        self._manifest.finished = None
        self._manifest.write()
        known = {folder / name for shard in self._manifest.shards.values() for name in shard.files}
        for level in self._layout.levels:
            self._layout.subfolder(level).mkdir(exist_ok=True)
            for path in self._layout.subfolder(level).iterdir():
                if path not in known and path.name.lstrip(".").startswith("part-"):
                    path.unlink()


def discard_unfinished(layout: Layout) -> None:
    """Remove an unfinished output; a finished single file stays."""
    if not layout.working_manifest.exists():
        _refuse_foreign(layout)
    for name in _SUBFOLDERS.values():
        if (layout.folder / name).is_dir():
            shutil.rmtree(layout.folder / name)
    layout.working_manifest.unlink(missing_ok=True)  # last: without it nothing here is ours
    with suppress(OSError):  # it holds something of the user's, or is not there
        layout.folder.rmdir()


def _refuse_foreign(layout: Layout) -> None:
    """Refuse a folder that holds something else than an output."""
    if layout.files is not None or not layout.folder.is_dir():
        return
    if any(not path.name.startswith(".") for path in layout.folder.iterdir()):
        raise OutputExistsError(
            f"{layout.target}: the folder holds something else; name one that is new or empty"
        )


class _OpenShard:
    def __init__(
        self, first: int, layout: Layout, schemas: Mapping[RowLevel, pyarrow.Schema]
    ) -> None:
        self.first = first
        self.records = 0
        self._counts = Counts()
        self._folder = layout.folder
        self._files: dict[RowLevel, OutputFile] = {}
        with ExitStack() as opened:
            for level, schema in schemas.items():
                file = OutputFile(layout.part(level, first), schema)
                self._files[level] = opened.enter_context(closing(file))
            self.close = opened.pop_all().close

    @property
    def end(self) -> int:
        return self.first + self.records

    def add(self, labelled: Labelled) -> None:
        rows = {level: labelled.rows(level) for level in self._files}
        counts = self._counts + labelled.counts()
        for level, file in self._files.items():
            file.add(rows[level])
        self._counts = counts
        self.records += 1

    def complete(self) -> Shard:
        facts: dict[str, FileFacts] = {}
        with closing(self):
            for file in self._files.values():
                file.finish()
                facts[file.path.relative_to(self._folder).as_posix()] = file.facts()
            for file in self._files.values():
                file.publish()
        for file in self._files.values():
            sync_folder(file.path.parent)
        return Shard(self.first, self.records, facts, self._counts)


def parquet_shards(folder: Path) -> list[list[Path]]:
    """Return the Parquet shards of each table of labels that a folder holds, or is."""
    places = [folder, *(folder / name for name in _SUBFOLDERS.values())]
    found = (sorted(place.glob("part-*.parquet")) for place in places)
    return [shards for shards in found if shards]


def _require_same(layout: Layout, manifest: Manifest, header: Header) -> None:
    if changes := manifest.changes(header):
        made_by = manifest.header.get("model", {}).get("version")
        another = made_by is not None and made_by != header["model"]["version"]
        first = f"use affectlib {made_by}, " if another else ""
        raise ResumeError(
            f"{layout.target}: what is there was made from something else ({'; '.join(changes)}); "
            f"{first}{NAME_ANOTHER}"
        )


def _problems(layout: Layout, finished: Manifest) -> list[str]:
    """Say what is wrong with the files of a finished output."""
    if layout.files is None:
        return [*chain.from_iterable(s.problems(layout.folder) for s in finished.ordered())]
    paths = {path.name: path for path in layout.files.values()}
    checked = ((paths[name], facts) for name, facts in (finished.finished or {}).items())
    return [f"{path}: {problem}" for path, facts in checked if (problem := facts.problem(path))]
