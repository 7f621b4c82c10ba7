"""A data module as Lightning's trainer takes one."""

from __future__ import annotations

from typing import Any

import lightning as L

from pocketvision.core.structures import BOTH, AnySamples, task_of_target
from pocketvision.datasets.data_module import AnyData, Loader
from pocketvision.datasets.joint import JointRecords
from pocketvision.datasets.records.annotations import AnyRecords


class LightningData(L.LightningDataModule):
    """``data`` with its position in the training, which checkpoints keep.

    A batch of the training loader is ``accumulated`` times ``data.batch_size`` images, which the task
    sends through the model in parts of that size.
    """

    # A process may have no image of a small validation split.
    allow_zero_length_dataloader_with_multiple_devices = True

    def __init__(self, data: AnyData, accumulated: int) -> None:
        super().__init__()
        self.data = data
        self.accumulated = accumulated

    @property
    def loader_batch_size(self) -> int:
        """Images a step in each process."""
        return self.data.batch_size * self.accumulated

    def train_dataloader(self) -> Loader:
        if self.trainer is None:
            return self.data.train_dataloader(self.accumulated)
        return self.data.train_dataloader(
            self.accumulated, max_epochs=self.trainer.max_epochs, max_steps=self.trainer.max_steps
        )

    def val_dataloader(self) -> Loader:
        return self.data.val_dataloader()

    def state_dict(self) -> dict[str, int]:
        """Where the training is: the epoch, and how many of its samples each process has trained on.

        Samples, not batches: a run may go on with another batch size.
        """
        assert self.trainer is not None
        progress = self.trainer.fit_loop.epoch_loop.batch_progress.current
        num_batches: int = progress.processed  # type: ignore[attr-defined]  # its declared type is too wide
        if num_batches >= self.trainer.num_training_batches:
            return {"epoch": self.trainer.current_epoch + 1, "num_samples": 0}
        return {"epoch": self.trainer.current_epoch, "num_samples": num_batches * self.loader_batch_size}

    def load_state_dict(self, state_dict: dict[str, int]) -> None:
        self.data.start_at(state_dict["epoch"], state_dict["num_samples"])


def count_whole_batches(checkpoint: dict[str, Any], data: LightningData) -> None:
    """Let a checkpoint count the batches of its epoch as ``data`` makes them.

    Version 0.1 counted parts: an epoch that was stopped within ended when it had as many parts as batches.
    """
    position = checkpoint.get(type(data).__qualname__, {})
    done = position.get("num_samples", 0) // data.loader_batch_size
    counts = checkpoint["loops"]["fit_loop"]["epoch_loop.batch_progress"]["current"]
    more = counts["processed"] - done
    if done > 0 and more > 0:
        counts.update({name: count - more for name, count in counts.items()})


def image_names(data: AnyData, samples: AnySamples) -> list[str]:
    """The files of a training batch, or their ids."""
    records: AnyRecords | JointRecords = data.records(data.train_split)
    if isinstance(records, JointRecords):
        by_task = {task: _paths(part) for task, part in records.parts.items()}
        by_task[BOTH] = by_task.get("detection", {})
    else:
        by_task = dict.fromkeys(("detection", "segmentation", "classification"), _paths(records))
    names = []
    for target in samples.targets:
        names.append(str(by_task[task_of_target(target)].get(target.image_id, target.image_id)))
    return names


def _paths(records: AnyRecords) -> dict[int, str]:
    """The files of images by their ids."""
    return dict(zip(records.image_ids.tolist(), records.image_paths, strict=True))


def for_lightning(data: AnyData, accumulated: int) -> LightningData:
    """``data`` for the trainer, which keeps its position under the name of this object's class.

    That name is the one of ``data``'s own class, as in checkpoints of version 0.1.
    """
    named: type[LightningData] = type(type(data).__qualname__, (LightningData,), {})
    return named(data, accumulated)
