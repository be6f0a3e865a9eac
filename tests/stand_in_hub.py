"""A small stand-in for the Hugging Face Hub on this machine: as much of its HTTP API as we use."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any
from urllib.parse import urlsplit

IN_LFS = (".safetensors", ".onnx")


@dataclass
class Hub:
    """What the stand-in holds, and what it was asked.

    Attributes:
        address: Where it listens.
        token: The access token that may write, and read what is private.
        commits: For each model its commits: hash to content by file name.
        private: Models that only the token may read.
        large: Large files that were uploaded, by SHA-256.
        requests: Method and path of each request.
        messages: The messages of the commits.
    """

    address: str = ""
    token: str = "secret"
    commits: dict[str, dict[str, dict[str, bytes]]] = field(default_factory=dict)
    private: set[str] = field(default_factory=set)
    large: dict[str, bytes] = field(default_factory=dict)
    requests: list[tuple[str, str]] = field(default_factory=list)
    messages: list[str] = field(default_factory=list)

    def files(self, name: str) -> dict[str, bytes]:
        """Return the files of a model's last commit."""
        return self.commits[name][[*self.commits[name]][-1]]

    def commit(self, name: str, lines: list[dict[str, Any]]) -> str:
        """Add a commit, as the API describes it, and return its hash."""
        commits = self.commits[name]
        files = dict(self.files(name)) if commits else {}
        for line in lines:
            value = line["value"]
            if line["key"] == "header":
                self.messages.append(value["summary"])
            elif line["key"] == "file":
                files[value["path"]] = base64.b64decode(value["content"])
            elif line["key"] == "lfsFile":
                files[value["path"]] = self.large[value["oid"]]
        found = hashlib.sha1(repr((len(commits), sorted(files.items()))).encode()).hexdigest()
        commits[found] = files
        return found


@contextmanager
def serve_hub() -> Iterator[Hub]:
    """Run a hub on a free port of this machine."""
    hub = Hub()

    class Bound(_Handler):
        pass

    Bound.hub = hub
    server = ThreadingHTTPServer(("127.0.0.1", 0), Bound)
    hub.address = f"http://127.0.0.1:{server.server_port}"
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    hub: Hub

    def log_message(self, *_: Any) -> None:
        """Be quiet."""

    def do_HEAD(self) -> None:
        self._answer()

    def do_GET(self) -> None:
        self._answer()

    def do_POST(self) -> None:
        self._answer()

    def do_PUT(self) -> None:
        self._answer()

    def _answer(self) -> None:
        path = urlsplit(self.path).path
        self.hub.requests.append((self.command, path))
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        for methods, pattern, answer in _ROUTES:
            match = re.fullmatch(pattern, path)
            if match and self.command in methods:
                return answer(self, body, *match.groups())
        return self._send(404)

    def _send(self, status: int, content: Any = b"", headers: dict[str, str] | None = None) -> None:
        data = content if isinstance(content, bytes) else json.dumps(content).encode()
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    def _may_write(self) -> bool:
        return self.headers.get("Authorization") == f"Bearer {self.hub.token}"

    def _create(self, body: bytes) -> None:
        wanted = json.loads(body)
        name = f"{wanted['organization']}/{wanted['name']}"
        if not self._may_write():
            return self._send(401, {"error": "Invalid credentials"})
        url = f"{self.hub.address}/{name}"
        if name in self.hub.commits:
            return self._send(409, {"error": "You already created this model repo", "url": url})
        self.hub.commits[name] = {}
        if wanted.get("visibility") == "private" or wanted.get("private"):
            self.hub.private.add(name)
        return self._send(200, {"url": url})

    def _check_card(self, body: bytes) -> None:
        card = json.loads(body)["content"]
        self._send(200, {"errors": [], "warnings": [] if card else [{"message": "empty"}]})

    def _preupload(self, body: bytes, name: str, revision: str) -> None:
        files = [
            {
                "path": file["path"],
                "uploadMode": "lfs" if file["path"].endswith(IN_LFS) else "regular",
                "shouldIgnore": False,
            }
            for file in json.loads(body)["files"]
        ]
        self._send(200, {"files": files})

    def _large_files(self, body: bytes, name: str) -> None:
        asked = json.loads(body)["objects"]
        objects = [
            item | {"actions": {"upload": {"href": f"{self.hub.address}/large/{item['oid']}"}}}
            for item in asked
        ]
        self._send(200, {"transfer": "basic", "objects": objects})

    def _put(self, body: bytes, sha256: str) -> None:
        if hashlib.sha256(body).hexdigest() != sha256:
            return self._send(400)
        self.hub.large[sha256] = body
        return self._send(200)

    def _commit(self, body: bytes, name: str, revision: str) -> None:
        if not self._may_write():
            return self._send(403, {"error": "Forbidden"})
        found = self.hub.commit(name, [json.loads(line) for line in body.splitlines()])
        url = f"{self.hub.address}/{name}/commit/{found}"
        return self._send(200, {"success": True, "commitUrl": url, "commitOid": found})

    def _revision(self, name: str, revision: str | None) -> str | None:
        """Return the commit that is meant if it is there and may be read, else answer why not."""
        commits = self.hub.commits.get(name, {})
        if not commits or (name in self.hub.private and not self._may_write()):
            self._send(401, {"error": "x"}, {"X-Error-Code": "RepoNotFound"})
            return None
        found = [*commits][-1] if revision in (None, "main") else revision
        if found not in commits:
            self._send(404, {"error": "x"}, {"X-Error-Code": "RevisionNotFound"})
            return None
        return found

    def _info(self, body: bytes, name: str, revision: str | None = None) -> None:
        if self.hub.commits.get(name) == {}:  # made a moment ago: some clients ask about it first
            return self._send(200, {"id": name, "siblings": [], "tags": []})
        if (found := self._revision(name, revision)) is not None:
            siblings = [{"rfilename": file} for file in self.hub.commits[name][found]]
            return self._send(200, {"id": name, "sha": found, "siblings": siblings, "tags": []})
        return None

    def _tree(self, body: bytes, name: str, revision: str) -> None:
        if (found := self._revision(name, revision)) is None:
            return
        rows = []
        for file, content in self.hub.commits[name][found].items():
            row = {"type": "file", "path": file, "size": len(content), "oid": _git(content)}
            if file.endswith(IN_LFS):
                sha256 = hashlib.sha256(content).hexdigest()
                row["lfs"] = {"oid": sha256, "size": len(content), "pointerSize": 134}
            rows.append(row)
        self._send(200, rows)

    def _file(self, body: bytes, name: str, revision: str, file: str) -> None:
        if (found := self._revision(name, revision)) is None:
            return
        content = self.hub.commits[name][found].get(file)
        if content is None:
            return self._send(404, {"error": "x"}, {"X-Error-Code": "EntryNotFound"})
        large = file.endswith(IN_LFS)
        etag = hashlib.sha256(content).hexdigest() if large else _git(content)
        headers = {"ETag": f'"{etag}"', "X-Repo-Commit": found}
        return self._send(200, content, headers)


def _git(content: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


_NAME = r"([\w.-]+/[\w.-]+)"
_ROUTES: list[tuple[tuple[str, ...], str, Any]] = [
    (("POST",), r"/api/repos/create", _Handler._create),
    (("POST",), r"/api/validate-yaml", _Handler._check_card),
    (("POST",), rf"/api/models/{_NAME}/preupload/([\w.-]+)", _Handler._preupload),
    (("POST",), rf"/api/models/{_NAME}/commit/([\w.-]+)", _Handler._commit),
    (("POST",), rf"/{_NAME}\.git/info/lfs/objects/batch", _Handler._large_files),
    (("PUT",), r"/large/([0-9a-f]{64})", _Handler._put),
    (("GET",), rf"/api/models/{_NAME}", _Handler._info),
    (("GET",), rf"/api/models/{_NAME}/revision/([\w.-]+)", _Handler._info),
    (("GET",), rf"/api/models/{_NAME}/tree/([\w.-]+)", _Handler._tree),
    (("GET", "HEAD"), rf"/{_NAME}/resolve/([\w.-]+)/([\w.-]+)", _Handler._file),
]
