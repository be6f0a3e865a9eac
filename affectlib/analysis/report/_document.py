"""A report in several forms: a page, Markdown, JSON, and a table of its figures."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields

import polars as pl

from affectlib._version import __version__
from affectlib.analysis._pages import render, visible
from affectlib.analysis.report._study import Grid, Number, Section, Study, as_annotator
from affectlib.analysis.report._talk import Excerpt

__all__ = ["Report"]

_COLUMNS = (
    *("section", "measure", "group", "estimate", "low", "high", "units", "users", "method"),
    "annotator",
)


@dataclass(frozen=True, slots=True)
class Report:
    """What `affectlib.analysis.report` found.

    Attributes:
        study: What it is about.
        made_on: When it was made, as text.
        made_with: Which model made the labels, None if it is not known.
        cards: The figures at the top: the value, what it is, and its interval.
        sections: Its parts.
        excerpts: Messages as text, if they were asked for.
        data: What the figures rest on.
        missing: What it cannot say.
    """

    study: Study
    title: str
    made_on: str
    made_with: str | None
    cards: Sequence[tuple[str, str, str]]
    sections: Sequence[Section]
    excerpts: Sequence[Excerpt]
    data: Grid
    missing: Sequence[str]

    def figures(self) -> pl.DataFrame:
        """Return all figures, a row each.

        ``section, measure, group, estimate, low, high, units, users, method, annotator``. The
        method is ``labelled`` where label error was not taken out, and ``counted`` where there is
        none. The annotator is null, or names the language models whose answers in the sheet a
        figure rests on (``model:NAME prompt:PROMPT``). A figure that is suppressed is null.
        """
        kinds = dict.fromkeys(("estimate", "low", "high"), pl.Float64())
        counts = dict.fromkeys(("units", "users"), pl.Int64())
        schema = {name: (kinds | counts).get(name, pl.String()) for name in _COLUMNS}
        rows = [asdict(number) for number in self._numbers()]
        return pl.DataFrame(rows, schema=schema, orient="row").fill_nan(None)

    def html(self) -> str:
        """Return the page, which needs no network and runs no script."""
        return self._rendered("report.html", block=self.json().replace("<", "\\u003c"))

    def markdown(self) -> str:
        """Return sentences and tables as Markdown, without plots."""
        return self._rendered("report.md")

    def _rendered(self, template: str, **more: str) -> str:
        study = self.study
        shown = {field.name: getattr(self, field.name) for field in fields(self)}
        page = render(
            template,
            **shown,
            **more,
            t=study.t,
            version=__version__,
            findings=self._findings(),
            by_user=study.people is not None,
            min_users=study.min_users,
            who=study.t(f"question.{study.t.answers}", models=study.named_models),
            filled_by=study.filled_by,
            limits=("labels", "who", "cause", "person"),
        )
        return visible(page)

    def json(self) -> str:
        """Return the sentences of the summary with their figures, and all figures."""
        summary = [
            {
                "section": section.name,
                "text": section.finding.text,
                "figures": [
                    asdict(number.within(section.name, self.study))
                    for number in section.finding.numbers
                ],
            }
            for section in self.sections
            if section.finding is not None
        ]
        found = {
            "title": self.title,
            "version": __version__,
            "made_with": self.made_with,
            "annotators": [as_annotator(model) for model in self.study.models],
            "min_users": self.study.min_users,
            "summary": summary,
            "figures": self.figures().to_dicts(),
            "missing": [*self.missing],
        }
        text = json.dumps(found, ensure_ascii=False, default=str)
        return visible(text, r"\u{:04x}")

    def _findings(self) -> list[str]:
        found = [section.finding.text for section in self.sections if section.finding is not None]
        if found:
            return found
        study, t = self.study, self.study.t
        if study.shares[0]["suppressed"]:
            return [t("overall.hidden", users=study.min_users)]
        names = ["short.none", *(["short.advice"] if study.gold is None else [])]
        return [" ".join(map(t, names))]

    def _numbers(self) -> list[Number]:
        return [
            number.within(section.name, self.study)
            for section in self.sections
            for number in section.numbers
        ]
