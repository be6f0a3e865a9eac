"""The documentation shows what happens, names what is there, and loads nothing from elsewhere."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import click
import pytest

import affectlib
from affectlib import analysis, cli, errors, formats
from affectlib.model.artifacts import DEFAULT_MODEL, bundled_models
from tests.chromium import Page, chromium, needs_chromium
from tests.pages import DOCS, NOT_RUN, ROOT, blocks_of, run_page
from tools.pictures import PICTURES

PAGES = sorted(DOCS.rglob("*.md"))
ON_CLUSTERS = {"ray.md": "corpus/test_ray.py", "spark.md": "corpus/test_spark.py"}
"""Pages that are run where there is a cluster, by name, and the tests that do it."""

BUILD = """
import socket
import sys

def refuse(*_, **__):
    raise OSError("the site is built without a network")

socket.socket.connect = socket.socket.connect_ex = socket.getaddrinfo = refuse
from mkdocs.__main__ import cli

cli(["build", "--strict", "--site-dir", sys.argv[1]])
"""
"""Builds the site."""

ELSEWHERE = {*errors.__all__, "ReadOptions", "read_conversations", "__version__"}
"""Names that several modules export, and the reference explains once."""

RUN_HERE = [
    page for page in PAGES if page.name not in ON_CLUSTERS and any(b.run for b in blocks_of(page))
]


def name_of(page: Path) -> str:
    return page.relative_to(DOCS).as_posix()


@pytest.mark.parametrize("page", RUN_HERE, ids=name_of)
@pytest.mark.filterwarnings("default::affectlib.analysis.AnalysisWarning")
def test_what_a_page_shows_is_what_happens(page: Path, beside_examples: Path) -> None:
    run_page(page)


@pytest.mark.parametrize(("page", "tests"), ON_CLUSTERS.items())
def test_pages_on_clusters_are_run_by_other_tests(page: str, tests: str) -> None:
    assert f'"{page}"' in (ROOT / "tests" / tests).read_text(encoding="utf-8")


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_block_is_of_a_kind_that_is_looked_at(page: Path) -> None:
    languages = {block.language for block in blocks_of(page)}
    assert languages <= {"python", "sh", "text", "yaml"}
    text = page.read_text(encoding="utf-8")
    assert text.count("```") == 2 * len([*blocks_of(page)])
    # Each note that says why blocks are not run holds some, and no block is left out otherwise.
    notes = text.count(f'"{NOT_RUN}: ')
    assert text.count(NOT_RUN) == notes
    assert notes <= sum(not block.run for block in blocks_of(page))


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_measured_figures_are_included_never_typed(page: Path) -> None:
    assert re.findall(r"\d (?:\[-?\d|\(-?[\d.]+–)", page.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("```python\nprint(1)\n```\n\n```text\n2\n```\n", "Expected"),
        ("```python\nprint(1)\n```\n\n```text\n...2\n```\n", "Expected"),
        ("```sh\naffectlib label nowhere.jsonl -o out.csv\n```\n", "nowhere"),
        ("```sh\naffectlib --version\n```\n\n```text\naffectlib 9.9\n```\n", "9.9"),
        ("```sh\nrm x\n```\n", "no command that we know"),
        ("```sh\npip install '.[nonsense]'\n```\n", "nonsense"),
        ("```sh\npip install '.[analysis,nonsense]'\n```\n", "nonsense"),
        ("NOTE```sh\n    affectlib label in.csv --nonsense\n    ```\n", "nonsense"),
        ("NOTE```sh\n    python -m training.evaluate --nonsense\n    ```\n", "nonsense"),
        ("NOTE```python\n    import affectlib\n    affectlib.nonsense(1)\n    ```\n", "nonsense"),
        ("NOTE```python\n    from affectlib import nonsense\n    ```\n", "nonsense"),
        ("NOTE```python\n    import affectlib as a\n    a.predict('x', y=1)\n    ```\n", "'y'"),
        ("NOTE```python\n    print(\n    ```\n", "never closed"),
    ],
)
def test_what_is_wrong_with_a_page_is_found(
    text: str, problem: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = tmp_path / "page.md"
    page.write_text(text.replace("NOTE", f'!!! note "{NOT_RUN}: for no reason"\n    '), "utf-8")
    monkeypatch.setattr("tests.pages.ROOT", tmp_path)
    (tmp_path / "pyproject.toml").write_bytes((ROOT / "pyproject.toml").read_bytes())
    with pytest.raises((AssertionError, ImportError, SyntaxError), match=problem):
        run_page(page)


@dataclass
class Html(HTMLParser):
    """The ids of a page, what it links to, and what it loads."""

    ids: set[str] = field(default_factory=set)
    links: list[str] = field(default_factory=list)
    loads: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {name: value or "" for name, value in attrs}
        self.ids |= {values[name] for name in ("id", "name") if name in values}
        if tag == "a" and "href" in values:
            self.links.append(values["href"])
        elif tag == "link" and values.get("rel") not in ("next", "prev"):
            self.loads.append(values["href"])
        elif "src" in values:
            self.loads.append(values["src"])
        if "style" in values:
            self.loads += re.findall(r"url\(([^)]+)\)", values["style"])


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site, built offline; warnings, such as of dead links, are errors."""
    pytest.importorskip("mkdocs", reason="building the site needs affectlib[docs]")
    folder = tmp_path_factory.mktemp("site")
    built = subprocess.run(
        [sys.executable, "-c", BUILD, str(folder)],
        cwd=ROOT,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
    )
    assert built.returncode == 0, built.stdout + built.stderr
    return folder


@pytest.fixture(scope="module")
def built(site: Path) -> dict[Path, Html]:
    """The built pages, by file."""
    pages = {}
    for path in sorted(site.rglob("*.html")):
        if path.name != "404.html":  # its addresses depend on where it is shown
            pages[path] = Html()
            pages[path].feed(path.read_text(encoding="utf-8"))
    return pages


def test_every_page_is_built(site: Path, built: dict[Path, Html]) -> None:
    assert [*built] == sorted(site / Path(name_of(page)).with_suffix(".html") for page in PAGES)


def test_nothing_is_loaded_from_elsewhere(site: Path, built: dict[Path, Html]) -> None:
    for path, page in built.items():
        assert page.loads
        for load in page.loads:
            address = urlsplit(load)
            assert address.scheme in ("", "data"), f"{path.name} loads {load}"
            assert not address.netloc, f"{path.name} loads {load}"
    sheets = [sheet.read_text(encoding="utf-8") for sheet in site.rglob("*.css")]
    assert sheets
    for sheet in sheets:
        assert re.findall(r"(?:@import|url\()\s*['\"]?(?:https?:)?//", sheet) == []


@pytest.fixture(scope="module")
def tab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    with chromium(tmp_path_factory.mktemp("chromium")) as page:
        yield page


@needs_chromium
def test_the_search_finds_a_page_in_a_folder_without_a_server(site: Path, tab: Page) -> None:
    tab.open(site / "index.html")
    tab.value("document.querySelector('[data-md-component=search-query]').focus()")
    tab.send("Input.insertText", text="publish")
    found = "document.querySelector('.md-search-result__link')?.href"
    end = time.monotonic() + 60
    while not (link := tab.value(found)) and time.monotonic() < end:
        time.sleep(0.1)
    assert urlsplit(link).path.endswith("/explanation/publishing.html")
    assert tab.requests == []


@pytest.mark.slow
@needs_chromium
def test_tables_fit_into_their_column(site: Path, built: dict[Path, Html], tab: Page) -> None:
    wide = {}
    for path in built:
        tab.open(path, width=1400)
        names = tab.value(
            "[...document.querySelectorAll('.md-typeset__table')]"
            ".filter(box => box.scrollWidth > box.parentElement.clientWidth)"
            ".map(box => box.innerText.slice(0, 60))"
        )
        if names:
            wide[path.relative_to(site).as_posix()] = names
    assert wide == {}


def test_pictures_are_small_and_each_is_made_by_the_command() -> None:
    images = {path.name: path.stat().st_size for path in (DOCS / "images").iterdir()}
    assert {*images} == {"architecture.svg", *(f"{name}.png" for name in PICTURES)}
    assert max(images.values()) < 100_000


def test_links_lead_to_pages_and_places_that_are_there(built: dict[Path, Html]) -> None:
    for path, page in built.items():
        for link in page.links:
            address = urlsplit(link)
            if address.scheme or not link:
                continue
            target = (path.parent / unquote(address.path)).resolve() if address.path else path
            assert target.is_file() or (target / "index.html").is_file(), f"{path.name}: {link}"
            if address.fragment and target in built:
                assert unquote(address.fragment) in built[target].ids, f"{path.name}: {link}"


@pytest.mark.parametrize(
    ("page", "names"),
    [
        ("library", [f"affectlib.{name}" for name in sorted({*affectlib.__all__} - ELSEWHERE)]),
        ("analysis", [f"affectlib.analysis.{name}" for name in analysis.__all__]),
        ("errors", [f"affectlib.errors.{name}" for name in errors.__all__]),
        ("formats", ["affectlib.ReadOptions", "affectlib.read_conversations"]),
        (
            "formats",
            [f"affectlib.formats.{name}" for name in sorted({*formats.__all__} - ELSEWHERE)],
        ),
        ("formats", [module.__name__ for module in formats._MODULES]),
    ],
    ids=["library", "analysis", "errors", "reading", "formats", "each format"],
)
def test_reference_is_complete(
    built: dict[Path, Html], site: Path, page: str, names: list[str]
) -> None:
    ids = built[site / "reference" / f"{page}.html"].ids
    assert [name for name in names if name not in ids] == []


def test_commands_are_all_explained(site: Path) -> None:
    text = (site / "reference" / "commands.html").read_text(encoding="utf-8")
    commands = cli.app.list_commands(click.Context(cli.app))
    assert "label" in commands
    assert [name for name in commands if f"Usage: affectlib {name}" not in text] == []


def test_card_codebook_and_changelog_are_those_of_the_repository(site: Path) -> None:
    card = (bundled_models()[DEFAULT_MODEL] / "README.md").read_text(encoding="utf-8")
    shown = (site / "reference" / "model-card.html").read_text(encoding="utf-8")
    figures = re.findall(r"-?\d\.\d{3} \(-?\d\.\d{3}–\d\.\d{3}\)", card)
    assert len(figures) > 100
    assert [figure for figure in figures if figure not in shown] == []
    assert "license: apache-2.0" not in shown  # what is before the text is for machines
    changelog = (site / "changelog.html").read_text(encoding="utf-8")
    assert affectlib.__version__ in changelog
    codebook = (site / "explanation" / "codebook.html").read_text(encoding="utf-8")
    assert len(re.findall(r"<li>[UA]\d \w+:", codebook)) == 11
