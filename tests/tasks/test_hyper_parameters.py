"""Covers tasks/trainer.py, tasks/fit.py.

What a run was trained with is in TensorBoard, in a file and in what else logs."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.hparams import metadata

from pocketvision.core.command import find_config
from pocketvision.runs.folder import load_experiment
from pocketvision.tasks.fit import fit

SMALL = [
    "data.num_train=4", "data.num_val=2", "data.batch_size=2", "data.num_workers=0",
    "model.image_size=(64,64)", "trainer.max_steps=2", "trainer.limit_val_batches=1.0",
    "trainer.check_val_every_n_epoch=1", "task.optimizer.lr=0.0125",
]  # fmt: skip


def test_a_run_says_what_it_was_trained_with(tmp_path: Path) -> None:
    run = tmp_path / "run"
    experiment, files = load_experiment(find_config("quickstart"), SMALL)
    assert fit(experiment, run, files, SMALL) is not None
    expected = {"task.optimizer.lr": 0.0125, "data.batch_size": 2, "model": "quickstart", "seed": 0}

    kept = yaml.safe_load((run / "hparams.yaml").read_text())
    assert {name: kept[name] for name in expected} == expected

    events = EventAccumulator(str(run)).Reload()
    plugin = events.summary_metadata[metadata.SESSION_START_INFO_TAG].plugin_data.content
    start = metadata.parse_session_start_info_plugin_data(plugin)
    assert start.hparams["task.optimizer.lr"].number_value == pytest.approx(0.0125)
    assert start.hparams["data.batch_size"].number_value == 2
    assert start.hparams["model"].string_value == "quickstart"
    plugin = events.summary_metadata[metadata.EXPERIMENT_TAG].plugin_data.content
    columns = metadata.parse_experiment_plugin_data(plugin)
    assert [info.name.tag for info in columns.metric_infos] == ["val/AP"]
    assert "val/AP" in events.Tags()["scalars"] and "hp_metric" not in events.Tags()["scalars"]
    text = events.Tensors("experiment/text_summary")[0].tensor_proto.string_val[0].decode()
    assert "lr=0.0125" in text and "batch_size=2" in text
