"""The garbage collector comes back, whatever happens meanwhile."""

from __future__ import annotations

import gc

import pytest

from pocketvision.datasets.readers.collection import collection_paused


def test_it_is_paused_and_comes_back() -> None:
    with collection_paused():
        assert not gc.isenabled()
        with collection_paused():
            pass
        assert not gc.isenabled()
    assert gc.isenabled()
    with pytest.raises(ZeroDivisionError), collection_paused():
        _ = 1 / 0
    assert gc.isenabled()
