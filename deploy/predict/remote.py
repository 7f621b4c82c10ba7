"""What lies at an http address, copied whole: up to a size, within a time, and with its password kept."""

from __future__ import annotations

import base64
import http.client
import urllib.error
import urllib.request
from typing import IO, Any
from urllib.parse import unquote, urlsplit

from pocketvision.core.errors import InputError
from pocketvision.core.receive import BoundError, receive
from pocketvision.deploy.predict.sources import Source

_TIMEOUT = 15
"""Seconds without an answer."""

_MAX_BYTES = {"image": 1 << 28, "stream": 1 << 32, "video": 1 << 32}
_MAX_SECONDS = {"image": 120, "stream": 1800, "video": 1800}
"""Of a picture and of a video."""


def fetch(source: Source, target: IO[bytes]) -> None:
    """Write what is at the address of ``source`` to ``target``.

    A name and password in the address are sent along, but not to another host that the server names.

    Raises:
        InputError: the server can't be reached, refuses, sends too much or takes too long.
    """
    parts = urlsplit(source.name)
    request = urllib.request.Request(source.public_name)  # urllib can't read passwords in addresses
    if parts.username is not None:
        secret = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
        request.add_header("Authorization", f"Basic {base64.b64encode(secret.encode()).decode()}")
    try:
        opener = urllib.request.build_opener(_Redirects())
        with opener.open(request, timeout=_TIMEOUT) as answer:
            receive(answer, target, _MAX_BYTES[source.kind], _MAX_SECONDS[source.kind])
    except BoundError as error:
        raise InputError(
            f"{source.public_name} {error.fact}: fetch it by other means, and give the file."
        ) from None
    except (urllib.error.URLError, http.client.HTTPException, OSError, ValueError) as error:
        if isinstance(error, urllib.error.HTTPError):
            error.close()  # it is a response, too
        reason = getattr(error, "reason", error)
        raise InputError(
            f"{source.public_name} can't be fetched ({reason}): check the address and the network."
        ) from None


class _Redirects(urllib.request.HTTPRedirectHandler):
    """urllib itself would send the password on to whichever host it is sent to."""

    def redirect_request(
        self, req: urllib.request.Request, fp: Any, code: int, msg: str, headers: Any, newurl: str
    ) -> urllib.request.Request | None:
        following = super().redirect_request(req, fp, code, msg, headers, newurl)
        if following is not None and _server(newurl) != _server(req.full_url):
            following.remove_header("Authorization")
        return following


def _server(address: str) -> tuple[str, str | None, int | None]:
    parts = urlsplit(address)
    return parts.scheme, parts.hostname, parts.port
