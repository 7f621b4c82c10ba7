"""The bases of data modules: records of a split -> loaders. A format adds its reader."""

from __future__ import annotations

import logging
from abc import abstractmethod
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Generic, Literal

import lightning
import torch
from torch.utils.data import DataLoader

from pocketvision.core.resize import Resize
from pocketvision.datasets.augment.flips_and_colors import import_albumentations
from pocketvision.datasets.augment.recipes import (
    ClassificationAugmentation,
    DetectionAugmentation,
    SegmentationAugmentation,
)
from pocketvision.datasets.classification import ClassificationDataset, collate_classification
from pocketvision.datasets.cores import default_num_workers
from pocketvision.datasets.detection import DetectionDataset, collate_detection
from pocketvision.datasets.images.cache_setup import CacheKind, temporary_folder
from pocketvision.datasets.loading import Loading
from pocketvision.datasets.records.annotations import (
    ClassificationRecords,
    DetectionRecords,
    MissingSplitError,
    SegmentationRecords,
)
from pocketvision.datasets.records.splits import SplitRecords
from pocketvision.datasets.records.stored import is_large, store
from pocketvision.datasets.samples import SampleDataset
from pocketvision.datasets.sampling import EpochSampler, ProcessShare, use_one_thread
from pocketvision.datasets.segmentation import SegmentationDataset, collate_segmentation

ClassNames = Sequence[str | None]
_log = logging.getLogger("pocketvision")
_CLASSIFICATION = ClassificationAugmentation()
_DETECTION = DetectionAugmentation()
_SEGMENTATION = SegmentationAugmentation()
_UNCHANGED = SegmentationAugmentation(scale=(1.0, 1.0), horizontal_flip=0.0, photometric=False)


class _DataModule(lightning.LightningDataModule, Generic[SplitRecords]):
    """What the tasks share: splits, records and loaders.

    ``connect`` tells it the model's class names and resize before any loader is asked for.
    """

    collate: Callable[[list[Any]], Any]
    # A process may have no image of a small validation split.
    allow_zero_length_dataloader_with_multiple_devices = True

    def __init__(
        self,
        root: str | Path,
        batch_size: int,
        eval_batch_size: int | None,
        num_workers: int | None,
        splits: tuple[str, str, str],
        seed: int,
        loading: Loading,
    ) -> None:
        super().__init__()
        self.root = str(root)
        if not isinstance(batch_size, int) or batch_size < 1:
            raise ValueError(f"data.batch_size is {batch_size!r}: give a whole number from 1 up.")
        self.batch_size = batch_size
        self.eval_batch_size = batch_size if eval_batch_size is None else eval_batch_size
        self.num_workers = default_num_workers() if num_workers is None else num_workers
        self.train_split, self.val_split, self.test_split = splits
        self.seed, self.loading = seed, loading
        self.model_class_names: tuple[str | None, ...] | None = None
        self.resize: Resize | None = None
        self._position = 0, 0
        self._read: dict[str, SplitRecords] = {}
        self._selected: dict[str, SplitRecords] = {}

    @abstractmethod
    def read(self, split: str) -> SplitRecords:
        """Read a split from the files; a format's only duty."""

    @abstractmethod
    def select(self, records: SplitRecords, split: str) -> SplitRecords:
        """The records with the model's classes."""

    @abstractmethod
    def dataset(self, split: str, *, train: bool) -> SampleDataset[Any, Any, Any]:
        """The samples of a split, augmented if ``train``."""

    def class_names(self) -> tuple[str | None, ...]:
        """The data's own class names, from the training split, or the validation split if there is none."""
        try:
            return self._read_once(self.train_split).class_names
        except MissingSplitError as no_training:
            try:
                return self._read_once(self.val_split).class_names
            except MissingSplitError:
                raise no_training from None

    def connect(self, class_names: ClassNames, resize: Resize) -> None:
        """Say which classes the model knows and how it resizes images."""
        self.model_class_names, self.resize = tuple(class_names), resize
        self._selected.clear()

    def records(self, split: str) -> SplitRecords:
        """The records of a split with labels of the connected model; read once, notes logged once."""
        if split not in self._selected:
            raw = self._read_once(split)
            selected = raw if self.model_class_names is None else self.select(raw, split)
            for note in selected.notes:
                _log.warning("%s split: %s", split, note)
            if self.num_workers and is_large(selected):  # workers share the file, however they are started
                selected = store(selected, temporary_folder(self) / "records", {})
            self._selected[split] = selected
        return self._selected[split]

    def train_dataloader(self) -> DataLoader[Any]:
        """Shuffled, augmented batches; a last incomplete one is left out."""
        dataset = self.dataset(self.train_split, train=True)
        self.loading.prepare(dataset, owner=self)
        if self.num_workers:
            # Forked workers inherit the import; each of them would pay the seconds otherwise.
            import_albumentations()
        sampler = EpochSampler(dataset, self.seed)
        # Lightning asks for the loader before it knows the epoch of a run that goes on.
        sampler.epoch, sampler.start = self._position
        drop_last = len(sampler) >= self.batch_size
        return DataLoader(
            dataset, self.batch_size, sampler=sampler, drop_last=drop_last, **self._loader_options()
        )

    def val_dataloader(self) -> DataLoader[Any]:
        """This process's share of the validation split, in order."""
        dataset = self.dataset(self.val_split, train=False)
        own = ProcessShare(len(self.records(self.val_split)))
        return DataLoader(dataset, self.eval_batch_size, sampler=own, **self._loader_options())

    def eval_dataloader(self, split: str) -> DataLoader[Any]:
        """All of a split in order, not augmented."""
        return DataLoader(self.dataset(split, train=False), self.eval_batch_size, **self._loader_options())

    def state_dict(self) -> dict[str, int]:
        """Where the training is: the epoch, and how many of its samples each process has trained on.

        Samples, not batches: a run may go on with another batch size.
        """
        assert self.trainer is not None
        progress = self.trainer.fit_loop.epoch_loop.batch_progress.current
        num_batches: int = progress.processed  # type: ignore[attr-defined]  # its declared type is too wide
        if num_batches >= self.trainer.num_training_batches:
            return {"epoch": self.trainer.current_epoch + 1, "num_samples": 0}
        return {"epoch": self.trainer.current_epoch, "num_samples": num_batches * self.batch_size}

    def load_state_dict(self, state_dict: dict[str, int]) -> None:
        """Let the next training loader begin there."""
        self._position = state_dict["epoch"], state_dict["num_samples"]

    def connected_resize(self) -> Resize:
        """The model's resize."""
        if self.resize is None:
            raise RuntimeError("call connect(class_names, resize) before asking for samples")
        return self.resize

    def _read_once(self, split: str) -> SplitRecords:
        if split not in self._read:
            self._read[split] = self.read(split)
        return self._read[split]

    def _loader_options(self) -> dict[str, Any]:
        return {
            "num_workers": self.num_workers,
            "collate_fn": type(self).collate,
            "persistent_workers": self.num_workers > 0,
            "pin_memory": torch.cuda.is_available(),
            "worker_init_fn": use_one_thread,
        }


class DetectionDataModule(_DataModule[DetectionRecords]):
    """Boxes. ``augmentation`` None trains on plainly resized images."""

    collate = staticmethod(collate_detection)
    unknown_in_training: Literal["drop", "error"] = "drop"
    """What to do with training boxes of classes that the model does not know."""

    def __init__(
        self,
        root: str | Path,
        batch_size: int = 32,
        eval_batch_size: int | None = None,
        num_workers: int | None = None,
        augmentation: DetectionAugmentation | None = _DETECTION,
        train_split: str = "train",
        val_split: str = "val",
        test_split: str = "test",
        seed: int = 0,
        strict: bool = False,
        cache: CacheKind | None = None,
        cache_gib: float = 8.0,
    ) -> None:
        splits, loading = (train_split, val_split, test_split), Loading(strict, cache, cache_gib)
        super().__init__(root, batch_size, eval_batch_size, num_workers, splits, seed, loading)
        self.augmentation = augmentation

    def select(self, records: DetectionRecords, split: str) -> DetectionRecords:
        unknown = self.unknown_in_training if split == self.train_split else "drop"
        return records.select(self.model_class_names or (), unknown=unknown)

    def dataset(self, split: str, *, train: bool) -> DetectionDataset:
        augmentation = self.augmentation if train else None
        return DetectionDataset(self.records(split), self.connected_resize(), augmentation, seed=self.seed)

    def train_dataloader(self) -> DataLoader[Any]:
        loader = super().train_dataloader()
        max_epochs = getattr(self.trainer, "max_epochs", None)
        if self.augmentation is not None and max_epochs and max_epochs > 0:
            loader.dataset.close_from = max_epochs - self.augmentation.close_epochs  # type: ignore[attr-defined]
        return loader


class SegmentationDataModule(_DataModule[SegmentationRecords]):
    """Masks. ``augmentation`` None trains on plainly resized images and masks."""

    collate = staticmethod(collate_segmentation)

    def __init__(
        self,
        root: str | Path,
        batch_size: int = 16,
        eval_batch_size: int | None = None,
        num_workers: int | None = None,
        augmentation: SegmentationAugmentation | None = _SEGMENTATION,
        train_split: str = "train",
        val_split: str = "val",
        test_split: str = "test",
        seed: int = 0,
        strict: bool = False,
        cache: CacheKind | None = None,
        cache_gib: float = 8.0,
    ) -> None:
        splits, loading = (train_split, val_split, test_split), Loading(strict, cache, cache_gib)
        super().__init__(root, batch_size, eval_batch_size, num_workers, splits, seed, loading)
        self.augmentation = augmentation

    def select(self, records: SegmentationRecords, split: str) -> SegmentationRecords:
        return records.select(self.model_class_names or ())

    def dataset(self, split: str, *, train: bool) -> SegmentationDataset:
        augmentation = (self.augmentation or _UNCHANGED) if train else None
        return SegmentationDataset(self.records(split), self.connected_resize(), augmentation, seed=self.seed)


class ClassificationDataModule(_DataModule[ClassificationRecords]):
    """Classes of whole images. ``augmentation`` None trains on plainly resized images."""

    collate = staticmethod(collate_classification)

    def __init__(
        self,
        root: str | Path,
        batch_size: int = 64,
        eval_batch_size: int | None = None,
        num_workers: int | None = None,
        augmentation: ClassificationAugmentation | None = _CLASSIFICATION,
        train_split: str = "train",
        val_split: str = "val",
        test_split: str = "test",
        seed: int = 0,
        strict: bool = False,
        cache: CacheKind | None = None,
        cache_gib: float = 8.0,
    ) -> None:
        splits, loading = (train_split, val_split, test_split), Loading(strict, cache, cache_gib)
        super().__init__(root, batch_size, eval_batch_size, num_workers, splits, seed, loading)
        self.augmentation = augmentation

    def select(self, records: ClassificationRecords, split: str) -> ClassificationRecords:
        return records.select(self.model_class_names or ())

    def dataset(self, split: str, *, train: bool) -> ClassificationDataset:
        augmentation = self.augmentation if train else None
        return ClassificationDataset(
            self.records(split), self.connected_resize(), augmentation, seed=self.seed
        )
