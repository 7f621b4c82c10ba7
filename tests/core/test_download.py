"""Downloading published files: hashes, caches, broken and missing connections, without a network."""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import torch

from pocketvision.core.download import download
from pocketvision.core.errors import InputError

CONTENT = bytes(range(256)) * 4000
NAME = f"net-{hashlib.sha256(CONTENT).hexdigest()[:8]}.pth"


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache of torch, and no proxy."""
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path / "hub"))
    monkeypatch.setenv("no_proxy", "*")
    return tmp_path / "hub" / "checkpoints"


def serve(folder: Path, content: bytes, digest: str | None = None) -> str:
    digest = hashlib.sha256(content).hexdigest()[:8] if digest is None else digest
    path = folder / f"net-{digest}.pth"
    path.write_bytes(content)
    return path.as_uri()


class Server(ThreadingHTTPServer):
    """Sends ``content``, resting for ``pause_s`` on the way; ``breaks_after`` bytes it hangs up, and it
    continues where it ``knows_ranges``.

    What lies in ``hub/`` it sends from ``cdn/``. ``headers`` are added, by the first word of the path.
    """

    content = CONTENT
    knows_if_range = False
    breaks_after: int | None = None
    knows_ranges = True
    pause_s = 0.0
    headers: Mapping[str, Mapping[str, str]] = {}

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.ranges: list[str | None] = []


class Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        server = self.server
        assert isinstance(server, Server)
        wanted = self.headers.get("Range")
        kind, _, rest = self.path.strip("/").partition("/")
        if kind == "hub":
            self.answer(302, kind, {"Location": f"/cdn/{rest}", "Content-Length": "0"})
            return
        server.ranges.append(wanted)
        start = int(wanted.removeprefix("bytes=").rstrip("-")) if wanted and server.knows_ranges else 0
        own = server.headers.get(kind, {})
        if server.knows_if_range and self.headers.get("If-Range") not in own.values():
            start = 0
        content = server.content
        if start >= len(content):
            self.send_error(416)
            return
        self.answer(206 if start else 200, kind, {"Content-Length": str(len(content) - start)})
        end = len(content) if server.breaks_after is None else start + server.breaks_after
        middle = (start + end) // 2
        self.wfile.write(content[start:middle])
        time.sleep(server.pause_s)
        self.wfile.write(content[middle:end])

    def answer(self, code: int, kind: str, headers: Mapping[str, str]) -> None:
        assert isinstance(self.server, Server)
        self.send_response(code)
        for name, value in {**headers, **self.server.headers.get(kind, {})}.items():
            self.send_header(name, value)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Nothing to say."""


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as running:
        threading.Thread(target=running.serve_forever, args=(0.01,), daemon=True).start()
        yield running
        running.shutdown()


def address(server: Server) -> str:
    return f"http://127.0.0.1:{server.server_port}/{NAME}"


def test_a_file_is_fetched_once(cache: Path, tmp_path: Path) -> None:
    url = serve(tmp_path, b"weights")
    path = download(url)
    assert path.parent == cache and path.read_bytes() == b"weights"
    (tmp_path / path.name).unlink()
    assert download(url) == path


def test_a_wrong_hash_leaves_no_file(cache: Path, tmp_path: Path) -> None:
    url = serve(tmp_path, b"cut off", digest="00000000")
    with pytest.raises(InputError, match="hash") as error:
        download(url)
    assert url in str(error.value) and str(cache / "net-00000000.pth") in str(error.value)
    assert list(cache.iterdir()) == []


@pytest.mark.parametrize("url", ["http://127.0.0.1:9/net-01234567.pth", "file:///nowhere/net-01234567.pth"])
def test_no_connection_names_the_url_and_the_place(cache: Path, url: str) -> None:
    with pytest.raises(InputError, match=r"could not be downloaded .* model\.weights=FILE") as error:
        download(url)
    assert url in str(error.value) and str(cache / "net-01234567.pth") in str(error.value)
    assert list(cache.iterdir()) == []


@pytest.mark.parametrize("knows_ranges", [True, False])
def test_a_broken_connection_is_continued(cache: Path, server: Server, knows_ranges: bool) -> None:
    server.breaks_after, server.knows_ranges = 300_000, knows_ranges
    with pytest.raises(InputError, match=r"could not be downloaded \(.*try again"):
        download(address(server))
    assert [path.name for path in cache.iterdir()] == [f"{NAME}.part"]
    server.breaks_after = None
    assert download(address(server)).read_bytes() == CONTENT
    assert server.ranges == [None, "bytes=300000-"]
    assert [path.name for path in cache.iterdir()] == [NAME]


def test_processes_that_start_together_do_not_mix_their_files(cache: Path, server: Server) -> None:
    """Every process of a training wants the same file: one fetches it, the others wait."""
    server.pause_s = 0.2
    with ThreadPoolExecutor(3) as pool:
        paths = list(pool.map(download, [address(server)] * 3))
    assert {path.read_bytes() for path in paths} == {CONTENT} and server.ranges == [None]
    assert [path.name for path in cache.iterdir()] == [NAME]


def test_who_waited_goes_on_where_another_failed(cache: Path, server: Server) -> None:
    server.pause_s, server.breaks_after = 0.2, 300_000
    with ThreadPoolExecutor(2) as pool:
        tries = [pool.submit(download, address(server)) for _ in range(2)]
    assert all(isinstance(attempt.exception(), InputError) for attempt in tries)
    assert server.ranges == [None, "bytes=300000-"]
    server.breaks_after = None
    assert download(address(server)).read_bytes() == CONTENT


RIGHT, WRONG = hashlib.sha256(CONTENT).hexdigest(), "0" * 64


@pytest.mark.parametrize(
    ("path", "headers", "is_right"),
    [
        ("hub/model", {"hub": {"X-Linked-Etag": f'"{RIGHT}"'}, "cdn": {"ETag": f'"{WRONG}"'}}, True),
        ("hub/model", {"hub": {"X-Linked-Etag": f'"{WRONG}"'}, "cdn": {"ETag": f'"{RIGHT}"'}}, False),
        ("model", {"model": {"ETag": f'"{RIGHT}"'}}, True),
        ("model", {"model": {"ETag": f'W/"{WRONG}"'}}, False),
        ("model", {"model": {"ETag": '"5e1-md5-of-something"'}}, True),
        ("hub/model", {}, True),
    ],
)
def test_the_hash_that_a_server_states(
    cache: Path, server: Server, path: str, headers: dict[str, dict[str, str]], is_right: bool
) -> None:
    """As Hugging Face does, which sends on to a network whose ETags mean something else."""
    server.headers = headers
    url = f"http://127.0.0.1:{server.server_port}/{path}"
    if is_right:
        assert download(url, "net.bin").read_bytes() == CONTENT
        assert [file.name for file in cache.iterdir()] == ["net.bin"]
    else:
        with pytest.raises(InputError, match=f"its hash is {RIGHT[:8]}, the server says 00000000") as error:
            download(url, "net.bin")
        assert str(cache / "net.bin") in str(error.value) and list(cache.iterdir()) == []


def test_what_is_continued_is_checked_too(cache: Path, server: Server) -> None:
    server.headers, server.breaks_after = {"hub": {"X-Linked-Etag": f'"{RIGHT}"'}}, 300_000
    url = f"http://127.0.0.1:{server.server_port}/hub/model"
    with pytest.raises(InputError, match="try again"):
        download(url, "net.bin")
    server.breaks_after = None
    assert download(url, "net.bin").read_bytes() == CONTENT
    assert server.ranges == [None, "bytes=300000-"]


CHANGED = CONTENT[::-1]
OLD = {"ETag": '"a"', "Last-Modified": "Mon, 01 Jan 2024 00:00:00 GMT"}
NEW = {"ETag": '"b"', "Last-Modified": "Tue, 02 Jan 2024 00:00:00 GMT"}
WEAK = {"ETag": 'W/"a"'}, {"ETag": 'W/"b"'}
DATES = {"Last-Modified": OLD["Last-Modified"]}, {"Last-Modified": NEW["Last-Modified"]}


@pytest.mark.parametrize("knows_if_range", [True, False])
@pytest.mark.parametrize(("before", "after"), [(OLD, NEW), WEAK, DATES, ({}, NEW), ({}, {})])
def test_a_file_that_changed_meanwhile_is_not_glued(
    cache: Path, server: Server, before: dict[str, str], after: dict[str, str], knows_if_range: bool
) -> None:
    url = f"http://127.0.0.1:{server.server_port}/model"
    server.headers, server.breaks_after = {"model": before}, 300_000
    server.knows_if_range = knows_if_range
    with pytest.raises(InputError, match="try again"):
        download(url, "net.bin")
    server.content, server.headers, server.breaks_after = CHANGED, {"model": after}, None
    assert download(url, "net.bin").read_bytes() == CHANGED
    assert [file.name for file in cache.iterdir()] == ["net.bin"]


@pytest.mark.parametrize("same", [OLD, WEAK[0], DATES[0]])
def test_the_same_file_is_continued(cache: Path, server: Server, same: dict[str, str]) -> None:
    url = f"http://127.0.0.1:{server.server_port}/model"
    server.headers, server.breaks_after = {"model": same}, 300_000
    with pytest.raises(InputError, match="try again"):
        download(url, "net.bin")
    server.breaks_after, server.knows_if_range = None, same is not WEAK[0]
    assert download(url, "net.bin").read_bytes() == CONTENT
    assert server.ranges == [None, "bytes=300000-"]
    assert [file.name for file in cache.iterdir()] == ["net.bin"]


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [("_MAX_BYTES", 1 << 19, "it is larger than"), ("_MAX_SECONDS", 0.05, "it took longer than 0.05 s")],
)
def test_size_and_time_are_bounded(
    name: str, value: float, sentence: str, cache: Path, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.pause_s = 0.2
    monkeypatch.setattr(f"pocketvision.core.download.{name}", value)
    with pytest.raises(InputError, match=rf"could not be downloaded \({sentence}.*put the file at"):
        download(address(server))


def test_a_file_that_only_lacked_its_name(cache: Path, server: Server) -> None:
    cache.mkdir(parents=True)
    (cache / f"{NAME}.part").write_bytes(CONTENT)
    assert download(address(server)).read_bytes() == CONTENT


def test_progress_says_how_much_and_how_fast(
    cache: Path, server: Server, capsys: pytest.CaptureFixture[str]
) -> None:
    download(address(server))
    line = capsys.readouterr().err.strip()
    assert line.startswith(f"{NAME}: 1.0 of 1.0 MB, 0 s left") and line.endswith("MB/s")
