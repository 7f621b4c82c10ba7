"""The sentence survives the way out of a DataLoader's worker."""

from __future__ import annotations

import pytest
from torch.utils.data import DataLoader, Dataset

from pocketvision.core.errors import InputError

SENTENCE = "images/3.jpg can't be read: remove it (see check-data)."


class Broken(Dataset[int]):
    """Raises at the third sample, from another error where ``chained``."""

    def __init__(self, error: type[InputError], chained: bool) -> None:
        self.error, self.chained = error, chained

    def __len__(self) -> int:
        return 4

    def __getitem__(self, index: int) -> int:
        if index < 2:
            return index
        if not self.chained:
            raise self.error(SENTENCE)
        try:
            return int("no number")
        except ValueError as error:
            raise self.error(SENTENCE) from error


class SpecialError(InputError):
    """A kind of InputError."""


@pytest.mark.parametrize(("error", "chained"), [(InputError, True), (SpecialError, False)])
def test_a_worker_error_is_one_sentence(error: type[InputError], chained: bool) -> None:
    # Started anew, as from Python 3.14 on, a worker would not find the classes of this file.
    loader = DataLoader(Broken(error, chained), num_workers=1, multiprocessing_context="fork")
    batches = iter(loader)
    with pytest.raises(InputError) as caught:
        list(batches)
    batches._shutdown_workers()  # left to the garbage collector it takes 5 seconds
    assert str(caught.value) == SENTENCE
    assert type(caught.value) is error


def test_outside_a_worker_the_message_is_kept() -> None:
    assert str(InputError("InputError: two\nlines")) == "InputError: two\nlines"
    assert isinstance(InputError(""), ValueError)
