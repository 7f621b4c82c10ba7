"""Whose turn it is: an epoch of batches, each of one of several data sets, or of all."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from torch.utils.data import Sampler

from pocketvision.datasets.sampling import EpochIndex, EpochSampler

JointIndex = tuple[int, int] | tuple[int, int, int] | tuple[int, int, int, int]
"""The number of a data set, and then as for it alone: the index, or an :data:`EpochIndex`."""


@dataclass
class Stream:
    """Batches of one data set without end, epoch after epoch as ``sampler`` has them."""

    sampler: EpochSampler
    batch_size: int
    _order: tuple[int, list[EpochIndex]] = field(default=(-1, []))

    @property
    def num_batches(self) -> int:
        """Whole batches of one epoch; one of all where there is none."""
        return max(1, len(self.sampler) // self.batch_size)

    def batch(self, number: int) -> list[EpochIndex]:
        """A batch by its number from the beginning of the training."""
        epoch, place = divmod(number, self.num_batches)
        if self._order[0] != epoch:
            self.sampler.set_epoch(epoch)
            self._order = epoch, list(self.sampler)
        start = place * self.batch_size
        return self._order[1][start : start + self.batch_size]


def take_turns(shares: Sequence[float], num_steps: int) -> list[int]:
    """Whose turn each of ``num_steps`` is: always of what is furthest behind its share, first of equals."""
    counts = [0] * len(shares)
    turns = []
    for step in range(1, num_steps + 1):
        behind = [share * step - count for share, count in zip(shares, counts, strict=True)]
        turn = behind.index(max(behind))
        counts[turn] += 1
        turns.append(turn)
    return turns


def mixture(shares: Sequence[float], batch_size: int) -> list[int]:
    """How many images of each data set a batch has, as near to the shares (their sum is 1) as can be.

    Raises:
        ValueError: a data set would have none.
    """
    wanted = [round(share * batch_size, 9) for share in shares]
    sizes = [math.floor(size) for size in wanted]
    while sum(sizes) < batch_size:  # largest remainders first, and of equals the smaller part
        missing = [(size - given, -given) for size, given in zip(wanted, sizes, strict=True)]
        sizes[missing.index(max(missing))] += 1
    if 0 in sizes:
        raise ValueError(
            f"data.batch_size is {batch_size}, of which a share of {min(shares):g} is no image: raise it, or "
            "the share in data.shares."
        )
    return sizes


def epoch_steps(shares: Sequence[float], streams: Sequence[Stream]) -> int:
    """Batches of an epoch: as many as it takes until each data set with a share was seen once at it."""
    return max(
        math.ceil(stream.num_batches / share - 1e-9)
        for share, stream in zip(shares, streams, strict=True)
        if share > 0
    )


class JointSampler(Sampler[list[JointIndex]]):
    """Batches of several data sets, which depend on the seeds of the streams and on their number alone.

    Every ``iter()`` begins the next epoch unless ``set_epoch`` said which one; ``start`` is how many batches
    the next epoch leaves out.
    """

    def __init__(self, streams: Sequence[Stream]) -> None:
        self.streams = streams
        self.epoch = self.start = 0

    def set_epoch(self, epoch: int) -> None:
        """Let the next ``iter()`` begin this epoch."""
        self.epoch = epoch

    def __iter__(self) -> Iterator[list[JointIndex]]:
        epoch, start = self.epoch, self.start
        self.epoch, self.start = epoch + 1, 0
        return self.batches(epoch, start)

    @abstractmethod
    def __len__(self) -> int: ...

    @abstractmethod
    def batches(self, epoch: int, start: int) -> Iterator[list[JointIndex]]:
        """Those of an epoch from the one with the number ``start`` on."""

    @abstractmethod
    def num_turns(self, number: int) -> int:
        """Batches of a stream in an epoch."""

    @abstractmethod
    def describe(self, number: int) -> str:
        """What a stream has of an epoch."""


class TurnSampler(JointSampler):
    """Batches of one data set each, in the proportions ``shares`` (their sum is 1).

    An epoch is ``num_steps`` batches; what ends before begins again.
    """

    def __init__(self, streams: Sequence[Stream], shares: Sequence[float], num_steps: int) -> None:
        super().__init__(streams)
        self.turns = take_turns(shares, num_steps)

    def __len__(self) -> int:
        return len(self.turns)

    def num_turns(self, number: int) -> int:
        return self.turns.count(number)

    def describe(self, number: int) -> str:
        return f"{self.num_turns(number)} of {len(self)} steps of an epoch"

    def batches(self, epoch: int, start: int) -> Iterator[list[JointIndex]]:
        numbers = [epoch * self.num_turns(turn) for turn in range(len(self.streams))]
        for step, turn in enumerate(self.turns):
            number = numbers[turn]
            numbers[turn] += 1
            if step >= start:
                yield [(turn, *index) for index in self.streams[turn].batch(number)]


class MixedSampler(JointSampler):
    """Batches that have images of every data set, in ``parts`` that are mixed alike: first those of one set.

    An epoch is as many as it takes until each data set was seen once.
    """

    def __init__(self, streams: Sequence[Stream], parts: int = 1) -> None:
        super().__init__(streams)
        self.parts = parts

    def __len__(self) -> int:
        return max(stream.num_batches for stream in self.streams)

    def num_turns(self, number: int) -> int:
        return len(self)

    def describe(self, number: int) -> str:
        return f"{self.streams[number].batch_size} images of each batch"

    def batches(self, epoch: int, start: int) -> Iterator[list[JointIndex]]:
        for step in range(epoch * len(self) + start, (epoch + 1) * len(self)):
            images = [stream.batch(step) for stream in self.streams]
            yield [
                (number, *index)
                for part in range(self.parts)
                for number, own in enumerate(images)
                for index in own[part * len(own) // self.parts : (part + 1) * len(own) // self.parts]
            ]
