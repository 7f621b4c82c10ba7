"""Published files, fetched once: with progress, continued where they broke off, checked by their hash."""

from __future__ import annotations

import hashlib
import json
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
from pocketvision.core.files import write_json
from pocketvision.core.receive import receive

_CHUNK = 1 << 18
_TIMEOUT_S = 30
_MAX_BYTES, _MAX_SECONDS = 1 << 33, 7200
"""Of a file and of its download: what needs more is fetched by other means."""
_HASH_NAME = "SHA-256"
_HASH = re.compile(r"-([0-9a-f]{8,64})\.")
_SHA256 = re.compile(r'(?:W/)?"?([0-9a-f]{64})"?')


def download(url: str, name: str | None = None) -> Path:
    """The file at ``url`` in torch's cache, under ``name`` (default: its own).

    Its SHA-256 is checked against what is known of it: its beginning at the end of a name, as in
    torchvision's files, and what the server says in ``X-Linked-Etag`` or ``ETag``, as Hugging Face does.

    What has come before the connection breaks stays under a name of its own and is continued by the next
    call, if the server's file is still the same by its ``ETag``, ``Last-Modified`` or hash; the final name
    appears when the hash is right. Of several processes one fetches the file while the others wait.

    Raises:
        InputError: it can't be fetched, is too large, takes too long or has a wrong hash; says where to put
            the file by hand.
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
                if not part.exists():
                    _state_file(part).unlink(missing_ok=True)
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
    """Append to ``part`` what it lacks, or begin anew where the server can't continue or has another file.

    Returns:
        The SHA-256 that the server states.
    """
    have, begun = _begun(part)
    redirects = _Redirects()
    try:
        response = _open(redirects, url, _range(have, begun))
        if _is_partial(response) and not _continues(response, have, begun, redirects):
            response.close()
            response, have = _open(redirects, url, {}), 0
    except urllib.error.HTTPError as error:
        error.close()  # it is a response, too
        if error.code == 416 and have:  # nothing is left to send
            return redirects.stated
        raise
    with response:
        if not _is_partial(response):
            have = 0
            _keep_state(part, _state(response, redirects))
        with part.open("ab" if have else "wb") as file:
            receive(response, file, _MAX_BYTES, _MAX_SECONDS, have, part.stem)
    return _state(response, redirects).get(_HASH_NAME)


def _open(redirects: _Redirects, url: str, headers: dict[str, str]) -> Any:
    request = urllib.request.Request(url, headers=headers)
    return urllib.request.build_opener(redirects).open(request, timeout=_TIMEOUT_S)


def _is_partial(response: Any) -> bool:
    return getattr(response, "status", None) == 206


def _begun(part: Path) -> tuple[int, dict[str, str]]:
    """How many bytes have come, and what the server said of them; 0 where nothing tells of which file."""
    have = part.stat().st_size if part.exists() else 0
    try:
        state = json.loads(_state_file(part).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        state = {}
    if not isinstance(state, dict) or not (state or _HASH.search(part.stem)):
        return 0, {}
    return have, {str(name): str(value) for name, value in state.items()}


def _state(response: Any, redirects: _Redirects) -> dict[str, str]:
    """What tells a file from another, or from itself after a change."""
    stated = redirects.stated or _stated_hash(response.headers, is_asked=not redirects.count)
    found = {name: response.headers.get(name) for name in ("ETag", "Last-Modified")}
    return {name: value for name, value in {**found, _HASH_NAME: stated}.items() if value}


def _keep_state(part: Path, state: dict[str, str]) -> None:
    _state_file(part).unlink(missing_ok=True)
    if state:
        write_json(_state_file(part), state)


def _state_file(part: Path) -> Path:
    return part.with_name(f"{part.name}.state")


def _range(have: int, state: dict[str, str]) -> dict[str, str]:
    """The headers that ask for the rest, and for all of a file that has changed."""
    if not have:
        return {}
    tag = state.get("ETag", "W/")
    same = state.get("Last-Modified") if tag.startswith("W/") else tag
    return {"Range": f"bytes={have}-", **({"If-Range": same} if same else {})}


def _continues(response: Any, have: int, begun: dict[str, str], redirects: _Redirects) -> bool:
    """Whether a partial answer is the rest of what is there: not every server knows If-Range."""
    now = _state(response, redirects)
    is_same = all(now.get(name, value) == value for name, value in begun.items())
    return is_same and (response.headers.get("Content-Range") or f"bytes {have}-").startswith(
        f"bytes {have}-"
    )


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
