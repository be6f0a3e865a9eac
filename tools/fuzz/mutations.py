"""Ways to damage an export: its records, its bytes, and what it is packed in."""

from __future__ import annotations

import copy
import gzip
import io
import json
import random
import zipfile
from collections.abc import Callable
from typing import Any

import zstandard

from tools.fuzz.exports import Export, encode

_DEEP = 60


def _deep(opening: str, closing: str) -> Any:
    return json.loads(opening * _DEEP + closing * _DEEP)


JUNK: tuple[Any, ...] = (
    None,
    True,
    False,
    0,
    -1,
    1.5,
    1e308,
    float("nan"),
    float("inf"),
    -float("inf"),
    10**400,
    "",
    " ",
    "x" * 2000,
    "\x00",
    "\ud800",
    "\u202e\u2028",
    "user",
    "assistant",
    "2024-99-99",
    [],
    {},
    [None],
    [[]],
    {"": {}},
    _deep("[", "]"),
    {"role": "user"},
    {"role": None, "content": {}},
)


def mutate_records(value: Any, rng: random.Random) -> Any:
    """Return JSON with a part of it replaced, removed, repeated, moved or renamed."""
    value = json.loads(json.dumps(value))
    strings = [*_strings(value)]
    for _ in range(rng.choice((1, 1, 1, 2, 3, 6))):
        container, key = _somewhere(value, rng)
        if container is None:
            continue
        _mutate(container, key, strings, rng)
    return value


def _mutate(container: Any, key: Any, strings: list[str], rng: random.Random) -> None:
    choice = rng.randrange(8)
    if choice <= 1:
        container[key] = copy.deepcopy(rng.choice(JUNK))
    elif choice == 2:
        del container[key]
    elif choice == 3 and strings:
        container[key] = rng.choice(strings)  # cycles, repeated ids, missing parents
    elif choice == 4:
        container[key] = [container[key]]
    elif choice == 5 and isinstance(container, list):
        container.insert(rng.randrange(len(container) + 1), copy.deepcopy(container[key]))
    elif choice == 5:
        container[rng.choice(strings or ["x"])] = container.pop(key)
    elif choice == 6 and isinstance(container, list):
        rng.shuffle(container)
    else:
        container[key] = json.dumps(container[key])


def _somewhere(value: Any, rng: random.Random) -> tuple[Any, Any]:
    container, key = None, None
    while isinstance(value, list | dict) and value:
        container = value
        key = rng.randrange(len(value)) if isinstance(value, list) else rng.choice([*value])
        value = container[key]
        if rng.random() < 0.2:
            break
    return container, key


def _strings(value: Any) -> list[str]:
    """Return all keys and short strings in nested lists and objects."""
    found: list[str] = []
    waiting = [value]
    while waiting:
        part = waiting.pop()
        if isinstance(part, dict):
            found += [*part]
            waiting += part.values()
        elif isinstance(part, list):
            waiting += part
        elif isinstance(part, str) and len(part) < 10:
            found.append(part)
    return found


TOKENS = (
    b"\x00",
    b"\xff\xfe",
    b"\xef\xbb\xbf",
    b"\xf0\x9f",
    b"\r\n",
    b'"',
    b"\\",
    b"{",
    b"}",
    b"[",
    b"]",
    b",",
    b"[" * 3000,
    b'{"a":' * 3000,
    b"9" * 5000,
    b"NaN",
    b"\n\nHuman:",
    b"PAR1",
    b"PK\x03\x04",
    b"\x1f\x8b",
    b"\x28\xb5\x2f\xfd",
)


def mutate_bytes(data: bytes, rng: random.Random) -> bytes:
    """Return bytes with some of them cut, changed, repeated or put in."""
    for _ in range(rng.choice((1, 1, 2, 4))):
        start, end = sorted(rng.randrange(len(data) + 1) for _ in range(2))
        choice = rng.randrange(6)
        if choice == 0:
            data = data[:start]
        elif choice == 1:
            data = data[:start] + data[end:]
        elif choice == 2:
            data = data[:start] + rng.randbytes(rng.randrange(1, 9)) + data[start:]
        elif choice == 3:
            data = data[:end] + data[start:]
        elif choice == 4:
            data = data[:start] + rng.choice(TOKENS) + data[start:]
        else:
            changed = bytearray(data)
            for _ in range(rng.randrange(1, 9)):
                if changed:
                    changed[rng.randrange(len(changed))] = rng.randrange(256)
            data = bytes(changed)
    return data


def _in_zip(data: bytes, rng: random.Random) -> bytes:
    file = io.BytesIO()
    names = ["in.json", "../in.json", "/etc/in.json", "a/b.json", "C:\\x.json", "__MACOSX/in.json"]
    with zipfile.ZipFile(file, "w", rng.choice((zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED))) as z:
        for name in rng.sample(names, rng.randrange(1, 4)):
            z.writestr(name, data)
    return file.getvalue()


PACKINGS: tuple[Callable[[bytes, random.Random], bytes], ...] = (
    lambda data, rng: gzip.compress(data, 1),
    lambda data, rng: zstandard.compress(data, 1),
    _in_zip,
    lambda data, rng: data.decode("utf-8", "replace").encode("utf-16"),
    lambda data, rng: data.decode("utf-8", "replace").encode("utf-32"),
    lambda data, rng: data.replace(b"\n", b"\r\n"),
)


def mutate(export: Export, rng: random.Random) -> dict[str, bytes]:
    as_lines = rng.random() < 0.5
    files = {}
    damaged = rng.choice([*export.records])
    for name, value in export.records.items():
        if name != damaged:
            files[name] = encode(value)
            continue
        if not isinstance(value, str) and rng.random() < 0.7:
            value = mutate_records(value, rng)
            data = encode(value, as_lines=as_lines)
            damage = rng.random() < 0.2
        else:
            data = encode(value, as_lines=as_lines)
            damage = True
        data = mutate_bytes(data, rng) if damage else data
        if rng.random() < 0.15:
            data = rng.choice(PACKINGS)(data, rng)
            data = mutate_bytes(data, rng) if rng.random() < 0.5 else data
        files[name] = data
    return files
