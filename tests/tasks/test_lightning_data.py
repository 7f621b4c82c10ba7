"""Where a training is, as checkpoints keep it."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from pocketvision.core.resize import Resize
from pocketvision.datasets import ShapesDetectionDataModule
from pocketvision.tasks.lightning_data import for_lightning


def trainer(num_batches: int) -> Any:
    progress = SimpleNamespace(current=SimpleNamespace(processed=num_batches))
    loop = SimpleNamespace(epoch_loop=SimpleNamespace(batch_progress=progress))
    return SimpleNamespace(fit_loop=loop, num_training_batches=3, current_epoch=1, max_epochs=4)


def order(data: Any) -> list[int]:
    data.connect(data.class_names(), Resize((64, 64)))
    loader = data.train_dataloader()
    return [int(target.image_id) for batch in loader for target in batch.targets]


def test_another_process_goes_on_where_one_stopped() -> None:
    whole = for_lightning(ShapesDetectionDataModule(6, 2, 64, batch_size=2, num_workers=0), 1)
    whole.data.start_at(1, 0)
    images = order(whole.data)
    for done in (1, 2):
        whole.trainer = trainer(done)
        state = whole.state_dict()
        other = for_lightning(ShapesDetectionDataModule(6, 2, 64, batch_size=1, num_workers=0), 1)
        other.load_state_dict(state)
        assert state == {"epoch": 1, "num_samples": 2 * done} and order(other.data) == images[2 * done :]
    whole.trainer = trainer(3)
    assert whole.state_dict() == {"epoch": 2, "num_samples": 0}


def test_checkpoints_of_version_0_1_have_its_name() -> None:
    """Lightning keeps and finds the state under the name of the object's class."""
    data = ShapesDetectionDataModule(2, 2, 64, num_workers=0)
    assert type(for_lightning(data, 1)).__qualname__ == "ShapesDetectionDataModule"
