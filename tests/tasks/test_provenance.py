"""Covers published/provenance.py.

What a weights file says of where it comes from, through import and training; all of it opens safely.
"""

from __future__ import annotations

from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

import pocketvision
from pocketvision.configs import ssdlite_v2_coco_tf, ssdlite_v3_small_coco
from pocketvision.core.layers import freeze_norms
from pocketvision.core.weights import read_passport, read_state_dict, save_weights
from pocketvision.published.catalog import published_class_names
from pocketvision.published.provenance import describe_source
from pocketvision.runs.passport import has_folded_norms
from pocketvision.tools.import_weights import main as import_weights
from pocketvision.tools.train import main as train

ORIGIN = {"source": "their.pb", "sha256": "00", "licence": "Apache-2.0"}


def small(names: Any) -> Any:
    return ssdlite_v3_small_coco.model(names, width_mult=0.35, image_size=(64, 64))


@pytest.fixture(scope="module")
def start(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An imported file of ours."""
    path = tmp_path_factory.mktemp("start") / "start.safetensors"
    model = small(("cat", "dog"))
    save_weights(path, model, {**model.passport(), **ORIGIN, "class_ids": [17, 18]})
    return path


@pytest.fixture(scope="module")
def run(start: Path, tmp_path_factory: pytest.TempPathFactory, tiny: Callable[[str], Path]) -> Path:
    """A training from it, with a moving average, on data whose ids have gaps."""
    folder = tmp_path_factory.mktemp("runs") / "run"
    words = ["ssdlite_v3_small_coco", f"data.root={tiny('coco')}", "data.batch_size=2", "data.num_workers=0"]
    words += [
        "model.width_mult=0.35",
        "model.image_size=(64,64)",
        "task.ema_decay=0.9",
        "trainer.max_steps=2",
    ]
    assert train([*words, "--from", str(start), "--run-dir", str(folder)]) == 0
    return folder


def test_a_training_says_what_it_started_from(run: Path, start: Path) -> None:
    passport = read_passport(run / "weights.safetensors")
    digest = sha256(start.read_bytes()).hexdigest()
    facts = {"source": "start.safetensors", "sha256": digest, "licence": "Apache-2.0"}
    assert passport["started_from"] == {**facts, "started_from": ORIGIN}
    assert (passport["class_names"], passport["class_ids"]) == (["cat", "owl"], [7, 90])
    assert (passport["norm_eps"], passport["padding"]) == ([0.001], "torch")
    assert passport["metrics"]["split"] == "val" and "is_norm_folded" not in passport
    again = describe_source(pocketvision.load(run), run)
    assert again["source"] == "run/weights.safetensors" and again["started_from"] == passport["started_from"]


def test_everything_that_a_training_writes_opens_safely(run: Path) -> None:
    """Checkpoints with optimizer and moving average too; nothing else is a format that could hold code."""
    safe = {".json", ".csv", ".png", ".html", ".py", ".yaml", ".safetensors"}
    kinds = {path.suffix for path in run.rglob("*") if path.is_file() and "tfevents" not in path.name}
    assert kinds <= safe | {".ckpt", ".npz"}
    for path in run.rglob("*.npz"):
        with np.load(path, allow_pickle=False) as arrays:
            assert all(isinstance(arrays[name], np.ndarray) for name in arrays)
    checkpoints = list((run / "checkpoints").iterdir())
    assert len(checkpoints) >= 2
    own = pocketvision.load(run).state_dict().keys()
    for path in checkpoints:
        content = torch.load(path, weights_only=True)
        moments = content["optimizer_states"][0]["state"]
        assert moments or content["global_step"] == 0
        leaves: list[Any] = [content]
        while leaves:
            leaf = leaves.pop()
            if isinstance(leaf, dict | list | tuple):
                leaves.extend(leaf.values() if isinstance(leaf, dict) else leaf)
            else:
                assert leaf is None or isinstance(leaf, Tensor | int | float | str | bool), type(leaf)
        assert read_state_dict(path).keys() == own


def test_an_import_says_what_it_was_made_of(start: Path, tmp_path: Path) -> None:
    output = tmp_path / "ours.safetensors"
    words = [
        str(start),
        "--into",
        "ssdlite_v3_small_coco",
        "--output",
        str(output),
        "class_names=('dog','ox')",
    ]
    assert import_weights([*words, "model.width_mult=0.35", "model.image_size=(64,64)"]) == 0
    passport = read_passport(output)
    assert passport["sha256"] == sha256(start.read_bytes()).hexdigest()
    assert (passport["source"], passport["licence"]) == ("start.safetensors", "Apache-2.0")
    assert passport["started_from"] == ORIGIN and passport["class_ids"] == [18, None]


def test_sources_by_name_and_files_that_are_gone(tmp_path: Path) -> None:
    model = small(("a",))
    assert describe_source(model, "timm/mobilenetv3_small_100.lamb_in1k")["url"].endswith(
        "/model.safetensors"
    )
    large = pocketvision.load("ssdlite_v3_large_coco", class_names=("a",))
    url = describe_source(large, "imagenet")["url"]
    assert url is None or url.startswith("https://download.pytorch.org/models/mobilenet_v3_large-")
    assert describe_source(model, tmp_path / "gone.pth") == {"source": "gone.pth"}
    (tmp_path / "broken.safetensors").write_bytes(b"?")
    assert describe_source(model, tmp_path / "broken.safetensors")["sha256"] == sha256(b"?").hexdigest()


def test_folded_norms_are_seen_in_a_trained_model() -> None:
    model = small(("a",))
    assert not has_folded_norms(model)
    freeze_norms(model)
    assert has_folded_norms(model)
    for name, value in model.named_buffers():
        if name.endswith("running_mean"):
            value += 0.1
    assert not has_folded_norms(model), "measured, and kept by the user"


def test_tensorflows_coco_detector_has_cocos_ids() -> None:
    assert ssdlite_v2_coco_tf.config.class_names == published_class_names("coco")
