"""A detector for the commands that predict."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
import torch

from pocketvision.configs.quickstart import config, model
from pocketvision.core.weights import save_weights
from pocketvision.runs.passport import make_passport


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
