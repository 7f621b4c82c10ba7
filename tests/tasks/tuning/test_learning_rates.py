"""Covers tasks/tuning/learning_rates.py."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pocketvision.configs.quickstart import config
from pocketvision.core.errors import InputError
from pocketvision.runs.folder import override
from pocketvision.tasks.base import VisionTask
from pocketvision.tasks.tuning import learning_rates
from pocketvision.tasks.tuning.learning_rates import find_rates, plot_rates, rate_range, stated_rate

TINY = override(
    config,
    [
        "data.num_train=4", "data.num_val=2", "data.batch_size=2", "model.image_size=(64,64)",
        "model.width_mult=0.35", "task.backbone_lr_factor=0.1",
    ],
)  # fmt: skip
PLANNED = np.geomspace(1e-6, 10, 100)


def test_the_rate_at_which_the_loss_falls_fastest() -> None:
    """A loss that falls by a logistic curve around 1e-2, and grows above 0.3."""
    losses = 10 - 8 / (1 + np.exp(-3 * (np.log10(PLANNED) + 2))) + np.where(PLANNED > 0.3, 50 * PLANNED, 0)
    found = rate_range(PLANNED, losses[:90].tolist())
    assert found.suggestion == pytest.approx(1e-2, rel=0.5)
    assert len(found.rates) == len(found.losses) == len(found.smoothed) == 90


@pytest.mark.parametrize("losses", [[], [1.0] * 5, [1.0] * 100, np.arange(1.0, 60.0).tolist()])
def test_no_rate_is_suggested_where_nothing_falls(losses: list[float]) -> None:
    assert rate_range(PLANNED, losses).suggestion is None


def test_every_part_of_the_model_keeps_its_share(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    seen: list[set[float]] = []
    step = VisionTask.training_step

    def watch(self: VisionTask, samples: object, index: int) -> object:  # type: ignore[type-arg]
        seen.append({group["lr"] for group in self.trainer.optimizers[0].param_groups})
        return step(self, samples, index)

    monkeypatch.setattr(VisionTask, "training_step", watch)
    monkeypatch.setattr(learning_rates, "STEPS", 12)
    monkeypatch.chdir(tmp_path)
    found = find_rates(TINY)
    head = stated_rate(TINY) * 2 / 16  # the rate is stated for 16 images
    for rate, lr in zip(found.rates, seen, strict=True):
        expected = [rate * head / stated_rate(TINY) * share for share in (0.1, 1.0)]
        np.testing.assert_allclose(sorted(lr), expected)
    assert found.rates[0] == pytest.approx(1e-6)
    assert list(tmp_path.iterdir()) == [], "nothing is kept"

    picture = tmp_path / "rates.png"
    plot_rates(found, 4e-3, picture)
    with Image.open(picture) as image:
        assert image.size[0] > 500


def test_an_optimizer_without_a_rate() -> None:
    with pytest.raises(InputError, match=r"task\.optimizer\.lr is 'high': give a number above 0"):
        stated_rate(override(config, ["task.optimizer.lr=high"]))
