"""Data sets of several tasks as one: a batch is of one of them, or of all."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import chain
from typing import Any

from torch.utils.data import DataLoader

from pocketvision.core.errors import InputError
from pocketvision.core.resize import Resize
from pocketvision.core.structures import (
    BOTH,
    AnySamples,
    join_names,
    names_by_task,
)
from pocketvision.datasets.augment.flips_and_colors import import_albumentations
from pocketvision.datasets.base_modules import BaseDataModule
from pocketvision.datasets.cores import default_num_workers
from pocketvision.datasets.joint_samples import JointDataset, SampleList, collate_joint
from pocketvision.datasets.loading import loader_options
from pocketvision.datasets.paired import PairedDataset
from pocketvision.datasets.records.annotations import (
    ClassificationRecords,
    DetectionRecords,
    SegmentationRecords,
)
from pocketvision.datasets.repeats import drawing_factors
from pocketvision.datasets.sampling import EpochSampler, ProcessShare, num_epochs
from pocketvision.datasets.turns import (
    JointIndex,
    JointSampler,
    MixedSampler,
    Stream,
    TurnSampler,
    epoch_steps,
    mixture,
)

SingleRecords = DetectionRecords | SegmentationRecords | ClassificationRecords
_log = logging.getLogger("pocketvision")


@dataclass(frozen=True)
class JointRecords:
    """A split of every task's data set, by task."""

    parts: Mapping[str, SingleRecords]

    def __len__(self) -> int:
        return sum(map(len, self.parts.values()))

    @property
    def class_names(self) -> tuple[str, ...]:
        """``TASK/NAME`` of all tasks."""
        return join_names({task: part.class_names for task, part in self.parts.items()})

    @cached_property
    def image_paths(self) -> list[str]:
        """The files of all tasks, one task after the other."""
        return list(chain.from_iterable(part.image_paths for part in self.parts.values()))


class JointDataModule:
    """Data sets of several tasks, one a task, for a :class:`~pocketvision.models.joint.JointModel`.

    ``parts`` build the data module of each task and hold what is its own: where it lies, its splits and its
    augmentation. What they share is here, and so is the seed. A batch is of one task: tasks take turns,
    ``shares`` of the steps each (None: equally often; only proportions count). The share ``both`` is of
    batches whose images carry boxes and masks, which are files that both data sets have; with it detection
    and segmentation may do without turns of their own. An epoch is as many steps as it takes until each data
    set that has turns was seen once; a smaller one begins again meanwhile. With ``mixed`` every batch has
    images of all tasks instead, of one size, and ``shares`` are those of its images.

    ``train``, ``val`` and ``test`` are the splits that each part has for it.

    Raises:
        ValueError: shares of other tasks than those of the parts, or one not above 0; ``both`` in mixed
            batches, or a task without an image in them; a part in tiles.
    """

    train_split, val_split, test_split = "train", "val", "test"

    def __init__(
        self,
        parts: Mapping[str, Callable[..., BaseDataModule[Any, Any]]],
        shares: Mapping[str, float] | None = None,
        batch_size: int = 16,
        eval_batch_size: int | None = None,
        num_workers: int | None = None,
        seed: int = 0,
        mixed: bool = False,
    ) -> None:
        self.shares = _proportions(parts, dict.fromkeys(parts, 1.0) if shares is None else dict(shares))
        self.batch_size, self.seed = batch_size, seed
        self.num_workers = default_num_workers() if num_workers is None else num_workers
        common = {"eval_batch_size": eval_batch_size or batch_size, "num_workers": self.num_workers}
        self.parts = {task: part(batch_size=batch_size, seed=seed, **common) for task, part in parts.items()}
        self._position = 0, 0
        if mixed and BOTH in self.shares:
            raise ValueError(
                "data.mixed is for images of one task each: leave both out, as with data.shares=None."
            )
        self.mixed = mixed
        self.images_of_each(batch_size)  # refuses shares that leave a task without an image
        if tiled := [task for task, part in self.parts.items() if part.tile_size is not None]:
            raise ValueError(f"tiles are for one task yet: leave data.parts.{tiled[0]}.tile_size out.")

    def class_names(self) -> tuple[str, ...]:
        """``TASK/NAME`` of all data sets' own classes."""
        return join_names({task: part.class_names() for task, part in self.parts.items()})

    def connect(self, class_names: Sequence[str | None], resize: Resize) -> None:
        """Say which classes the model knows for each task, and how it resizes images.

        Raises:
            ValueError: the model's tasks are not those of the data.
        """
        names = names_by_task(class_names)
        if names.keys() != self.parts.keys():
            raise ValueError(
                f"the model is for {', '.join(names)}, and the data for {', '.join(self.parts)}: "
                "give both the same tasks."
            )
        for task, part in self.parts.items():
            part.connect(names[task], resize)

    def own_records(self, split: str) -> JointRecords:
        """A split with the data sets' own classes."""
        return JointRecords({task: part.own_records(_own(part, split)) for task, part in self.parts.items()})

    def reuse(self, other: object) -> None:
        """Take the records that ``other`` has read, if it reads the same data in the same way."""
        if isinstance(other, JointDataModule):
            for task in self.parts.keys() & other.parts.keys():
                self.parts[task].reuse(other.parts[task])

    def records(self, split: str) -> JointRecords:
        """A split with labels of the connected model."""
        return JointRecords({task: part.records(_own(part, split)) for task, part in self.parts.items()})

    def dataset(self, split: str, *, train: bool) -> JointDataset:
        """The samples of a split, augmented if ``train``; then also those of images that carry both."""
        parts: dict[str, Any] = {
            task: part.dataset(_own(part, split), train=train) for task, part in self.parts.items()
        }
        if train and BOTH in self.shares:
            parts[BOTH] = PairedDataset(parts["detection"], parts["segmentation"])
        return JointDataset(parts)

    def batch(self, split: str, indices: Sequence[int], *, train: bool = False) -> AnySamples:
        """Samples of the first task, by index."""
        part = next(iter(self.parts.values()))
        samples: AnySamples = part.batch(_own(part, split), indices, train=train)
        return samples

    def train_dataloader(
        self, accumulated: int = 1, *, max_epochs: int | None = None, max_steps: int | None = None
    ) -> DataLoader[SampleList]:
        """Batches of ``accumulated`` times the batch size, each of one turn or mixed, augmented and shuffled.

        Several processes have the same turns, and each its share of a data set's epoch.

        Raises:
            InputError: a mixed batch has more images of a data set than there are.
        """
        dataset, size = self.dataset(self.train_split, train=True), self.batch_size * accumulated
        shares = [self.shares.get(name, 0.0) for name in dataset.parts]
        sizes = [number * accumulated for number in self.images_of_each(self.batch_size)]
        streams = self._streams(dataset, sizes or [size] * len(shares))
        if self.num_workers:
            import_albumentations()  # as BaseDataModule does
        sampler: JointSampler
        if self.mixed:
            sampler = MixedSampler(streams, accumulated)
        else:
            sampler = TurnSampler(streams, shares, epoch_steps(shares, streams))
        sampler.epoch, sampler.start = self._position[0], self._position[1] // size
        epochs = num_epochs(len(sampler), max_epochs, max_steps)
        for number, (name, own) in enumerate(dataset.parts.items()):
            turns = sampler.num_turns(number)
            if name != BOTH:
                self.parts[name].limit(own, -(-turns * (epochs or 0) // streams[number].num_batches) or None)
            if turns and epochs is not None:  # else it is only looked whether there are batches
                _log.info("%s: %s", name, sampler.describe(number))
        return self._loader(dataset, sampler)

    def _streams(self, dataset: JointDataset, sizes: Sequence[int]) -> list[Stream]:
        """Batches of so many images of each data set."""
        streams = []
        for (name, own), size in zip(dataset.parts.items(), sizes, strict=True):
            part = self.parts["detection" if name == BOTH else name]
            part.loading.prepare(own, owner=part)
            repeats = drawing_factors(own.records, part.repeat_threshold, None)
            streams.append(Stream(EpochSampler(own, self.seed, repeats), size))
            if self.mixed and (number := len(streams[-1].sampler)) < size:
                raise InputError(
                    f"a batch has {size} training images for {name}, and there are {number} in each process: "
                    "lower data.batch_size or its share in data.shares, or leave data.mixed out."
                )
        return streams

    def val_dataloader(self) -> DataLoader[SampleList]:
        """This process's share of the validation split of every task."""
        return self._in_order(self.val_split, lambda number: list(ProcessShare(number)))

    def eval_dataloader(self, split: str) -> DataLoader[SampleList]:
        """All of a split in order, one task after the other, not augmented."""
        return self._in_order(split, lambda number: list(range(number)))

    def images_of_each(self, batch_size: int) -> list[int]:
        """How many images of each task a mixed batch of so many has; [] where batches are of one task.

        Raises:
            ValueError: a task would have none.
        """
        return mixture(list(self.shares.values()), batch_size) if self.mixed else []

    def divides(self, factor: int) -> bool:
        """Whether a batch can go through in ``factor`` parts that have the same shares."""
        whole = self.images_of_each(self.batch_size)
        try:
            part = self.images_of_each(self.batch_size // factor)
        except ValueError:
            return False
        return [number * factor for number in part] == whole

    def start_at(self, epoch: int, num_samples: int) -> None:
        """Let the next training loader begin after ``num_samples`` of the epoch."""
        self._position = epoch, num_samples

    def _in_order(self, split: str, indices: Callable[[int], list[int]]) -> DataLoader[SampleList]:
        dataset = self.dataset(split, train=False)
        batches: list[list[JointIndex]] = []
        for number, (task, part) in enumerate(self.parts.items()):
            own, size = indices(len(dataset.parts[task])), part.eval_batch_size or self.batch_size
            batches += [
                [(number, i) for i in own[start : start + size]] for start in range(0, len(own), size)
            ]
        return self._loader(dataset, batches)

    def _loader(self, dataset: JointDataset, batches: Any) -> DataLoader[SampleList]:
        """A loader whose samples are batches already."""
        return DataLoader(
            dataset, batch_size=None, sampler=batches, **loader_options(self.num_workers, collate_joint)
        )


def _proportions(tasks: Iterable[str], shares: Mapping[str, float]) -> dict[str, float]:
    """Shares whose sum is 1, in the order of ``tasks``, then those of images that carry both."""
    known, served = [*tasks, BOTH], {"detection", "segmentation"} if BOTH in shares else set()
    missing, possible = set(tasks) - set(shares) - served, served <= set(tasks)
    if missing or not possible or set(shares) - set(known) or not all(x > 0 for x in shares.values()):
        raise ValueError(
            f"data.shares is {dict(shares)}: give a number above 0 for each of {', '.join(tasks)}, and for "
            f"{BOTH} where images carry boxes and masks, which may then be left out."
        )
    return {name: shares[name] / sum(shares.values()) for name in known if name in shares}


def _own(part: BaseDataModule[Any, Any], split: str) -> str:
    """What a part calls ``train``, ``val`` or ``test``; other names are the same for all."""
    return str(getattr(part, f"{split}_split", split))
