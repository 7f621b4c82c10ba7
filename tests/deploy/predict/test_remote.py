"""Pictures at addresses: who gets the password, and how much is taken."""

from __future__ import annotations

import base64
import io
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import quote, unquote

import pytest

from pocketvision.core.errors import InputError
from pocketvision.deploy.predict.remote import fetch
from pocketvision.deploy.predict.sources import Source

PASSWORD = f"Basic {base64.b64encode(b'me:s@fe').decode()}"
CONTENT = b"a picture" * 100


class Server(ThreadingHTTPServer):
    """``/to/ADDRESS`` sends on, ``/slow`` sends a byte at a time without end, and the rest is CONTENT."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.told: list[str | None] = []

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        assert isinstance(self.server, Server)
        if self.path.startswith("/to/"):
            self.send_response(302)
            self.send_header("Location", unquote(self.path.removeprefix("/to/")))
            self.end_headers()
            return
        self.server.told.append(self.headers["Authorization"])
        self.send_response(200)
        if self.path != "/slow":
            self.send_header("Content-Length", str(len(CONTENT)))
        self.end_headers()
        with suppress(OSError):  # the other side hangs up
            for _ in range(1000 if self.path == "/slow" else 0):
                self.wfile.write(b"x")
                time.sleep(0.005)
            self.wfile.write(CONTENT)

    def log_message(self, *_: object) -> None:
        """Nothing to say."""


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as running:
        threading.Thread(target=running.serve_forever, args=(0.01,), daemon=True).start()
        yield running
        running.shutdown()


@pytest.mark.parametrize(("host", "expected"), [("127.0.0.1", PASSWORD), ("localhost", None)])
def test_a_password_does_not_go_to_another_host(host: str, expected: str | None, server: Server) -> None:
    """localhost and 127.0.0.1 are one machine under two names."""
    target = io.BytesIO()
    elsewhere = quote(f"{server.address.replace('127.0.0.1', host)}/a.png", safe="")
    fetch(Source("image", f"{server.address.replace('//', '//me:s%40fe@')}/to/{elsewhere}"), target)
    assert target.getvalue() == CONTENT and server.told == [expected]


@pytest.mark.parametrize(
    ("file", "name", "value", "sentence"),
    [
        ("a.png", "_MAX_BYTES", {"image": 99}, "is larger than 0 MiB"),
        ("slow", "_MAX_BYTES", {"image": 99}, "is larger than 0 MiB"),
        ("slow", "_MAX_SECONDS", {"image": 0.05}, "took longer than 0.05 s"),
    ],
)
def test_size_and_time_are_bounded(
    file: str,
    name: str,
    value: dict[str, float],
    sentence: str,
    server: Server,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(f"pocketvision.deploy.predict.remote.{name}", value)
    target = io.BytesIO()
    with pytest.raises(InputError, match=f"/{file} {sentence}: fetch it by other means, and give the file"):
        fetch(Source("image", f"{server.address}/{file}"), target)
    assert len(target.getvalue()) <= 99
