"""Ask endpoints that misbehave, each once, and see what comes out.

python -m tools.endpoint       exit status 1 if anything comes out as it should not

Each kind of misbehaviour is played on the loopback interface. It must end as an answer, as an error
of the row or as an error of the run, as it is listed here: with no other exception, within the
deadline and a second, and with memory below a limit.
"""

from __future__ import annotations

import argparse
import gzip
import itertools
import json
import socketserver
import sys
import threading
import time
import tracemalloc
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from affectlib.analysis import AnnotationError, Endpoint
from affectlib.analysis.endpoint import Refused, Unreachable

TIMEOUT = 1.0
MOST_MB = 40.0
"""A body of a million bytes may hold 300,000 lists, of 64 bytes each."""
_LONGEST = 10.0
"""Seconds after which the server stops by itself."""

Part = bytes | float
"""What to send, or how many seconds to wait."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """The result of a question.

    Attributes:
        kind: "answer", "row", "run", or the name of an exception that should not have come out.
        text: The answer or the error.
        requests: How often it was asked.
        seconds: How long it took.
        megabytes: How much Python's memory grew at most, the server's included.
    """

    kind: str
    text: str
    requests: int
    seconds: float
    megabytes: float


def http(body: bytes, *headers: str, status: str = "200 OK") -> bytes:
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *headers, "", ""]
    return "\r\n".join(lines).encode() + body


def said(content: Any) -> bytes:
    return http(json.dumps({"choices": [{"message": {"content": content}}]}).encode())


def drip(text: bytes) -> Iterator[Part]:
    for byte in text:
        yield bytes([byte])
        yield TIMEOUT / 5


def endless(begin: bytes, part: bytes) -> Iterator[Part]:
    return itertools.chain([begin], itertools.repeat(part))


OK = b"HTTP/1.1 200 OK\r\n"
BLOCK = b" " * 65536
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"
GOOD = said('{"charge": 2}')
NESTED = 200_000
PETABYTE = b"Content-Length: %d\r\n\r\n" % 10**15


def cases() -> dict[str, tuple[str, Iterable[Part]]]:
    """Return what each kind must come to, and what it sends."""
    body = GOOD.partition(b"\r\n\r\n")[2]
    bomb = gzip.compress(b" " * 100_000_000)
    found: dict[str, tuple[str, Iterable[Part]]] = {
        "good": ("answer", [GOOD]),
        "good, in two parts": ("answer", [GOOD[:60], 0.1, GOOD[60:]]),
        "good, in chunks of a byte": (
            "answer", [CHUNKED, *(b"1\r\n%c\r\n" % byte for byte in body), b"0\r\n\r\n"]
        ),
        "good, in a fence": ("answer", [said('So:\n```json\n{"charge": "2"}\n```')]),
        "endless body": ("row", endless(OK + b"\r\n", BLOCK)),
        "endless chunks": ("row", endless(CHUNKED, b"10000\r\n" + BLOCK + b"\r\n")),
        "body of a petabyte": ("row", endless(OK + PETABYTE, BLOCK)),
        "endless body of an error": ("row", endless(b"HTTP/1.1 500 No\r\n\r\n", BLOCK)),
        "gzip bomb": ("row", [http(bomb, "Content-Encoding: gzip")]),
        "dripping body": ("run", itertools.chain([OK + b"\r\n"], drip(b" " * 1000))),
        "dripping headers": ("run", drip(OK + b"X: " + b"x" * 1000)),
        "dripping chunk size": ("run", itertools.chain([CHUNKED], drip(b"0" * 1000))),
        "endless header": ("run", endless(OK + b"X: ", BLOCK.replace(b" ", b"x"))),
        "endless headers": ("run", endless(OK, b"X: y\r\n" * 1000)),
        "endless 100 Continue": ("run", endless(b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 10)),
        "silence": ("run", [100.0]),
        "silence within the body": ("run", [GOOD[:-5], 100.0]),
        "closed at once": ("run", []),
        "closed within the body": ("run", [GOOD[:-5]]),
        "not HTTP": ("run", [b"SSH-2.0-OpenSSH_9.9\r\n"]),
        "negative length": ("run", [OK + b"Content-Length: -1\r\n\r\n"]),
        "two lengths": ("run", [OK + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\nab"]),
        "bad chunk size": ("run", [CHUNKED + b"zz\r\n"]),
        "empty body": ("row", [http(b"")]),
        "not UTF-8": ("row", [http(b"\xff\xfe\xfa")]),
        "NUL bytes": ("row", [http(bytes(1000))]),
        "nested brackets": ("row", [http(b"[" * NESTED)]),
        "nested brackets in the answer": ("row", [said('{"charge": ' + "[" * NESTED + "}")]),
        "nested objects in the answer": ("row", [said('{"a":' * 90_000 + "1" + "}" * 90_000)]),
        "300,000 lists": ("row", [http(b"[" + b"[]," * 300_000 + b"[]]")]),
        "no choices": ("row", [http(b'{"choices": []}')]),
        "null": ("row", [said(None)]),
        "a list": ("row", [said(["{", "}"])]),
        "charge of 5,000 digits": ("row", [said('{"charge": ' + "1" * 5000 + "}")]),
        "charge NaN": ("row", [said('{"charge": NaN}')]),
        "charge 1e999": ("row", [said('{"charge": 1e999}')]),
        "charge true": ("row", [said('{"charge": true}')]),
        "redirect to itself": ("run", [http(b"", "Location: /v1", status="307 Away")]),
        "101 Switching Protocols": ("run", [b"HTTP/1.1 101 Go\r\nUpgrade: x\r\n\r\n", 100.0]),
        "204 No Content": ("run", [b"HTTP/1.1 204 No\r\n\r\n"]),
        "Retry-After: nan": ("row", [http(b"", "Retry-After: nan", status="429 Wait")]),
    }  # fmt: skip
    for status in (400, 413, 422):
        found[f"status {status}"] = ("row", [http(b"", status=f"{status} No")])
    for status in (401, 403, 404):
        found[f"status {status}"] = ("run", [http(b"", status=f"{status} No")])
    return found


@contextmanager
def serving(parts: Iterable[Part]) -> Iterator[tuple[str, list[bytes]]]:
    """Send these parts to whoever asks, and close; yield the address, and the requests."""
    asked: list[bytes] = []
    stopped = threading.Event()

    class Handler(socketserver.StreamRequestHandler):
        timeout = _LONGEST

        def handle(self) -> None:
            begin = time.monotonic()
            length = 0
            while (line := self.rfile.readline()).strip():
                if line.lower().startswith(b"content-length:"):
                    length = int(line.split(b":")[1])
            asked.append(self.rfile.read(length))
            for part in parts:
                if stopped.is_set() or time.monotonic() - begin > _LONGEST:
                    return
                if isinstance(part, bytes):
                    self.wfile.write(part)
                else:
                    stopped.wait(min(part, _LONGEST))

    class Server(socketserver.ThreadingTCPServer):
        daemon_threads = True

        def handle_error(self, *_: Any) -> None:
            pass  # the client has gone

    with Server(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}/v1", asked
        finally:
            stopped.set()
            server.shutdown()
            thread.join()


def outcome_of(parts: Iterable[Part], *, tries: int = 1) -> Outcome:
    with (
        serving(parts) as (url, asked),
        Endpoint(url, "m", timeout=TIMEOUT, tries=tries, pause=0.01) as endpoint,
    ):
        tracemalloc.start()
        begin = time.monotonic()
        try:
            kind, text = "answer", str(endpoint.ask("system", "question"))
        except (Refused, Unreachable) as error:
            kind, text = "run", str(error)
        except AnnotationError as error:
            kind, text = "row", str(error)
        except Exception as error:  # what must not happen is what is looked for
            kind, text = type(error).__name__, ""
        seconds = time.monotonic() - begin
        megabytes = tracemalloc.get_traced_memory()[1] / 1e6
        tracemalloc.stop()
    return Outcome(kind, text, len(asked), seconds, megabytes)


def held(expected: str, found: Outcome, seconds: float = TIMEOUT + 1) -> bool:
    in_time = found.seconds <= seconds
    return found.kind == expected and in_time and found.megabytes <= MOST_MB


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m tools.endpoint",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.parse_args(argv)
    broken = 0
    kinds = cases()
    print(f"{'':2}{'kind':31}{'came to':10}{'requests':>9}{'s':>6}{'MB':>7}  what it said")
    for name, (expected, parts) in kinds.items():
        found = outcome_of(parts)
        fine = held(expected, found)
        broken += not fine
        print(
            f"{'' if fine else '!':2}{name:31}{found.kind:10}{found.requests:9}"
            f"{found.seconds:6.2f}{found.megabytes:7.1f}  {found.text[:70]}"
        )
    print(f"{len(kinds)} kinds, {broken} that did not come to what they should")
    return int(broken > 0)


if __name__ == "__main__":
    sys.exit(main())
