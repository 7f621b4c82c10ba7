"""What the data sets of all tasks share: randomness that depends on (seed, epoch, index), and bad samples."""

from __future__ import annotations

import copy
from abc import abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

import numpy as np
import numpy.typing as npt
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
from pocketvision.datasets.tiles.decoded import DecodedPictures
from pocketvision.datasets.tiles.table import Places, Tiled

if TYPE_CHECKING:
    from typing_extensions import Self


class HasImages(Protocol):
    """Records of any task."""

    @property
    def image_paths(self) -> Sequence[str]: ...

    @property
    def image_ids(self) -> npt.NDArray[np.int64]: ...

    def __len__(self) -> int: ...


class _Augmentation(Protocol):
    def kept_size(self, resize: Resize) -> Size: ...


_Records = TypeVar("_Records", bound=HasImages)
Augmentation = TypeVar("Augmentation", bound=_Augmentation)
_Target = TypeVar("_Target", covariant=True)
_Value = TypeVar("_Value")


class SampleDataset(Dataset[tuple[Tensor, _Target]], Generic[_Records, Augmentation, _Target]):
    """Index it with i, or with (epoch, i) or (epoch, i, times before) as an ``EpochSampler`` does.

    With ``tiled`` pictures of ``records`` the samples are their tiles.

    Attributes:
        records: of the samples; ``pictures`` are those of the whole pictures.
        cache: where decoded images are kept.
        failures: counts samples that can't be loaded, and another one takes their place. Without it, as in
            evaluation, they raise.
    """

    cache: ImageCache | None = None
    failures: FailedSamples | None = None

    def __init__(
        self,
        records: _Records,
        resize: Resize,
        augmentation: Augmentation | None,
        *,
        seed: int = 0,
        tiled: Tiled[_Records] | None = None,
    ) -> None:
        self.pictures, self.records = records, records if tiled is None else tiled.records
        self.tiles = None if tiled is None else tiled.table
        self.resize = resize
        self.augmentation = augmentation
        self.seed = seed
        self.epoch = 0
        self._decoded = DecodedPictures()
        self._groups: tuple[int, Places] | None = None

    def whole(self) -> Self:
        """The samples of whole pictures."""
        whole = copy.copy(self)
        whole.records, whole.tiles = self.pictures, None
        return whole

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
        if self.augmentation is None or self.tiles is not None:
            return None
        return self.augmentation.kept_size(self.resize)

    def picture_file(self, path: str, stated_size: Size | None = None) -> PictureFile:
        """A picture with the channels that the model takes."""
        return PictureFile(path, stated_size, self.cache, self.kept_size, self.resize.pixels)

    def image_id(self, index: int) -> int:
        """The data's id of the picture of a sample."""
        return int(self.pictures.image_ids[index if self.tiles is None else self.tiles.pictures[index]])

    def read_tiled(self, path: str, decode: Callable[[], Reading]) -> Callable[[], Reading]:
        """Reads a whole file once for the tiles that follow one another."""
        return partial(self._decoded.load, path, decode) if self.cache is None else decode

    def groups(self, epoch: int) -> Places | None:
        """Numbers of the groups (N,) in whose order an epoch's samples are drawn; None for any order."""
        if self.tiles is None:
            return None
        if self._groups is None or self._groups[0] != epoch:
            self._groups = epoch, self.tiles.groups(self.seed, epoch, self.resize.pixels.channels)
        return self._groups[1]

    def cached_files(self) -> list[tuple[str, Size | None]]:
        """Every file that a cache may keep, with the size that is enough."""
        return [(path, self.kept_size) for path in self.pictures.image_paths]


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
