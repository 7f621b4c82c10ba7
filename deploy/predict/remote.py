"""What lies at an http address, copied whole."""

from __future__ import annotations

import base64
import http.client
import shutil
import urllib.error
import urllib.request
from typing import IO
from urllib.parse import unquote, urlsplit

from pocketvision.core.errors import InputError
from pocketvision.deploy.predict.sources import Source

_TIMEOUT = 15
"""Seconds without an answer."""


def fetch(source: Source, target: IO[bytes]) -> None:
    """Write what is at the address of ``source`` to ``target``; a name and password in it are sent along.

    Raises:
        InputError: the server can't be reached, or refuses.
    """
    parts = urlsplit(source.name)
    request = urllib.request.Request(source.public_name)  # urllib can't read passwords in addresses
    if parts.username is not None:
        secret = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
        request.add_header("Authorization", f"Basic {base64.b64encode(secret.encode()).decode()}")
    try:
        with urllib.request.urlopen(request, timeout=_TIMEOUT) as answer:
            shutil.copyfileobj(answer, target)
    except (urllib.error.URLError, http.client.HTTPException, OSError, ValueError) as error:
        reason = getattr(error, "reason", error)
        raise InputError(
            f"{source.public_name} can't be fetched ({reason}): check the address and the network."
        ) from None
