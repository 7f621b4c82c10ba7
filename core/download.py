"""Published files, fetched once: with progress, continued where they broke off, checked by their hash."""

from __future__ import annotations

import hashlib
import os
import re
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.client import HTTPException
from pathlib import Path
from typing import Any

import torch

from pocketvision.core.errors import InputError
from pocketvision.core.progress import Progress

_CHUNK = 1 << 18
_TIMEOUT_S = 30
_HASH = re.compile(r"-([0-9a-f]{8,64})\.")
_SHA256 = re.compile(r'(?:W/)?"?([0-9a-f]{64})"?')


def download(url: str, name: str | None = None) -> Path:
    """The file at ``url`` in torch's cache, under ``name`` (default: its own).

    Its SHA-256 is checked against what is known of it: its beginning at the end of a name, as in
    torchvision's files, and what the server says in ``X-Linked-Etag`` or ``ETag``, as Hugging Face does.

    What has come before the connection breaks stays under a name of its own and is continued by the next
    call; the final name appears when the hash is right. Of several processes one fetches the file while
    the others wait.

    Raises:
        InputError: it can't be fetched or the hash is wrong; says where to put the file by hand.
    """
    path = cache_path(url, name)
    if path.exists():
        return path
    part = path.with_name(f"{path.name}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with _alone(part):
            try:
                if not path.exists():
                    stated = _fetch(url, part)
                    _check_hash(part, path.name, stated)
                    part.replace(path)
            finally:
                if part.exists() and not part.stat().st_size:
                    part.unlink()
    except (OSError, HTTPException, ValueError) as error:
        raise InputError(
            f"{url} could not be downloaded ({error}): put the file at {path} yourself, "
            "or give its place with model.weights=FILE."
        ) from error
    return path


def cache_path(url: str, name: str | None = None) -> Path:
    """Where :func:`download` keeps the file."""
    return Path(torch.hub.get_dir()) / "checkpoints" / (name or url.rpartition("/")[2])


@contextmanager
def _alone(part: Path) -> Iterator[None]:
    """Wait until no other process writes ``part``, and keep others waiting meanwhile.

    The lock is on the file itself: once it has been moved or removed, its next owner starts over. Without
    such locks, on Windows, nobody waits.
    """
    try:
        import fcntl
    except ImportError:
        yield
        return
    while True:
        with part.open("ab") as file:
            with suppress(OSError):  # a network drive may have no locks
                fcntl.flock(file, fcntl.LOCK_EX)
            if _is_at(part, os.fstat(file.fileno())):
                yield
                return


def _is_at(path: Path, file: os.stat_result) -> bool:
    """Whether ``path`` still leads to an open file."""
    try:
        return os.path.samestat(path.stat(), file)
    except FileNotFoundError:
        return False


def _fetch(url: str, part: Path) -> str | None:
    """Append to ``part`` what it lacks, or begin anew where the server can't continue.

    Returns:
        The SHA-256 that the server states.
    """
    have = part.stat().st_size if part.exists() else 0
    request = urllib.request.Request(url, headers={"Range": f"bytes={have}-"} if have else {})
    redirects = _Redirects()
    try:
        response = urllib.request.build_opener(redirects).open(request, timeout=_TIMEOUT_S)
    except urllib.error.HTTPError as error:
        if error.code == 416 and have:  # nothing is left to send
            return redirects.stated
        raise
    with response:
        is_continued = getattr(response, "status", None) == 206
        have = have if is_continued else 0
        length = response.headers.get("Content-Length")
        total = have + int(length) if length else None
        with part.open("ab" if is_continued else "wb") as file:
            megabytes = None if total is None else total / 1e6
            with Progress(part.stem, megabytes, "MB", done=have / 1e6, digits=1) as progress:
                while chunk := response.read(_CHUNK):
                    file.write(chunk)
                    progress.advance(len(chunk) / 1e6)
            progress.say(progress.line())
    if total is not None and part.stat().st_size < total:
        raise OSError(f"the connection broke off after {part.stat().st_size} of {total} bytes; try again")
    return redirects.stated or _stated_hash(response.headers, is_asked=not redirects.count)


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Notes what the servers say that send on: on the last one an ETag means something else."""

    def __init__(self) -> None:
        self.count = 0
        self.stated: str | None = None

    def redirect_request(
        self, req: Any, fp: Any, code: int, msg: str, headers: Any, newurl: str
    ) -> urllib.request.Request | None:
        self.count += 1
        self.stated = self.stated or _stated_hash(headers, is_asked=False)
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _stated_hash(headers: Any, is_asked: bool) -> str | None:
    """The SHA-256 in a response's headers; ``is_asked`` where it is the asked server's own."""
    names = ("X-Linked-Etag", "ETag") if is_asked else ("X-Linked-Etag",)
    found = (_SHA256.fullmatch(headers.get(name) or "") for name in names)
    return next((match[1] for match in found if match), None)


def _check_hash(part: Path, name: str, stated: str | None) -> None:
    """Remove ``part`` and raise ValueError unless its hash is ``stated`` and begins as ``name`` says."""
    digest = sha256(part)
    in_name = _HASH.search(name)
    for expected, source in ((in_name[1] if in_name else "", "its name"), (stated or "", "the server")):
        if not digest.startswith(expected):
            part.unlink()
            raise ValueError(f"its hash is {digest[:8]}, {source} says {expected[:8]}")


def sha256(path: Path) -> str:
    """The SHA-256 of a file in hexadecimal digits."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()
