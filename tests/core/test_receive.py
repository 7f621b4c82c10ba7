"""Bodies of answers: whole, continued, cut off, too large, too slow; real servers are in test_download.py."""

from __future__ import annotations

import io
import time
from collections.abc import Callable

import pytest

from pocketvision.core.receive import BoundError, receive


class Answer:
    """Gives ``parts`` one by one."""

    def __init__(
        self, parts: list[bytes], length: int | str | None, wait: Callable[[], None] | None = None
    ) -> None:
        self.headers = {} if length is None else {"Content-Length": str(length)}
        self.parts, self.wait = iter(parts), wait

    def read1(self, size: int) -> bytes:
        if self.wait is not None:
            self.wait()
        return next(self.parts, b"")


@pytest.mark.parametrize("length", [5, None, "many"])
def test_all_that_comes_is_appended(length: int | str | None) -> None:
    target = io.BytesIO(b"12")
    target.seek(2)
    receive(Answer([b"345", b"67"], length), target, 7, 60, have=2)
    assert target.getvalue() == b"1234567"


@pytest.mark.parametrize(("length", "come"), [(100, b""), (None, b"123456")])
def test_too_large(length: int | None, come: bytes) -> None:
    """What is stated is refused before anything comes; what comes without is cut at the bound."""
    target = io.BytesIO()
    with pytest.raises(BoundError, match=r"^it is larger than 0 MiB$"):
        receive(Answer([b"123456", b"789"], length), target, 8, 60)
    assert target.getvalue() == come


def test_too_slow() -> None:
    with pytest.raises(BoundError) as error:
        receive(Answer([b"1"] * 9, 9, lambda: time.sleep(0.02)), io.BytesIO(), 99, 0.05)
    assert error.value.fact == "took longer than 0.05 s"


def test_a_connection_that_breaks_off() -> None:
    with pytest.raises(OSError, match="broke off after 5 of 9 bytes"):
        receive(Answer([b"123"], 7), io.BytesIO(), 99, 60, have=2)


def test_a_title_shows_progress(capsys: pytest.CaptureFixture[str]) -> None:
    receive(Answer([bytes(2_000_000)], 2_000_000), io.BytesIO(), 1 << 30, 60, title="net.pth")
    assert capsys.readouterr().err.startswith("net.pth: 2.0 of 2.0 MB, 0 s left, ")
