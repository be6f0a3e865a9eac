"""Endpoints that misbehave: a few of the kinds that ``python -m tools.endpoint`` plays."""

from __future__ import annotations

import math

import pytest

from affectlib import cli
from affectlib.analysis import Endpoint
from affectlib.errors import OptionError
from tools.endpoint import cases, held, outcome_of

URL = "http://127.0.0.1:9/v1"


@pytest.mark.loopback
@pytest.mark.parametrize(
    "kind",
    ["good", "endless body", "gzip bomb", "dripping body", "dripping headers", "nested brackets",
     "nested brackets in the answer", "300,000 lists", "endless 100 Continue"],
)  # fmt: skip
def test_misbehaviour_is_bounded_in_time_and_memory(kind: str) -> None:
    expected, parts = cases()[kind]
    found = outcome_of(parts)
    assert held(expected, found, seconds=20), found  # busy machines are slow


@pytest.mark.loopback
@pytest.mark.parametrize(
    ("status", "requests"), [(400, 3), (401, 1), (403, 1), (404, 1), (413, 1), (422, 3)]
)
def test_what_cannot_succeed_is_asked_once_in_each_format(status: int, requests: int) -> None:
    expected, parts = cases()[f"status {status}"]
    found = outcome_of(parts, tries=5)
    assert (found.kind, found.requests) == (expected, requests)


@pytest.mark.parametrize("timeout", [math.nan, math.inf, -math.inf, 0.0, -1.0])
def test_a_timeout_that_is_none_is_refused(timeout: float) -> None:
    with pytest.raises(OptionError, match="`timeout`"):
        Endpoint(URL, "m", timeout=timeout)


@pytest.mark.parametrize("key", ["", "é-1", "k-1\n", "k-1\r\nX: y", "k 1", "k\0"])
def test_a_key_that_cannot_be_sent_is_refused_and_not_shown(key: str) -> None:
    with pytest.raises(OptionError, match="`key`") as caught:
        Endpoint(URL, "m", key)
    assert not key or key not in str(caught.value)


@pytest.mark.parametrize("url", ["http://[::1", "http://x:99999/v1", "http://\x00/v1"])
def test_an_address_that_is_none_is_refused(url: str) -> None:
    with pytest.raises(OptionError, match="must begin with http"), Endpoint(url, "m"):
        pass


@pytest.mark.parametrize(
    ("options", "named"),
    [(["--timeout", "nan"], "--timeout must"), (["--key-variable", "K"], "--key-variable K")],
)
def test_the_command_names_the_option(
    options: list[str],
    named: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("K", "k-é\n")
    command = ["annotate", "s.csv", "--transcripts", "t.jsonl", "--endpoint", URL]
    rest = ["--endpoint-model", "m", "-o", "o.csv", "--network", "--yes"]
    assert cli.main([*command, *rest, *options]) == 2
    message = capsys.readouterr().err
    assert named in message
    assert "k-é" not in message
