"""What the data sets of all tasks share: randomness that depends on (seed, epoch, index), and bad samples."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

import numpy as np
from torch import Tensor
from torch.utils.data import Dataset

from pocketvision.core.errors import InputError
from pocketvision.core.resize import Resize
from pocketvision.core.structures import Size
from pocketvision.datasets.failures import FailedSampleError, FailedSamples
from pocketvision.datasets.images.decoded_cache import ImageCache
from pocketvision.datasets.images.picture import Picture, PictureFile
from pocketvision.datasets.images.read import Reading
from pocketvision.datasets.sampling import EpochIndex


class HasImages(Protocol):
    """Records of any task."""

    @property
    def image_paths(self) -> Sequence[str]: ...

    def __len__(self) -> int: ...


class _Augmentation(Protocol):
    def kept_size(self, resize: Resize) -> Size: ...


_Records = TypeVar("_Records", bound=HasImages)
Augmentation = TypeVar("Augmentation", bound=_Augmentation)
_Target = TypeVar("_Target", covariant=True)
_Value = TypeVar("_Value")


class SampleDataset(Dataset[tuple[Tensor, _Target]], Generic[_Records, Augmentation, _Target]):
    """Index it with i, or with (epoch, i) or (epoch, i, times before) as an ``EpochSampler`` does.

    Attributes:
        cache: where decoded images are kept.
        failures: counts samples that can't be loaded, and another one takes their place. Without it, as in
            evaluation, they raise.
    """

    cache: ImageCache | None = None
    failures: FailedSamples | None = None

    def __init__(
        self, records: _Records, resize: Resize, augmentation: Augmentation | None, *, seed: int = 0
    ) -> None:
        self.records = records
        self.resize = resize
        self.augmentation = augmentation
        self.seed = seed
        self.epoch = 0

    def __len__(self) -> int:
        return len(self.records)

    def __getitem__(self, key: int | EpochIndex) -> tuple[Tensor, _Target]:
        epoch, index, *times = key if isinstance(key, tuple) else (self.epoch, key)
        if self.failures is None:
            return self.sample(epoch, index, *times)
        for candidate in substitutes(self.seed, epoch, index, len(self)):
            try:
                return self.sample(epoch, candidate, *times)
            except InputError as error:
                failed = error.index if isinstance(error, FailedSampleError) else candidate
                self.failures.add(failed, error)
        raise AssertionError("substitutes never end")

    @abstractmethod
    def sample(self, epoch: int, index: int, time: int = 0) -> tuple[Tensor, _Target]:
        """Image (3, H, W) uint8 and truth; augmented if there is an augmentation, otherwise each ``time``."""

    @property
    def kept_size(self) -> Size | None:
        """What a cache keeps of an image; None is all of it."""
        return None if self.augmentation is None else self.augmentation.kept_size(self.resize)

    def picture_file(self, path: str, stated_size: Size | None = None) -> PictureFile:
        """A picture with the channels that the model takes."""
        return PictureFile(path, stated_size, self.cache, self.kept_size, self.resize.pixels)

    def cached_files(self) -> list[tuple[str, Size | None]]:
        """Every file that a cache may keep, with the size that is enough."""
        return [(path, self.kept_size) for path in self.records.image_paths]


def substitutes(seed: int, epoch: int, index: int, num_samples: int) -> Iterator[int]:
    """``index``, and then others without end, the same in whichever worker."""
    yield index
    rng = np.random.default_rng((seed, epoch, index, 1))
    while True:
        yield int(rng.integers(num_samples))


@dataclass(frozen=True)
class NamedPicture:
    """A picture whose errors say which sample it belongs to."""

    picture: Picture
    index: int

    @property
    def size(self) -> Size:
        return self._named(lambda: self.picture.size)

    def read(self, scale: float = 1.0) -> Reading:
        return self._named(lambda: self.picture.read(scale))

    def _named(self, get: Callable[[], _Value]) -> _Value:
        try:
            return get()
        except InputError as error:
            raise FailedSampleError(str(error), self.index) from None
