"""A language model behind an OpenAI-compatible endpoint, which judges charge and themes.

It is asked with httpx and not with the openai client, which retries on its own, and reads bodies
of any length.
"""

from __future__ import annotations

import ipaddress
import json
import math
import random
import re
import time
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any, Self

from affectlib._extras import requires_extra
from affectlib.errors import AffectlibError, OptionError
from affectlib.taxonomy import THEMES

__all__ = [
    "AnnotationError",
    "Answer",
    "Endpoint",
    "Refused",
    "RefusedRow",
    "Unreachable",
    "answer_schema",
]

_TRIES = 6
_TOO_LARGE = 413
_LONGEST_PAUSE = 60.0
_MOST_BYTES = 1_000_000
"""Of a body: an answer has a few hundred, or some 100,000 if the model thinks aloud."""
_LEAST_CHARGED = 2
_PROPERTIES = {
    "charge": {"type": "integer", "enum": [0, 1, 2, 3]},
    "themes": {"type": "array", "items": {"type": "string", "enum": [*THEMES]}},
}
_FORMATS = 3
_RNG = random.Random()
"""Its own, so that waiting changes no draws of a user's seeded generator."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a language model says about a conversation or a message.

    Attributes:
        charge: From 0 to 3.
        themes: What it is about, if this was asked and the charge is 2 or 3.
    """

    charge: int
    themes: tuple[str, ...] = ()


class AnnotationError(AffectlibError, ConnectionError):
    """The endpoint refuses to answer, or gives no answer that can be used."""


class _Passing(Exception):
    """A problem that may be gone at the next try.

    `pause` is how many seconds the endpoint asks to wait, and `reached` whether it answered at all.
    """

    def __init__(self, problem: str, pause: float | None = None, *, reached: bool = True) -> None:
        super().__init__(problem)
        self.pause = pause
        self.reached = reached


@dataclass(slots=True)
class Endpoint:
    """A language model behind an OpenAI-compatible endpoint; use it in a ``with``.

    Attributes:
        url: Its address up to ``/v1``, such as ``http://localhost:11434/v1``.
        model: The model's name there.
        key: The key, None if it needs none.
        timeout: Seconds that a request may take, from connecting to the last byte of the answer.
        tries: How often a question is asked at most.
        pause: Seconds before the second try; each later pause is twice as long.
        accepted: Whether it has answered a question yet.

    Raises:
        OptionError: `timeout` is no finite number above 0, `tries` is below 1, or `key` cannot be
            sent.

    Example:
        >>> Endpoint("http://localhost:11434/v1", "llama3", timeout=0)
        Traceback (most recent call last):
        affectlib.errors.OptionError: `timeout` must be a finite number of seconds above 0, got 0
    """

    url: str
    model: str
    key: str | None = field(default=None, repr=False)
    timeout: float = 120.0
    tries: int = _TRIES
    pause: float = 1.0
    _client: Any = field(default=None, init=False, repr=False)
    _portal: Any = field(default=None, init=False, repr=False)
    _opened: ExitStack = field(default_factory=ExitStack, init=False, repr=False)
    _format: int = field(default=0, init=False, repr=False)
    accepted: bool = field(default=False, init=False, repr=False)

    def __post_init__(self) -> None:
        """Refuse what could never be sent."""
        if not (math.isfinite(self.timeout) and self.timeout > 0):
            raise OptionError(
                f"`timeout` must be a finite number of seconds above 0, got {self.timeout}"
            )
        if self.tries < 1:
            raise OptionError(f"`tries` must be at least 1, got {self.tries}")
        if self.key is not None and not re.fullmatch("[!-~]+", self.key):
            raise OptionError(
                "`key` must be printable ASCII without spaces and line breaks; copy it again"
            )

    def __enter__(self) -> Self:
        """Open connections; raise OptionError for an invalid address."""
        with requires_extra("annotate"):
            import httpx
            from anyio.from_thread import start_blocking_portal
        try:
            address = httpx.URL(self.url)
        except httpx.InvalidURL:
            address = httpx.URL()
        known = address.scheme in ("http", "https") and (address.port or 0) < 65536
        if not (known and address.host):
            raise OptionError(
                f"`endpoint` {self.url!r}: it must begin with http:// or https://, such as "
                "http://localhost:11434/v1"
            )
        # A compressed answer could be a thousand times as long as what is read.
        headers = {"Accept-Encoding": "identity"}
        if self.key is not None:
            headers["Authorization"] = f"Bearer {self.key}"
        # httpx limits each read, so that an answer may drip for ever; `_send` limits the whole.
        self._client = httpx.AsyncClient(
            headers=headers,
            timeout=None,
            limits=httpx.Limits(),
            # What is meant for this machine must not go through a proxy that the environment names.
            trust_env=not _is_loopback(address.host),
        )
        self._portal = self._opened.enter_context(start_blocking_portal())
        return self

    def __exit__(self, *error: object) -> None:
        """End requests and close connections."""
        self._portal.call(self._client.aclose)
        self._portal.call(self._portal.stop, True)
        self._opened.close()

    def ask(self, system: str, question: str, *, themes: bool = False) -> Answer:
        """Return what the model answers.

        Args:
            system: What it is told.
            question: What it is asked.
            themes: Whether it must name themes.

        Raises:
            AnnotationError: It refuses, or gave no usable answer in all tries.
        """
        for attempt in range(self.tries):
            try:
                return self._ask_in_a_format(system, question, themes)
            except _Passing as error:
                if attempt == self.tries - 1:
                    failure = AnnotationError if error.reached else Unreachable
                    raise failure(f"{error}, {self.tries} times") from None
                pause = self.pause * 2**attempt * (0.5 + _RNG.random())
                time.sleep(min(max(pause, error.pause or 0.0), _LONGEST_PAUSE))
        raise AnnotationError("it was not asked")

    def _ask_in_a_format(self, system: str, question: str, themes: bool) -> Answer:
        """Ask in the format that was accepted, or, until one was, in each until one is."""
        chosen = self._format
        while True:
            try:
                return self._ask(system, question, themes, chosen)
            except RefusedRow as error:
                if error.status == _TOO_LARGE:
                    raise
                if chosen < self._format:  # another row has found meanwhile which one it takes
                    chosen = self._format
                elif self.accepted or chosen == _FORMATS - 1:
                    raise
                else:
                    chosen += 1

    def _ask(self, system: str, question: str, themes: bool, chosen: int) -> Answer:
        import httpx

        body: dict[str, Any] = {
            "model": self.model,
            "temperature": 0,
            "messages": [
                {"role": "system", "content": system},
                {"role": "user", "content": question},
            ],
        }
        if chosen < _FORMATS - 1:  # the last is none
            body["response_format"] = (answer_schema(themes), {"type": "json_object"})[chosen]
        try:
            status, headers, content = self._portal.call(self._send, body)
        except TimeoutError:
            raise _Passing(f"no answer in {self.timeout:g} s", reached=False) from None
        except httpx.HTTPError as error:
            reason = type(error).__name__
            raise _Passing(f"no connection ({reason})", reached=False) from None
        if status in (400, _TOO_LARGE, 422):
            raise RefusedRow(status)
        if status in (408, 409, 425, 429) or status >= 500:
            raise _Passing(f"the endpoint answered {status}", _pause_of(headers))
        if status != 200:
            raise Refused(status)
        if not self.accepted:
            self._format, self.accepted = chosen, True
        return _answer_of(content, themes)

    async def _send(self, body: Mapping[str, Any]) -> tuple[int, Mapping[str, str], bytes]:
        """Return status, headers and, of a success, the body."""
        import anyio

        address = f"{self.url.rstrip('/')}/chat/completions"
        content = bytearray()
        with anyio.fail_after(self.timeout):
            async with self._client.stream("POST", address, json=body) as response:
                if response.status_code == 200:
                    async for chunk in response.aiter_raw():
                        content += chunk
                        if len(content) > _MOST_BYTES:
                            raise _Passing(f"the answer was longer than {_MOST_BYTES:,} bytes")
        return response.status_code, response.headers, bytes(content)


class Unreachable(AnnotationError):
    """The endpoint gave no answer in all tries."""


class RefusedRow(AnnotationError):
    """The endpoint refuses a row, by a `status`, while it may take others."""

    def __init__(self, status: int) -> None:
        """Say why."""
        reason = "too long" if status == _TOO_LARGE else "too long, or stopped by a filter"
        super().__init__(f"the endpoint answered {status}: it does not take this row ({reason}?)")
        self.status = status


class Refused(AnnotationError):
    """The endpoint refuses in a way that no other row will change."""

    def __init__(self, status: int) -> None:
        """Say why."""
        reasons = {
            401: "it wants a key; name the environment variable that holds it",
            403: "the key does not allow this",
            404: "there is no such model or address; check the endpoint, up to /v1, and the model",
        }
        reason = reasons.get(status, "it does not accept the question")
        super().__init__(f"the endpoint answered {status}: {reason}")


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def _pause_of(headers: Mapping[str, str]) -> float | None:
    try:
        return float(headers.get("retry-after", ""))
    except ValueError:
        return None


def answer_schema(themes: bool) -> dict[str, Any]:
    """Return the format of an answer, as endpoints that know JSON schemas take it."""
    asked = ["charge", "themes"] if themes else ["charge"]
    schema = {
        "type": "object",
        "properties": {name: _PROPERTIES[name] for name in asked},
        "required": asked,
        "additionalProperties": False,
    }
    return {
        "type": "json_schema",
        "json_schema": {"name": "charge", "strict": True, "schema": schema},
    }


def _answer_of(content: bytes, themes: bool) -> Answer:
    """Take the answer out of a body; what else is in it is never shown."""
    try:
        text = json.loads(content)["choices"][0]["message"]["content"]
        said = json.loads(text[text.index("{") : text.rindex("}") + 1])
        charge = said["charge"]
    except (ValueError, KeyError, IndexError, TypeError, AttributeError, RecursionError):
        raise _Passing("the answer was not JSON with a charge") from None
    if isinstance(charge, str) and charge.strip() in ("0", "1", "2", "3"):
        charge = int(charge)
    if isinstance(charge, bool) or charge not in (0, 1, 2, 3):
        raise _Passing("the charge in the answer was not 0, 1, 2 or 3")
    if not themes or charge < _LEAST_CHARGED:
        return Answer(int(charge))
    named = said.get("themes")
    if not isinstance(named, list) or not all(name in [*THEMES] for name in named):
        raise _Passing("the answer had no list of known themes")
    return Answer(int(charge), tuple(dict.fromkeys(named)))
