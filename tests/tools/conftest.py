"""A detector for the commands that predict, and a short run for those that narrow and search."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch

from pocketvision.configs.quickstart import config, model
from pocketvision.core.weights import save_weights
from pocketvision.runs.passport import make_passport
from pocketvision.tools.train import main as train


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A weights file of the classes disc and star that says how to build its model; its scores differ."""
    torch.manual_seed(0)
    experiment = replace(config, model=partial(model, image_size=(64, 64), width_mult=0.35))
    detector = experiment.model(("disc", "star"))
    for block in detector.head.class_blocks:
        block[1].weight.data *= 20_000
    path = tmp_path_factory.mktemp("weights") / "w.safetensors"
    save_weights(path, detector, make_passport(detector, experiment))
    return path


@pytest.fixture(scope="session")
def one_step() -> list[str]:
    """Overrides that make a training of the quickstart one step."""
    return [
        "model.image_size=(64,64)", "model.width_mult=0.35", "data.num_train=8", "data.num_val=2",
        "data.batch_size=2", "trainer.max_epochs=1", "trainer.limit_train_batches=1",
    ]  # fmt: skip


@pytest.fixture(scope="session")
def trained(one_step: list[str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of the quickstart, for ``adapt`` and ``search`` to begin with."""
    folder = tmp_path_factory.mktemp("runs") / "source"
    assert train(["quickstart", *one_step, "--run-dir", str(folder)]) == 0
    return folder


@pytest.fixture(scope="session")
def device_table(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Mapping[str, Any]], Path]:
    """Writes a table as another device might: seconds by the numbers that each layer holds."""

    def write(subnets: Mapping[str, Any]) -> Path:
        seconds = {
            key: 1e-9 * sum(p.numel() for p in make().module.parameters()) for key, make in subnets.items()
        }
        file = tmp_path_factory.mktemp("table") / "latency.json"
        content = {"backend": "onnx", "threads": 4, "machine": "a phone", "seconds": seconds}
        file.write_text(json.dumps(content))
        return file

    return write
