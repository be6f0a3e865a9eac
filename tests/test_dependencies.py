"""The bounds in pyproject.toml can be tested: every requirement of users has a lowest version."""

from __future__ import annotations

import tomllib

import pytest

from tools.dependencies import ROOT, main


def test_every_requirement_of_users_has_a_lower_bound():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = {**project["optional-dependencies"]}
    extras.pop("dev")
    found = [*project["dependencies"], *(one for extra in extras.values() for one in extra)]
    assert len(found) > 30
    assert [one for one in found if ">=" not in one and not one.startswith("affectlib[")] == []


def test_unknown_word_is_refused(capsys):
    with pytest.raises(SystemExit):
        main(["oldest"])
    assert "oldest" in capsys.readouterr().err
