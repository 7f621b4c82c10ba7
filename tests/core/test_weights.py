"""Weights files: round trips, and files of something else or of another model. Evil ones lie beside this."""

from __future__ import annotations

import argparse
import collections
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from pocketvision.core.errors import InputError
from pocketvision.core.weights import load_state_dict, read_passport, read_state_dict, save_weights

PASSPORT = {"task": "detection", "class_names": ["cat", None, "Käse"], "resize": {"image_size": [320, 320]}}


def small_model(channels: int = 4) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(3, channels, 3), nn.BatchNorm2d(channels))


def test_weights_and_passport_come_back(tmp_path: Path) -> None:
    model, path = small_model(), tmp_path / "weights.safetensors"
    save_weights(path, model, PASSPORT)
    assert read_passport(path) == PASSPORT
    state = read_state_dict(path)
    assert state.keys() == model.state_dict().keys()
    other = small_model()
    report = load_state_dict(other, state, str(path))
    for name, value in model.state_dict().items():
        assert torch.equal(other.state_dict()[name], value)
    assert (report.num_matched, report.num_tensors, report.unused) == (len(state), len(state), ())
    assert list(tmp_path.iterdir()) == [path]


def test_saving_takes_memory_layouts_and_leaves_the_model_alone(tmp_path: Path) -> None:
    model = small_model().to(memory_format=torch.channels_last)
    save_weights(tmp_path / "w.safetensors", model, {})
    assert model[0].weight.is_contiguous(memory_format=torch.channels_last)
    assert torch.equal(read_state_dict(tmp_path / "w.safetensors")["0.weight"], model[0].weight)


def test_others_may_read_what_the_user_lets_them(tmp_path: Path) -> None:
    (tmp_path / "plain.txt").write_text("")
    save_weights(tmp_path / "w.safetensors", small_model(), {})
    assert (tmp_path / "w.safetensors").stat().st_mode == (tmp_path / "plain.txt").stat().st_mode


def test_a_failing_save_keeps_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "w.safetensors"
    save_weights(path, small_model(), PASSPORT)
    with pytest.raises(TypeError):
        save_weights(path, small_model(), {"model": object()})
    assert read_passport(path) == PASSPORT and list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("suffix", [".pth", ".pt", ".ckpt"])
@pytest.mark.parametrize("zipped", [True, False])
def test_pytorch_files(tmp_path: Path, suffix: str, zipped: bool) -> None:
    state, path = small_model().state_dict(), tmp_path / f"w{suffix}"
    torch.save(state, path, _use_new_zipfile_serialization=zipped)
    assert read_state_dict(path).keys() == state.keys()


def test_lightning_checkpoints_lose_their_prefix(tmp_path: Path) -> None:
    state = small_model().state_dict()
    torch.save({"state_dict": {f"model.{k}": v for k, v in state.items()}, "epoch": 3}, tmp_path / "a.ckpt")
    assert read_state_dict(tmp_path / "a.ckpt").keys() == state.keys()


@pytest.mark.parametrize("name", ["w.pth", "w.safetensors"])
@pytest.mark.parametrize(
    "content",
    [b"<!DOCTYPE html><p>404", b"version https://git-lfs.github.com/spec/v1\n", b".", b"\x80\x02.", b"(((e"],
)
def test_files_that_are_something_else_are_refused(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=name):
        read_state_dict(tmp_path / name)


@pytest.mark.parametrize("content", [[torch.zeros(1)], {"a": 1}, torch.zeros(2), {"state_dict": {"a": "b"}}])
def test_a_file_that_is_no_state_dict_is_refused(tmp_path: Path, content: Any) -> None:
    torch.save(content, tmp_path / "w.pth")
    with pytest.raises(InputError, match="holds no state dict"):
        read_state_dict(tmp_path / "w.pth")


@pytest.mark.parametrize("name", ["none.safetensors", "none.pth"])
def test_a_missing_file_is_named(tmp_path: Path, name: str) -> None:
    with pytest.raises(InputError, match=f"There is no weights file .*{name}"):
        read_state_dict(tmp_path / name)


def test_a_passport_is_asked_of_a_file_without_one(tmp_path: Path) -> None:
    from safetensors.torch import save_file

    save_file({"a": torch.zeros(1)}, tmp_path / "w.safetensors")
    assert read_passport(tmp_path / "w.safetensors") == {}
    torch.save({}, tmp_path / "w.pth")
    with pytest.raises(InputError, match="not a safetensors file"):
        read_passport(tmp_path / "w.pth")


def test_another_shape_is_told_in_one_sentence() -> None:
    model = small_model(4)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    with pytest.raises(InputError, match=r"w.pth does not fit .*0\.weight is \(8, 3, 3, 3\).*\(4, 3, 3, 3\)"):
        load_state_dict(model, small_model(8).state_dict(), "w.pth")
    for name, value in model.state_dict().items():
        assert torch.equal(value, before[name])


def test_missing_tensors_are_counted_and_named() -> None:
    state = small_model().state_dict()
    del state["1.bias"], state["1.running_mean"]
    with pytest.raises(InputError, match=r"lacks 2 of 7 tensors, such as 1\.bias"):
        load_state_dict(small_model(), state, "w.pth")


def test_unused_tensors_are_reported_and_counters_may_be_missing() -> None:
    model, source = small_model(), small_model()
    state = {**source.state_dict(), "classifier.weight": torch.zeros(1)}
    del state["1.num_batches_tracked"]
    report = load_state_dict(model, state, "w.pth")
    assert report.unused == ("classifier.weight",)
    assert (
        str(report) == "w.pth: matched 6 of 7 tensors, 1 of the file not needed (such as classifier.weight)"
    )
    assert torch.equal(model[0].weight, source[0].weight)


class Small(nn.Module):
    """A layer and a norm."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 4, 1)
        self.norm = nn.BatchNorm2d(4)


def containers(model: Small) -> dict[str, object]:
    """What others make of a model's state dict."""
    state = model.state_dict()
    average = AveragedModel(model)
    arguments = argparse.Namespace(lr=0.1, output_dir=Path("out"), device="cuda")

    def prefixed(prefix: str) -> dict[str, Tensor]:
        return {f"{prefix}{name}": value for name, value in state.items()}

    zeros = {name: torch.zeros_like(value) for name, value in state.items()}
    return {
        "plain": state,
        "torchvision's references": {
            "model": state,
            "optimizer": {"state": {}},
            "args": arguments,
            "epoch": 3,
        },
        "their averages": {"model": zeros, "model_ema": average.state_dict(), "args": arguments},
        "timm's": {"arch": "x", "state_dict": zeros, "state_dict_ema": state, "metric": np.float64(0.5)},
        "lightning's": {
            "state_dict": {**prefixed("model."), "loss.weight": torch.ones(3)},
            "hyper_parameters": {"path": Path("data"), "scales": collections.defaultdict(dict)},
        },
        "DataParallel": prefixed("module."),
        "compiled": {"state_dict": prefixed("_orig_mod.")},
        "compiled within": {name.replace("stem.", "stem._orig_mod."): value for name, value in state.items()},
        "net": {"net": prefixed("net.")},
        "all of it": {"checkpoint": 1, "model": {"state_dict": prefixed("module._orig_mod.model.")}},
        "a model beside its average": {
            "state_dict": {f"model.{name}": value for name, value in zeros.items()}
            | prefixed("ema_model.module.")
        },
        "a bare model beside its average": zeros | prefixed("ema."),
        "an average alone": prefixed("model_ema.module."),
        "a teacher": {"student": zeros, "teacher": prefixed("module.")},
        "DeepSpeed's": {"module": state, "ds_version": "1"},
        "an average of a library": {"ema": {"module": state, "updates": 5}},
        "numpy's numbers": {"state_dict": state, "best": np.float32(0.3), "counts": np.int64(4)},
    }


@pytest.mark.parametrize("kind", containers(Small()))
def test_containers_and_prefixes_that_others_write(kind: str, tmp_path: Path) -> None:
    torch.manual_seed(0)
    model, again = Small(), Small()
    torch.save(containers(model)[kind], tmp_path / "w.pth")
    load_state_dict(again, read_state_dict(tmp_path / "w.pth"), "w.pth")
    assert all(torch.equal(value, again.state_dict()[name]) for name, value in model.state_dict().items())


def test_a_whole_module_is_named(tmp_path: Path) -> None:
    torch.save({"model": Small()}, tmp_path / "w.pth")
    sentence = r"w\.pth can't be opened as weights: it holds an object of .*Small, which could run code"
    with pytest.raises(InputError, match=sentence):
        read_state_dict(tmp_path / "w.pth")


def test_deep_nesting_is_no_state_dict(tmp_path: Path) -> None:
    content: dict[str, object] = {"a": torch.zeros(1)}
    for _ in range(200):
        content = {"model": content}
    torch.save(content, tmp_path / "w.pth")
    with pytest.raises(InputError, match="holds no state dict"):
        read_state_dict(tmp_path / "w.pth")


@pytest.mark.parametrize(
    ("made", "sentence"),
    [
        (
            lambda value: value * float("nan"),
            r"has values in stem\.weight that are no numbers .*its training failed",
        ),
        (lambda value: value / 0, r"has values in stem\.weight that are no numbers"),
        (
            lambda value: value.to(torch.int8),
            r"has whole numbers \(torch\.int8\) in stem\.weight, as quantized",
        ),
    ],
)
def test_values_that_no_model_computes_with(made: Any, sentence: str) -> None:
    state = Small().state_dict()
    state["stem.weight"] = made(torch.ones_like(state["stem.weight"]))
    with pytest.raises(InputError, match=sentence):
        load_state_dict(Small(), state, "w.pth")
