"""Covers published/tensorflow/checkpoint_layers.py, published/tensorflow/checksum.py.

Checkpoints that the tests write, byte for byte as LevelDB's and TensorFlow's documents say.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tensorboard.compat.tensorflow_stub.pywrap_tensorflow import crc32c as slow_crc32c
from tensorboard.compat.tensorflow_stub.pywrap_tensorflow import masked_crc32c
from torch import nn

from pocketvision.backbones import mobilenet_v1, mobilenet_v2, mobilenet_v3_small
from pocketvision.core.errors import InputError
from pocketvision.core.resize import Resize
from pocketvision.heads import ClassifierHead
from pocketvision.models import Classifier
from pocketvision.published.recognize import recognize
from pocketvision.published.tensorflow.checkpoint import read_checkpoint
from pocketvision.published.tensorflow.checkpoint_layers import find_layers
from pocketvision.published.tensorflow.checksum import crc32c
from pocketvision.published.tensorflow.import_file import import_tensorflow

TYPES = {"float32": 1, "int32": 3, "int64": 9, "float16": 19}
RANDOM = np.random.default_rng(0)
VALUES = {
    "MobilenetV2/Conv/weights": RANDOM.normal(size=(3, 3, 3, 8)).astype(np.float32),
    "MobilenetV2/Conv/BatchNorm/beta": RANDOM.normal(size=8).astype(np.float32),
    "MobilenetV2/Conv/BatchNorm/moving_mean": RANDOM.normal(size=8).astype(np.float16),
    "MobilenetV2/Conv/BatchNorm/moving_variance": RANDOM.uniform(1, 2, size=8).astype(np.float32),
    "global_step": np.array(12345678901, np.int64),
    "empty": np.zeros((0, 4), np.float32),
}


def varint(value: int) -> bytes:
    out = b""
    while value > 127:
        out, value = out + bytes([value & 127 | 128]), value >> 7
    return out + bytes([value])


def field(number: int, value: int | bytes) -> bytes:
    if isinstance(value, bytes):
        return varint(number << 3 | 2) + varint(len(value)) + value
    return varint(number << 3) + varint(value)


def block(entries: list[tuple[bytes, bytes]], restart_every: int) -> bytes:
    out, before, restarts = b"", b"", []
    for i, (key, value) in enumerate(entries):
        shared = 0
        if i % restart_every == 0:
            restarts.append(len(out))
        else:
            while shared < min(len(key), len(before)) and key[shared] == before[shared]:
                shared += 1
        out += varint(shared) + varint(len(key) - shared) + varint(len(value)) + key[shared:] + value
        before = key
    return out + b"".join(struct.pack("<I", r) for r in restarts) + struct.pack("<I", len(restarts))


def write_checkpoint(
    path: Path, values: Mapping[str, Any], num_shards: int = 1, compressed: bool = False
) -> None:
    data = [b""] * num_shards
    entries = [(b"", field(1, num_shards))]
    for i, (name, value) in enumerate(sorted(values.items())):
        shard, content = i % num_shards, value.tobytes()
        shape = b"".join(field(2, field(1, size)) for size in value.shape)
        message = field(1, TYPES[value.dtype.name]) + field(2, shape) + field(3, shard)
        message += field(4, len(data[shard])) + field(5, len(content))
        message += varint(6 << 3 | 5) + struct.pack("<I", masked_crc32c(content))
        entries.append((name.encode(), message))
        data[shard] += content
    table, handles = b"", []
    middle = len(entries) // 2
    for start, stop in pairwise((0, middle, len(entries))):
        handles.append((entries[stop - 1][0], put(block(entries[start:stop], 3), len(table), compressed)))
        table += handles[-1][1][1]
    meta = put(block([], 1), len(table), False)
    table += meta[1]
    index = put(block([(key, handle) for key, (handle, _) in handles], 1), len(table), False)
    footer = (meta[0] + index[0]).ljust(40, b"\0") + struct.pack("<Q", 0xDB4775248B80FB57)
    path.write_bytes(table + index[1] + footer)
    for shard, content in enumerate(data):
        path.with_name(f"{path.stem}.data-{shard:05}-of-{num_shards:05}").write_bytes(content)


def put(content: bytes, offset: int, compressed: bool) -> tuple[bytes, bytes]:
    """Handle and bytes of a block at ``offset``."""
    kind = bytes([int(compressed)])
    return varint(offset) + varint(len(content)), content + kind + struct.pack(
        "<I", masked_crc32c(content + kind)
    )


@pytest.fixture
def index(tmp_path: Path) -> Path:
    path = tmp_path / "model.ckpt-7.index"
    write_checkpoint(path, VALUES)
    return path


@pytest.mark.parametrize("num_shards", [1, 3])
def test_what_was_written_is_read(num_shards: int, tmp_path: Path) -> None:
    path = tmp_path / "model.ckpt.index"
    write_checkpoint(path, VALUES, num_shards)
    read = read_checkpoint(path)
    assert read.keys() == VALUES.keys()
    for name, value in VALUES.items():
        assert read[name].dtype == value.dtype
        np.testing.assert_array_equal(read[name], value)


def test_checksum_agrees_with_a_slow_one() -> None:
    assert crc32c(b"123456789") == 0xE3069283, "the standard's check value"
    for size in (0, 1, 1023, 1024, 1025, 2048, 70001):
        data = RANDOM.bytes(size)
        assert crc32c(data) == slow_crc32c(data)


def test_broken_files(index: Path) -> None:
    whole = index.read_bytes()
    for damage in (
        b"",
        b"no table at all",
        whole[:-1],
        whole[1:],
        whole[: len(whole) // 2],
        bytes(len(whole)),
    ):
        index.write_bytes(damage)
        with pytest.raises(InputError, match="is no TensorFlow checkpoint index or is broken"):
            read_checkpoint(index)
    for position in range(0, len(whole), 5):
        index.write_bytes(whole[:position] + bytes([whole[position] ^ 0x55]) + whole[position + 1 :])
        try:
            read_checkpoint(index)  # the padding of the footer and the meta index say nothing
        except InputError as error:
            assert "\n" not in str(error)


def test_a_compressed_index_is_named(tmp_path: Path) -> None:
    path = tmp_path / "a.index"
    write_checkpoint(path, VALUES, compressed=True)
    with pytest.raises(InputError, match="compressed"):
        read_checkpoint(path)


def test_data_files_are_checked(index: Path) -> None:
    data = index.with_name("model.ckpt-7.data-00000-of-00001")
    content = data.read_bytes()
    data.write_bytes(content[:-1])
    with pytest.raises(InputError, match=r"does not fit its data file: \S+ of shape"):
        read_checkpoint(index)
    data.write_bytes(content[:100] + bytes([content[100] ^ 1]) + content[101:])
    with pytest.raises(InputError, match="the checksum of MobilenetV2/Conv/"):
        read_checkpoint(index)
    data.unlink()
    with pytest.raises(InputError, match=r"needs model\.ckpt-7\.data-00000-of-00001 beside it"):
        read_checkpoint(index)
    with pytest.raises(InputError, match="There is no checkpoint index"):
        read_checkpoint(index.with_name("other.index"))


def test_layers_of_a_checkpoint(index: Path) -> None:
    (layer,) = find_layers(read_checkpoint(index))
    norm = layer.norm
    assert layer.name == "MobilenetV2/Conv" and norm is not None and norm.eps == 1e-3
    np.testing.assert_array_equal(layer.kernel, VALUES["MobilenetV2/Conv/weights"].transpose(3, 2, 0, 1))
    np.testing.assert_array_equal(norm.gamma, np.ones(8))
    assert norm.mean.dtype == np.float32


def test_moving_averages_win_and_half_a_batch_norm_is_refused() -> None:
    average = RANDOM.normal(size=(3, 3, 3, 8)).astype(np.float32)
    values = VALUES | {"MobilenetV2/Conv/weights/ExponentialMovingAverage": average}
    (layer,) = find_layers(values)
    np.testing.assert_array_equal(layer.kernel, average.transpose(3, 2, 0, 1))
    del values["MobilenetV2/Conv/BatchNorm/moving_mean"]
    with pytest.raises(InputError, match="The BatchNorm of MobilenetV2/Conv is incomplete"):
        find_layers(values)


KERAS = {
    "v1": (mobilenet_v1, "c5", None),
    "v2": (mobilenet_v2, "last", None),
    "v3": (mobilenet_v3_small, "last", 32),
}


def keras_classifier(name: str, num_classes: int = 7, hidden: int | None = None) -> Classifier:
    build, feature, small = KERAS[name]
    backbone = build(width_mult=0.25, out_features=(feature,), padding="same", norm_eps=1e-3)
    head = partial(ClassifierHead, feature=feature, hidden_channels=hidden or small)
    return Classifier(backbone, head, [str(i) for i in range(num_classes)], Resize((66, 66)))


def keras_variables(model: nn.Module, prefix: str = "") -> dict[str, Any]:
    """As ``tf.keras.Model.save_weights`` names them: by the place of their layer, our modules' too."""
    end, values, place = "/.ATTRIBUTES/VARIABLE_VALUE", {}, 0
    for module in model.modules():
        name = f"{prefix}layer_with_weights-{place}"
        state = {key: value.numpy() for key, value in module.state_dict().items()}
        if isinstance(module, nn.Conv2d):
            kernel = (
                state["weight"].transpose(2, 3, 0, 1)
                if module.groups > 1
                else state["weight"].transpose(2, 3, 1, 0)
            )
            values[f"{name}/{'depthwise_kernel' if module.groups > 1 else 'kernel'}{end}"] = kernel
            values[f"{name}/kernel/.OPTIMIZER_SLOT/optimizer/m{end}"] = kernel * 0
        elif isinstance(module, nn.Linear):
            values[f"{name}/kernel{end}"] = state["weight"].T
        elif isinstance(module, nn.BatchNorm2d):
            theirs = {
                "weight": "gamma",
                "bias": "beta",
                "running_mean": "moving_mean",
                "running_var": "moving_variance",
            }
            values |= {f"{name}/{kind}{end}": state[ours] for ours, kind in theirs.items()}
        else:
            continue
        if "bias" in state and not isinstance(module, nn.BatchNorm2d):
            values[f"{name}/bias{end}"] = state["bias"]
        place += 1
    return {**values, f"save_counter{end}": np.array(1, np.int64)}


@torch.no_grad()
@pytest.mark.parametrize(("name", "prefix"), [("v1", ""), ("v2", "model/"), ("v3", "")])
def test_keras_checkpoints(
    name: str, prefix: str, tmp_path: Path, as_trained: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.manual_seed(0)
    source, model = as_trained(keras_classifier(name)), keras_classifier(name).eval()
    values = dict(sorted(keras_variables(source, prefix).items()))  # as the table has them: 0, 1, 10, 11 ...
    monkeypatch.setattr("pocketvision.published.tensorflow.import_file.read_checkpoint", lambda _: values)
    imported = import_tensorflow(model, tmp_path / "ckpt.index")
    assert not imported.report.unused and not imported.facts["is_norm_folded"]
    images = torch.randint(0, 256, (2, 3, 66, 66)).float()
    torch.testing.assert_close(model(images), source(images), rtol=1e-4, atol=1e-4)


def test_keras_checkpoints_of_something_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    values = keras_variables(keras_classifier("v2"))
    monkeypatch.setattr("pocketvision.published.tensorflow.import_file.read_checkpoint", lambda _: values)
    path = tmp_path / "ckpt.index"
    sentence = r"^\S+/ckpt.index does not fit the model: \S+ of the model has a kernel"
    with pytest.raises(InputError, match=sentence):
        import_tensorflow(keras_classifier("v1"), path)
    mean = "layer_with_weights-{}/moving_mean/.ATTRIBUTES/VARIABLE_VALUE"
    for place, sentence in ((1, "another size"), (0, "no convolution")):
        with pytest.raises(InputError, match=f"layer_with_weights-{place}/ is a BatchNorm .*{sentence}"):
            find_layers({**values, mean.format(place): np.zeros(3, np.float32)})


@pytest.mark.parametrize("name", KERAS)
def test_keras_checkpoints_say_what_they_are(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hidden = {"v3": 1024}.get(name)
    values = dict(sorted(keras_variables(keras_classifier(name, hidden=hidden)).items()))
    monkeypatch.setattr("pocketvision.published.tensorflow.import_file.read_checkpoint", lambda _: values)
    found = recognize(tmp_path / "ckpt.index")
    assert found.config == f"classifier_{name.replace('v3', 'v3_small')}_imagenet"
    assert found.arguments == {"width_mult": 0.25} and found.num_outputs == 7
    assert found.assumed is not None and "x / 127.5 - 1" in found.assumed
