"""Work in threads: in order, in batches, and errors come out."""

from __future__ import annotations

import threading

import pytest

from pocketvision.doctor import threads
from pocketvision.doctor.threads import map_in_threads


def test_results_are_in_order_over_several_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threads, "_BATCH", 3)
    names = set()

    def square(number: int) -> int:
        names.add(threading.current_thread().name)
        return number**2

    assert map_in_threads(square, range(10), "numbers") == [number**2 for number in range(10)]
    assert threading.current_thread().name not in names
    assert map_in_threads(square, [], "nothing") == []


def test_an_error_ends_the_work() -> None:
    with pytest.raises(ZeroDivisionError):
        map_in_threads(lambda number: 1 // number, [1, 0, 2], "numbers")
