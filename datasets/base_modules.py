"""The base of all data modules: records of a split -> loaders."""

from __future__ import annotations

import logging
from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Generic, TypeVar

from torch.utils.data import DataLoader

from pocketvision.core.resize import Resize, Tiling
from pocketvision.core.structures import Size
from pocketvision.datasets.augment.flips_and_colors import import_albumentations
from pocketvision.datasets.cores import default_num_workers
from pocketvision.datasets.dividing import divide_by
from pocketvision.datasets.images.cache_setup import CacheKind, temporary_folder
from pocketvision.datasets.images.clips import Grouping
from pocketvision.datasets.loading import Loading, loader_options
from pocketvision.datasets.records.annotations import MissingSplitError
from pocketvision.datasets.records.splits import SplitRecords
from pocketvision.datasets.records.stored import is_large, store
from pocketvision.datasets.repeats import check_threshold, drawing_factors
from pocketvision.datasets.samples import SampleDataset
from pocketvision.datasets.sampling import EpochSampler, ProcessShare, num_epochs
from pocketvision.datasets.tiles.table import Tiled

ClassNames = Sequence[str | None]
_Samples = TypeVar("_Samples")
_log = logging.getLogger("pocketvision")

_LOADING = {
    "batch_size", "eval_batch_size", "num_workers", "augmentation", "seed", "strict", "cache", "cache_gib",
    "loading", "repeat_threshold", "tile_size", "tile_overlap", "empty_tiles", "tiling", "model_class_names",
    "resize", "_position", "_read", "_reader", "_selected", "_tiled", "_parts",
}  # fmt: skip
"""Attributes of a data module that change no record."""


@dataclass(eq=False)
class BaseDataModule(Generic[SplitRecords, _Samples]):
    """What the tasks share: splits, records and loaders.

    A format overrides :meth:`read_split`. ``connect`` tells it the model's class names and resize before
    any loader is asked for.

    Attributes:
        root: folder or file of the data set.
        batch_size: images of a training batch in one process.
        eval_batch_size: of a batch that is scored, None for ``batch_size``.
        num_workers: processes that load, None for what the machine has room for.
        augmentation: of training images, None to train on plainly resized ones.
        train_split, val_split, test_split: names of splits.
        seed: of the order of images and of augmentation.
        strict: whether the first sample that can't be loaded ends the training.
        cache: where decoded images are kept, and how much of them: see :class:`Loading`.
        divide: the split that training and validation images are both taken from, by their file names
            (``all`` where the data has no splits); None keeps the splits that the data has.
        val_fraction, split_seed, divide_by: see :func:`pocketvision.datasets.dividing.divide_by`.
        repeat_threshold: training images with a class that is in a smaller share of them are drawn more often
            (:mod:`pocketvision.datasets.repeats`); None draws each once an epoch.
        tile_size: pixels of a side, or (height, width), of the tiles of pictures that a model is trained and
            scored on; None shows it the pictures as a whole, or in tiles where it was trained on them.
        tile_overlap: share of its sides that a tile has in common with the next.
        empty_tiles: share of the training tiles of an epoch that show no box.

    Raises:
        ValueError: a batch size that is no whole number from 1 up, a tile or a share out of range.
    """

    collate: ClassVar[Callable[..., Any]]

    root: str | Path
    batch_size: int = 32
    eval_batch_size: int | None = None
    num_workers: int | None = None
    augmentation: Any = None
    train_split: str = "train"
    val_split: str = "val"
    test_split: str = "test"
    seed: int = 0
    strict: bool = False
    cache: CacheKind | None = None
    cache_gib: float = 8.0
    divide: str | None = None
    val_fraction: float = 0.2
    split_seed: int = 0
    divide_by: Grouping = "likeness"
    repeat_threshold: float | None = None
    tile_size: int | Size | None = None
    tile_overlap: float = 0.2
    empty_tiles: float = 0.2

    def __post_init__(self) -> None:
        self.root = str(self.root)
        self.eval_batch_size = self.batch_size if self.eval_batch_size is None else self.eval_batch_size
        if self.num_workers is None:
            self.num_workers = default_num_workers()
        for name, least in (("batch_size", 1), ("eval_batch_size", 1), ("num_workers", 0)):
            if not isinstance(value := getattr(self, name), int) or value < least:
                raise ValueError(f"data.{name} is {value!r}: give a whole number from {least} up.")
        check_threshold(self.repeat_threshold)
        if not 0 <= self.empty_tiles < 1:
            raise ValueError(f"data.empty_tiles is {self.empty_tiles!r}: give a share from 0, below 1.")
        self.tiling = tiling_of_options(vars(self))
        self.loading = Loading(self.strict, self.cache, self.cache_gib)
        self.model_class_names: tuple[str | None, ...] | None = None
        self.resize: Resize | None = None
        self._position = 0, 0
        self._read: dict[str, SplitRecords] = {}
        self._selected: dict[str, SplitRecords] = {}
        self._tiled: dict[str, Tiled[SplitRecords]] = {}
        self._parts: tuple[SplitRecords, SplitRecords] | None = None

    @abstractmethod
    def read_split(self, split: str) -> SplitRecords:
        """Read a split that the data has; a format's only duty."""

    @abstractmethod
    def select(self, records: SplitRecords, split: str) -> SplitRecords:
        """The records with the model's classes."""

    @abstractmethod
    def dataset(self, split: str, *, train: bool) -> SampleDataset[Any, Any, Any]:
        """The samples of a split, augmented if ``train``."""

    def batch(self, split: str, indices: Sequence[int], *, train: bool = False) -> _Samples:
        """Samples of a split by index, without a loader."""
        dataset = self.dataset(split, train=train)
        samples: _Samples = type(self).collate([dataset[i] for i in indices])
        return samples

    def read(self, split: str) -> SplitRecords:
        """Read a split from the files, or the part of ``divide`` that has its name."""
        if self.divide is None or split not in (self.train_split, self.val_split):
            return self.read_split(split)
        if self._parts is None:
            whole = self.read_split(self.divide)
            self._parts = divide_by(whole, self.divide_by, self.val_fraction, self.split_seed)
        return self._parts[split == self.val_split]

    def class_names(self) -> tuple[str | None, ...]:
        """The data's own class names, from the training split, or the validation split if there is none."""
        try:
            return self.own_records(self.train_split).class_names
        except MissingSplitError as no_training:
            try:
                return self.own_records(self.val_split).class_names
            except MissingSplitError:
                raise no_training from None

    def own_records(self, split: str) -> SplitRecords:
        """The records of a split with the data's own classes; read once."""
        if split not in self._read:
            self._read[split] = self.read(split)
        return self._read[split]

    def reuse(self, other: object) -> None:
        """Take the records that ``other`` has read, if it reads the same data in the same way."""
        if isinstance(other, type(self)) and other._reading() == self._reading():
            self._read, self._parts = other._read, other._parts

    def _reading(self) -> dict[str, Any]:
        """What decides about records: everything but how they are loaded."""
        return {name: value for name, value in vars(self).items() if name not in _LOADING}

    def connect(self, class_names: ClassNames, resize: Resize) -> None:
        """Say which classes the model knows and how it resizes images."""
        self.model_class_names, self.resize = tuple(class_names), resize
        self.tiling = tiling_of_options(vars(self)) or resize.tiling
        self._selected.clear()
        self._tiled.clear()

    def records(self, split: str) -> SplitRecords:
        """The records of a split with labels of the connected model; read once, notes logged once."""
        if split not in self._selected:
            raw = self.own_records(split)
            selected = raw if self.model_class_names is None else self.select(raw, split)
            for note in selected.notes:
                _log.warning("%s split: %s", split, note)
            if self.num_workers and is_large(selected):  # workers share the file, however they are started
                selected = store(selected, temporary_folder(self) / "records", {})
            self._selected[split] = selected
        return self._selected[split]

    def cut(self, records: SplitRecords, tiling: Tiling) -> Tiled[SplitRecords]:
        """The tiles of the pictures of ``records``.

        Raises:
            ValueError: the task has none.
        """
        raise ValueError("data.tile_size is for boxes and masks: leave it out.")

    def tiled(self, split: str) -> Tiled[SplitRecords] | None:
        """The tiles of the pictures of a split, cut once; None where they are shown as a whole."""
        if self.tiling is None:
            return None
        if split not in self._tiled:
            self._tiled[split] = self.cut(self.records(split), self.tiling)
        return self._tiled[split]

    def train_dataloader(
        self, accumulated: int = 1, *, max_epochs: int | None = None, max_steps: int | None = None
    ) -> DataLoader[Any]:
        """Shuffled, augmented batches of ``accumulated`` times the batch size, the last one only if complete.

        A run ends after ``max_epochs`` or ``max_steps``, whichever is first; None and -1 are no limit.
        """
        dataset = self.dataset(self.train_split, train=True)
        self.loading.prepare(dataset, owner=self)
        if self.num_workers:
            # Forked workers inherit the import; each of them would pay the seconds otherwise.
            import_albumentations()
        sampler = self.sampler(dataset)
        factors = sampler.repeats
        if factors is not None:
            kind = "images" if dataset.tiles is None else f"tiles of {len(dataset.pictures)} images"
            _log.info(
                "an epoch draws %d samples of %d %s, one of them up to %.1f times",
                len(sampler), len(dataset), kind, factors.max(),
            )  # fmt: skip
        # The loader is asked for before the epoch of a run that goes on is known.
        sampler.epoch, sampler.start = self._position
        size = self.batch_size * accumulated
        drop_last = len(sampler) >= size
        steps_per_epoch = len(sampler) // size if drop_last else 1
        self.limit(dataset, num_epochs(steps_per_epoch, max_epochs, max_steps))
        return DataLoader(dataset, size, sampler=sampler, drop_last=drop_last, **self._loader_options())

    def sampler(self, dataset: SampleDataset[Any, Any, Any]) -> EpochSampler:
        """What draws the training samples of an epoch."""
        empty_share = None if dataset.tiles is None else self.empty_tiles
        factors = drawing_factors(dataset.records, self.repeat_threshold, empty_share)
        return EpochSampler(dataset, self.seed, factors, dataset.groups)

    def val_dataloader(self) -> DataLoader[Any]:
        """This process's share of the validation split, in order."""
        dataset = self.dataset(self.val_split, train=False)
        own = ProcessShare(len(dataset), None if dataset.tiles is None else dataset.tiles.pictures)
        return DataLoader(dataset, self.eval_batch_size, sampler=own, **self._loader_options())

    def eval_dataloader(self, split: str) -> DataLoader[Any]:
        """All of a split in order, not augmented."""
        return DataLoader(self.dataset(split, train=False), self.eval_batch_size, **self._loader_options())

    def limit(self, dataset: SampleDataset[Any, Any, Any], num_epochs: int | None) -> None:
        """Tell training samples how many epochs the run begins; for augmentation that ends before it."""

    def start_at(self, epoch: int, num_samples: int) -> None:
        """Let the next training loader begin after ``num_samples`` of the epoch, counted in each process."""
        self._position = epoch, num_samples

    def connected_resize(self) -> Resize:
        """The model's resize."""
        if self.resize is None:
            raise RuntimeError("call connect(class_names, resize) before asking for samples")
        return self.resize

    def _loader_options(self) -> dict[str, Any]:
        return loader_options(self.num_workers or 0, type(self).collate)


def tiling_of_options(options: Mapping[str, Any]) -> Tiling | None:
    """The tiling that ``data.tile_size`` and ``data.tile_overlap`` state; None without them.

    Raises:
        ValueError: a value makes no tiles.
    """
    size = options.get("tile_size")
    if size is None:
        return None
    height, width = (size, size) if isinstance(size, int) else size
    return Tiling((height, width), options.get("tile_overlap", 0.2))
