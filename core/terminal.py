"""Text of others on a terminal: names of files and classes can't move the cursor or forge lines."""

from __future__ import annotations

import logging
import re
import sys
from typing import Any

_UNSAFE = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
"""Control characters, line ends, what turns the direction of writing, and what UTF-8 can't hold."""


def printable(text: object) -> str:
    """One line of plain text: everything else stands as an escape, as in Python's literals."""
    return _UNSAFE.sub(lambda found: found[0].encode("unicode_escape", "surrogatepass").decode(), str(text))


class SafeFormatter(logging.Formatter):
    """Messages of one line each."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - logging's name
        return printable(super().formatMessage(record))


def notebook() -> Any:
    """``IPython.display`` in a notebook, whose output is not a stream of text; None elsewhere."""
    ipython = sys.modules.get("IPython")
    shell = None if ipython is None else ipython.get_ipython()
    if shell is None or not hasattr(shell, "kernel"):
        return None
    import IPython.display

    return IPython.display
