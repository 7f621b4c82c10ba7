"""Covers deploy/export/to_litert.py, deploy/runtimes/appended.py.

LiteRT files: made by the real converter where it is there, refused in a sentence where they are not ours.
"""

from __future__ import annotations

import zipfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from pocketvision.backbones import WithPAN, mobilenet_v2, mobilenet_v3_small
from pocketvision.core.anchors import CellAnchors
from pocketvision.core.distances import DistanceBoxCoder
from pocketvision.core.errors import InputError
from pocketvision.core.resize import Resize
from pocketvision.deploy.converters.environment import Converters
from pocketvision.deploy.export.to_file import export_model
from pocketvision.deploy.formats import ExportOptions
from pocketvision.deploy.predict.predictor import Predictor
from pocketvision.deploy.runtimes.opening import open_runtime
from pocketvision.deploy.runtimes.torch_module import TorchRuntime
from pocketvision.heads import DeepLabV3Head, GFLHead
from pocketvision.models import Detector, Segmenter, SSDPostprocess, VisionModel

pytestmark = pytest.mark.slow

TFLITE = Path(__file__).resolve().parents[4] / "shared/weights/mobilenet_v3_small_1.0_224_uint8.tflite"


@pytest.mark.parametrize(
    ("task", "options"),
    [
        ("detection", ExportOptions()),
        ("segmentation", ExportOptions(label_map=True, input_type="float")),
        ("classification", ExportOptions(batch=2)),
    ],
)
def test_it_answers_as_pytorch(
    task: str, options: ExportOptions, models: dict[str, VisionModel], converters: Converters, tmp_path: Path
) -> None:
    pytest.importorskip("ai_edge_litert")
    from pocketvision.deploy.certificate.stages import Reference

    path = export_model(models[task], "litert", tmp_path / "m.tflite", options, converters)
    runtime = open_runtime(path, threads=1)
    assert runtime.artifact.batch == (options.batch or 1)
    height, width = runtime.artifact.image_size
    ramp = np.linspace(0, 255, 3 * height * width).reshape(1, 3, height, width)
    images = torch.from_numpy(np.concatenate([ramp, ramp[..., ::-1], ramp[:, ::-1]]).astype(np.uint8))
    expected = Reference(models[task], label_map=options.label_map)(images)
    for name, output in runtime(images).items():
        if options.label_map:
            assert (output == expected[name]).float().mean() > 0.995
        else:
            torch.testing.assert_close(output, expected[name], atol=1e-3, rtol=1e-3)
    assert Predictor.load(path)(ramp[0].transpose(1, 2, 0).astype(np.uint8)) is not None
    with zipfile.ZipFile(path) as archive:
        names = archive.read("labels.txt").decode().splitlines()
    assert names == [name or "???" for name in models[task].class_names]
    check_changed(path, tmp_path / "changed.tflite")


def test_a_head_that_enlarges_an_average(converters: Converters, tmp_path: Path) -> None:
    """DeepLabv3 was refused: "broadcast_to.cc Output shape must be broadcastable from input shape"."""
    pytest.importorskip("ai_edge_litert")
    torch.manual_seed(0)
    body = mobilenet_v2(width_mult=0.35, output_stride=16, out_features=("c4",))
    head = partial(DeepLabV3Head, channels=8, feature="c4")
    model = Segmenter(body, head, ("ground", "crack"), Resize((32, 64))).eval()
    torch.nn.init.normal_(model.head.logits.weight)
    path = export_model(model, "litert", tmp_path / "m.tflite", ExportOptions(), converters)
    images = torch.randint(0, 256, (1, 3, 32, 64), dtype=torch.uint8)
    (logits,) = open_runtime(path, threads=1)(images).values()
    torch.testing.assert_close(logits, model(images).detach(), atol=1e-3, rtol=1e-3)


def test_a_pyramid_of_maps_of_odd_sizes(
    converters: Converters, as_trained: Callable[[nn.Module], nn.Module], tmp_path: Path
) -> None:
    """8 rows enlarged to 15 were others than PyTorch's: a dense head at 240x320 had 13 % of its boxes."""
    pytest.importorskip("ai_edge_litert")
    torch.manual_seed(0)
    body = mobilenet_v3_small(width_mult=0.35, out_features=("c1", "c2", "c3"))
    post = SSDPostprocess(coder=DistanceBoxCoder())
    trained = as_trained(
        Detector(WithPAN(body, 8), GFLHead, ("cat",), Resize((60, 80)), CellAnchors(7.0), post, "sigmoid")
    )
    assert isinstance(trained, Detector) and isinstance(trained.head, GFLHead)
    for block in (*trained.head.class_blocks, *trained.head.box_blocks):
        block.weight.data *= 60  # so that cells differ
    path = export_model(trained, "litert", tmp_path / "m.tflite", ExportOptions(), converters)
    images = torch.randint(0, 256, (1, 3, 60, 80), dtype=torch.uint8)
    found, expected = open_runtime(path, threads=1)(images), TorchRuntime(trained)(images)
    for name, output in found.items():
        torch.testing.assert_close(output, expected[name], atol=1e-3, rtol=1e-3)


def check_changed(path: Path, changed: Path) -> None:
    """A graph whose bytes changed is refused before the interpreter, which would trust it, sees it."""
    content = bytearray(path.read_bytes())
    content[len(content) // 3] ^= 1
    changed.write_bytes(content)
    with pytest.raises(InputError, match=r"changed.tflite can't be opened \(its bytes have changed"):
        open_runtime(changed)


@pytest.mark.parametrize(
    "content", [b"", b"no model", b"PK\x05\x06" + bytes(18), b"\0\0\0\0TFL3" + bytes(64)]
)
def test_what_is_not_ours_or_broken(content: bytes, tmp_path: Path) -> None:
    pytest.importorskip("ai_edge_litert")
    path = tmp_path / "m.tflite"
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"m.tflite (was not exported by pocketvision|can't be opened)"):
        open_runtime(path)


def test_a_file_of_somebody_else() -> None:
    pytest.importorskip("ai_edge_litert")
    if not TFLITE.is_file():
        pytest.skip(f"needs {TFLITE}")
    with pytest.raises(InputError, match="was not exported by pocketvision"):
        open_runtime(TFLITE)


def test_another_device(tmp_path: Path) -> None:
    pytest.importorskip("ai_edge_litert")
    (tmp_path / "m.tflite").touch()
    with pytest.raises(InputError, match="LiteRT runs on the CPU here, not on 'cuda'"):
        open_runtime(tmp_path / "m.tflite", device="cuda")
