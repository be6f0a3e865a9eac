"""Label whole collections of transcripts in bounded memory; a stopped run can be resumed."""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Callable, Collection, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import asdict, dataclass, field, replace
from json import dumps
from operator import length_hint
from typing import Any, Literal

from affectlib._atomic import locked
from affectlib._batching import Background, ahead, text_size
from affectlib._default import Classifier, classifier_or_bundled
from affectlib._inputs import Chats, Item, Readable, Texts, require_on_error
from affectlib._progress import summary_bar
from affectlib.conversation import Conversation
from affectlib.corpus.languages import ForeignLanguages
from affectlib.corpus.manifest import Header, model_facts
from affectlib.corpus.output import StandardOutput
from affectlib.corpus.provenance import provenance
from affectlib.corpus.rows import Counts, Labelled, Level, RowLevel, output_schema, row_levels
from affectlib.corpus.shards import Layout, Shards, discard_unfinished, find_finished, require_new
from affectlib.corpus.source import (
    SourceFacts,
    file_among,
    inspect_source,
    require_unchanged,
    stamps_of,
    takes_up,
)
from affectlib.corpus.workers import Label, label_here, label_on_ray, label_with_processes
from affectlib.errors import (
    OptionError,
    OutputExistsError,
    SourceChangedError,
    TranscriptFormatError,
)
from affectlib.formats import ReadOptions, ReadReport, Tally, read_conversations
from affectlib.model.reference import Comparison
from affectlib.predictions import ConversationFailure

__all__ = ["LabelSummary", "label_file"]

_SHARD = 2000
_WAITING = 64


@dataclass(frozen=True, slots=True)
class LabelSummary:
    """The counts of a run of `label_file`.

    Attributes:
        conversations: Records read, including those that failed.
        emotional: Conversations labelled emotional.
        failed: Records that could not be read or labelled.
        user_messages: User messages in the conversations labelled.
        messages: User and assistant messages in them.
        truncated_tokens: Tokens that the model did not read.
        seconds: How long it took.
        path: The output, ``-`` for standard output.
        resumed: Of the conversations, those that an earlier run labelled.
        expected: Records in the input, estimated while the run goes on; None if unknown, as with a
            pipe.
        finished_before: Whether the output was complete already, so that nothing was done.
        repaired: Files of an earlier run that were lost or altered, and made again.
        dropped: Messages and parts of messages left out in reading, by reason; see
            `affectlib.formats.DROPS`.
        skipped: Files of a folder or archive that have no known format, by reason; not records,
            and not among `failed`.
        empty: Records in which no user wrote anything, with status ``empty``; not among `failed`.
        not_kept: Names in `keep` of which no record read in this call had a value.
        unlike: How the transcripts read in this call differ from those that the model was measured
            on; None if they look alike or the model does not say.
        screened: Messages that the screen settled, so that the encoder did not read them.
        foreign: Which languages the model was not made for are among the first thousand
            conversations read in this call; None if there are none, or without the extra
            ``formats``, which tells languages apart.
    """

    conversations: int
    emotional: int
    failed: int
    user_messages: int
    messages: int
    truncated_tokens: int
    seconds: float
    path: str
    resumed: int = 0
    expected: int | None = None
    finished_before: bool = False
    repaired: tuple[str, ...] = ()
    dropped: Mapping[str, int] = field(default_factory=dict)
    skipped: Mapping[str, int] = field(default_factory=dict)
    empty: int = 0
    not_kept: tuple[str, ...] = ()
    unlike: str | None = None
    screened: int = 0
    foreign: str | None = None

    @property
    def emotional_share(self) -> float:
        """Share of the labelled conversations that is emotional, 0.0 if there is none."""
        return self.emotional / self.labelled if self.labelled else 0.0

    @property
    def labelled(self) -> int:
        """Conversations that have a label."""
        return self.conversations - self.failed - self.empty

    def to_dict(self) -> dict[str, Any]:
        """Return the figures, with ``emotional_share``, as plain values, fit for JSON."""
        figures = asdict(self) | {"repaired": [*self.repaired], "not_kept": [*self.not_kept]}
        return figures | {"emotional_share": self.emotional_share}


def label_file(
    src: str | os.PathLike[str] | Texts | Chats,
    dst: str | os.PathLike[str],
    *,
    classifier: Classifier | None = None,
    level: Level = "conversation",
    options: ReadOptions | None = None,
    keep: Collection[str] = (),
    report: ReadReport | None = None,
    on_error: Literal["record", "raise"] = "record",
    output_format: Literal["parquet", "jsonl", "csv"] | None = None,
    resume: bool = False,
    overwrite: bool = False,
    workers: int = 1,
    ray: str | None = None,
    progress: bool | Callable[[LabelSummary], None] = False,
) -> LabelSummary:
    """Label every conversation of a file, or of several, and write the labels to another file.

    The output has the columns of `output_schema`, in Parquet, JSON Lines or CSV. A row is a
    conversation or, at level ``message``, a user or assistant message. A record that cannot be
    read or labelled has one row with status ``error`` and the reason; one in which no user wrote
    anything has status ``empty``. In CSV, text that a spreadsheet would take for a formula (it
    begins with ``= + - @``, a tab or a carriage return) gets an apostrophe before it, which
    `affectlib.analysis.read_labels` removes.

    If `dst` has a suffix (``labels.parquet``) it becomes one file, which appears when it is
    complete; at level ``both`` the messages go to a second one (``labels.messages.parquet``).
    Without a suffix (``labels/``) it becomes a folder of files of 2,000 conversations each, in
    ``conversations`` and ``messages``. If a run is stopped, the same call with `resume` continues
    after the last complete file. If the output is finished and made from the same input, model and
    options, nothing is done. The output of a pipe or of a data set on the Hub cannot be resumed.
    The rows do not depend on the number of workers, nor on whether the run was resumed.

    Args:
        src: The transcripts, ``-`` for standard input; see `affectlib.formats`. Or conversations,
            or texts, as `AffectClassifier.stream` takes them; like a pipe, they cannot be resumed.
        dst: The output; ``-`` writes JSON Lines to standard output.
        classifier: What labels them; the bundled one if None.
        level: What a row is, ``conversation`` or ``message``, or ``both`` for two tables.
        options: How `src` is read; see `affectlib.ReadOptions`.
        keep: Columns of `src`, or fields of its records or of their ``metadata``, that are carried
            through to the labels, as text.
        report: Filled in while reading: what was left out, what could not be read, and where.
        on_error: ``record`` to go on after a record that fails, ``raise`` to stop at it.
        output_format: The kind of files in a folder, ``parquet`` if None.
        resume: Whether to continue an unfinished output, or repair a folder whose files were lost
            or altered.
        overwrite: Whether to start over, whatever is there of the output.
        workers: Processes that label, each with its share of the cores; one uses a few cores
            fully. With more than one, a script needs ``if __name__ == "__main__":``.
        ray: ``local``, or the address of a Ray cluster, to label there with `workers` actors.
        progress: Whether to show a progress bar; or a function to call after each record with the
            figures so far.

    Raises:
        OutputExistsError: `dst` exists and is not finished, or belongs to `src`, or another process
            is writing it.
        ResumeError: `dst` is made from another input, model or options.
        TranscriptFormatError: `src` has no known format, or a record failed and `on_error` is
            ``raise``.
        OptionError: An option has an unknown value, such as the suffix of `dst`.
        SourceChangedError: `src` was written to while it was read.
        WorkerError: A worker process was killed.
        MissingExtraError: `ray` was asked for and is not installed.

    Example:
        >>> summary = label_file("examples/transcripts.jsonl", "labels.parquet")
        >>> summary.conversations, summary.failed
        (40, 0)
        >>> label_file("examples/transcripts.jsonl", "labels.parquet").finished_before
        True
    """
    require_on_error(on_error)
    if workers < 1:
        raise OptionError(f"`workers` must be at least 1, got {workers}")
    if resume and overwrite:
        raise OptionError("`resume` and `overwrite` contradict each other; choose one")
    target = os.fspath(dst)
    levels = row_levels(level)
    layout = None if target == "-" else Layout.of(target, levels, output_format)
    if layout is None and (len(levels) > 1 or resume or output_format not in (None, "jsonl")):
        raise OptionError(
            "standard output takes one table of JSON Lines and cannot be resumed; name a file"
        )
    options = ReadOptions() if options is None else options
    options = replace(options, keep=(*options.keep, *keep)) if keep else options
    schemas = {each: output_schema(each, options.keep) for each in levels}
    report = ReadReport() if report is None else report
    source = _Source.of(src, layout, options, report)
    classifier = classifier_or_bundled(classifier)
    if resume and source.facts.is_stream:
        raise OptionError(f"{source.name}: a stream cannot be read again to resume; give a file")
    made_by = provenance(classifier.artifact, classifier.operating_point)
    with summary_bar(progress is True, lambda: classifier.windows_run) as bar:
        tell = bar if isinstance(progress, bool) else progress
        run = _Run(
            source,
            target,
            _labeller(classifier, workers, ray),
            on_error,
            tell,
            report,
            made_by["provenance"],
            Comparison.of(classifier.artifact.reference, classifier.artifact.name),
            ForeignLanguages.of(classifier.artifact),
            tuple(options.keep),
            has_bar=progress is True,
        )
        if layout is None:
            return run.to_standard_output(StandardOutput(schemas[levels[0]]), levels[0])
        settings: dict[str, Any] = {
            "level": level,
            **options.recorded(),
            "operating_point": classifier.operating_point,
            "engine": classifier.engine,
            "output_format": layout.suffix.removeprefix("."),
        }
        if classifier.screen:  # else absent, so that outputs of earlier versions can be resumed
            settings["screen"] = True
        facts, model = asdict(source.facts), model_facts(classifier.artifact)
        header: Header = {"input": facts, "model": model, "options": settings}
        with locked(layout.target):
            if overwrite:
                discard_unfinished(layout)
            elif source.facts.is_stream:
                require_new(layout)
            elif (finished := find_finished(layout, header, resume=resume)) is not None:
                return replace(run, counts=finished.counts()).summary(finished_before=True)
            origin = {"affectlib": dumps(made_by)}
            described = {each: schema.with_metadata(origin) for each, schema in schemas.items()}
            return run.to_shards(Shards(layout, header, described, size=_SHARD))


def _labeller(classifier: Classifier, workers: int, ray: str | None) -> Label:
    if ray is not None:
        return label_on_ray(classifier, workers, ray)
    if workers > 1:
        return label_with_processes(classifier, workers)
    return label_here(classifier)


@dataclass(frozen=True, slots=True)
class _Source:
    """What is labelled: its name for errors, its conversations and, if known, their number."""

    name: str
    items: Iterable[Item]
    facts: SourceFacts
    count: int | None = None
    stamps: Mapping[str, tuple[int, ...]] = field(default_factory=dict)

    @classmethod
    def of(
        cls,
        src: str | os.PathLike[str] | Texts | Chats,
        layout: Layout | None,
        options: ReadOptions,
        report: ReadReport,
    ) -> _Source:
        if not isinstance(src, str | os.PathLike):
            facts = SourceFacts(0, 0, None)
            return cls("conversations", Readable(src), facts, length_hint(src) or None)
        name = os.fspath(src)
        if layout is not None:
            _refuse_source(name, layout)
        stamps = stamps_of(name)
        read = read_conversations(name, options, report=report)
        return cls(name, read, inspect_source(name), stamps=stamps)


@dataclass(slots=True)
class _Run:
    """A run of `label_file`, after its options were checked."""

    source: _Source
    target: str
    label: Label
    on_error: Literal["record", "raise"]
    progress: Callable[[LabelSummary], None] | None
    report: ReadReport
    provenance: str
    comparison: Comparison | None
    languages: ForeignLanguages | None
    keep: tuple[str, ...]
    has_bar: bool
    counts: Counts = field(default_factory=Counts)
    kept: set[str] = field(default_factory=set)
    started: float = field(default_factory=time.monotonic)
    resumed: int = 0
    repaired: tuple[str, ...] = ()

    def to_standard_output(self, output: StandardOutput, level: RowLevel) -> LabelSummary:
        with closing(output), closing(self._labelled([])) as stream:
            for labelled in stream:
                output.add(labelled.rows(level))
        return self.summary(done=True)

    def to_shards(self, shards: Shards) -> LabelSummary:
        self.counts, self.repaired = shards.counts, shards.repaired
        self.resumed = self.counts.conversations
        writer = Background(shards.add, _WAITING)
        try:
            with closing(self._labelled(shards.done())) as stream:
                for labelled in stream:
                    writer.put(labelled)
            writer.close()
            shards.finish()
        except BaseException as error:
            with suppress(Exception):
                writer.close()
            lost = self.source.facts.is_stream or isinstance(error, SourceChangedError)
            if (note := shards.abandon(resumable=not lost)) is not None:
                error.add_note(note)
            raise
        return self.summary(done=True)

    def summary(self, *, finished_before: bool = False, done: bool = False) -> LabelSummary:
        missed = () if finished_before else (name for name in self.keep if name not in self.kept)
        return LabelSummary(
            **asdict(self.counts),
            seconds=time.monotonic() - self.started,
            path=self.target,
            resumed=self.counts.conversations if finished_before else self.resumed,
            expected=self._expected(),
            finished_before=finished_before,
            repaired=self.repaired,
            dropped=_counts(self.report.dropped),
            skipped=_counts(self.report.skipped),
            not_kept=tuple(missed),
            unlike=self.comparison.line() if self.comparison is not None and done else None,
            foreign=self.languages.line() if self.languages is not None and done else None,
        )

    def _expected(self) -> int | None:
        if self.source.count is not None:
            return self.source.count
        share = self.report.share
        return round((self.report.conversations + self.report.failures) / share) if share else None

    def _count(self, labelled: Labelled) -> None:
        self.counts += labelled.counts()
        if labelled.conversation is not None:
            self.kept |= labelled.conversation.metadata.keys() & {*self.keep}
            if self.languages is not None:
                self.languages.add(labelled.conversation)
            if self.comparison is not None:
                found = labelled.outcome.probability
                self.comparison.histogram.add(labelled.conversation, found)

    def _labelled(self, done: Sequence[tuple[int, int]]) -> Generator[Labelled]:
        """Label the records that are not done, in order, and count and tell what was taken."""
        if self.has_bar and self.progress is not None:
            self.progress(self.summary())  # when the work begins, and what an earlier run did
        waiting: deque[tuple[int, Conversation | None]] = deque()
        items = _undone(self.source.items, done)
        if not self.source.facts.is_stream:  # a thread that waits for a pipe could not be stopped
            items = ahead(items, lambda record: text_size(record[1]))
        with closing(items), closing(self.label(_remembered(items, waiting))) as outcomes:
            for outcome in outcomes:
                record, conversation = waiting.popleft()
                failure = outcome if isinstance(outcome, ConversationFailure) else None
                if self.on_error == "raise" and failure is not None and failure.status == "error":
                    name = "" if failure.id is None else f" (id {failure.id!r})"
                    problem = f"record {record}{name}: {failure.error}"
                    raise TranscriptFormatError(problem, path=self.source.name)
                labelled = Labelled(record, conversation, outcome, self.keep, self.provenance)
                yield labelled
                self._count(labelled)
                if self.progress is not None:
                    self.progress(self.summary())
        if self.source.stamps:
            require_unchanged(self.source.name, self.source.stamps)


def _counts(tallies: dict[str, Tally]) -> dict[str, int]:
    # A copy, as the thread that reads may add a reason meanwhile.
    return {reason: tally.count for reason, tally in tallies.copy().items()}


def _undone(items: Iterable[Item], done: Sequence[tuple[int, int]]) -> Generator[tuple[int, Item]]:
    """Number the records and leave out those that are done."""
    ranges = deque(done)
    try:
        for record, item in enumerate(items):
            while ranges and ranges[0][1] <= record:
                ranges.popleft()
            if not ranges or record < ranges[0][0]:
                yield record, item
    finally:
        if isinstance(items, Generator):
            items.close()  # closes its files now, not when it is collected


def _remembered(
    records: Iterable[tuple[int, Item]], waiting: deque[tuple[int, Conversation | None]]
) -> Iterator[Item]:
    """Hand records on, and keep the conversations, which their rows need."""
    for record, item in records:
        waiting.append((record, item if isinstance(item, Conversation) else None))
        yield item


def _refuse_source(source: str, layout: Layout) -> None:
    """Refuse an output that would replace its own input, or that would be read as one."""
    if (target := file_among(source, layout.written)) is not None:
        raise OutputExistsError(f"{target}: this is the input; name another output")
    if any(takes_up(source, path) for path in layout.written):
        raise OutputExistsError(
            f"{layout.target}: it lies in the input, or files written there match its pattern; "
            "name an output elsewhere"
        )
