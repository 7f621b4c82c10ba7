"""What training and evaluation need of a data set, whatever made it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol, TypeVar

from torch import Tensor
from torch.utils.data import DataLoader

from pocketvision.core.resize import Resize
from pocketvision.core.structures import AnySamples, AnyTarget
from pocketvision.datasets.records.annotations import AnyRecords
from pocketvision.datasets.samples import SampleDataset

_RecordsT = TypeVar("_RecordsT", covariant=True)
_SamplesT = TypeVar("_SamplesT", covariant=True)
Loader = DataLoader[tuple[Tensor, AnyTarget]]


class DataModule(Protocol[_RecordsT, _SamplesT]):
    """Splits of a data set as records and as loaders; ``connect`` it to a model before asking for either.

    :class:`~pocketvision.datasets.base_modules.BaseDataModule` is one that reads records from files.
    """

    train_split: str
    val_split: str
    test_split: str
    seed: int
    batch_size: int

    def class_names(self) -> tuple[str | None, ...]:
        """The data's own class names."""

    def connect(self, class_names: Sequence[str | None], resize: Resize) -> None:
        """Say which classes the model knows and how it resizes images."""

    def own_records(self, split: str) -> _RecordsT:
        """A split with the data's own classes."""

    def reuse(self, other: object) -> None:
        """Take the records that ``other`` has read, if it reads the same data in the same way."""

    def records(self, split: str) -> _RecordsT:
        """A split with labels of the connected model."""

    def dataset(self, split: str, *, train: bool) -> SampleDataset[Any, Any, AnyTarget]:
        """The samples of a split, augmented if ``train``."""

    def batch(self, split: str, indices: Sequence[int], *, train: bool = False) -> _SamplesT:
        """Samples of a split by index, without a loader."""

    def train_dataloader(
        self, accumulated: int = 1, *, max_epochs: int | None = None, max_steps: int | None = None
    ) -> Loader:
        """Shuffled, augmented batches of ``accumulated`` times the batch size.

        A run ends after ``max_epochs`` or ``max_steps``, whichever is first; None and -1 are no limit.
        """

    def val_dataloader(self) -> Loader:
        """This process's share of the validation split."""

    def eval_dataloader(self, split: str) -> Loader:
        """All of a split in order."""

    def start_at(self, epoch: int, num_samples: int) -> None:
        """Let the next training loader begin there."""


AnyData = DataModule[AnyRecords, AnySamples]
