"""Covers deploy/export/to_ncnn.py.

ncnn models: made by pnnx and run by ncnn, refused in a sentence where they are broken or not ours.
"""

from __future__ import annotations

import json
import re
import shutil
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from pocketvision.core.errors import InputError
from pocketvision.deploy.export.to_file import export_model, written_files
from pocketvision.deploy.export.to_ncnn import probe_image, publish, write_ncnn
from pocketvision.deploy.formats import ExportOptions
from pocketvision.deploy.predict.predictor import Predictor
from pocketvision.deploy.runtimes.described import describe
from pocketvision.deploy.runtimes.ncnn_net import hash_file
from pocketvision.deploy.runtimes.opening import open_runtime
from pocketvision.deploy.runtimes.torch_module import TorchRuntime
from pocketvision.models import VisionModel

pytest.importorskip("ncnn", reason='needs pip install "pocketvision[ncnn]"')
pytest.importorskip("pnnx", reason='needs pip install "pocketvision[ncnn]"')

Exported = Callable[..., Path]


@pytest.mark.parametrize("task", ["detection", "segmentation", "classification"])
def test_it_answers_as_pytorch(
    task: str, models: dict[str, VisionModel], images: Tensor, exported: Exported
) -> None:
    path = exported(task, "ncnn")
    runtime = open_runtime(path, threads=1)
    assert (runtime.artifact.batch, runtime.artifact.input_type) == (1, "float")
    assert (runtime.artifact.class_names, runtime.artifact.licence) == (
        models[task].class_names,
        "Apache-2.0",
    )
    expected = TorchRuntime(models[task])(images)
    for name, output in runtime(images).items():
        torch.testing.assert_close(output, expected[name], atol=1e-3, rtol=1e-3)
    assert Predictor.load(path)(images[0].permute(1, 2, 0).numpy()) is not None


def test_the_graph_has_names_and_the_sidecar_anchors_and_thresholds(exported: Exported) -> None:
    path = exported("detection", "ncnn")
    assert [file.suffix for file in written_files(path)] == [".param", ".bin", ".json"]
    layers = [line.split() for line in path.read_text().splitlines()[2:]]
    assert layers[0][0] == "Input" and layers[0][-1] == "images"
    assert {"class_logits", "box_deltas"} <= {name for layer in layers for name in layer}
    values = json.loads(path.with_suffix(".json").read_text())["pocketvision"]
    assert len(values["anchors"][0]) == 4 and values["postprocess"]["max_detections"] == 50


def test_windows_of_pooling_are_numbers(exported: Exported) -> None:
    """Traced with PyTorch's own TorchScript they were computed from shapes, which pnnx leaves in."""
    assert "Pooling " in exported("segmentation", "ncnn").read_text()


def test_threads_share_it(exported: Exported, images: Tensor) -> None:
    runtime = open_runtime(exported("detection", "ncnn"), threads=1)
    expected = [runtime(image[None])["box_deltas"] for image in images]
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda image: runtime(image[None])["box_deltas"], [*images] * 8))
    for index, output in enumerate(found):
        assert torch.equal(output, expected[index % len(images)])


@pytest.fixture
def copied(exported: Exported, tmp_path: Path) -> Path:
    for file in written_files(exported("classification", "ncnn")):
        shutil.copy(file, tmp_path / f"m{file.suffix}")
    return tmp_path / "m.param"


def test_a_renamed_model_is_whole(copied: Path) -> None:
    assert open_runtime(copied).artifact.task == "classification"


@pytest.mark.parametrize(
    ("suffix", "sentence"),
    [
        (".bin", r"m\.param has no weights: m\.bin belongs beside it"),
        (".json", "was not exported by pocketv"),
    ],
)
def test_a_part_is_missing(suffix: str, sentence: str, copied: Path) -> None:
    copied.with_suffix(suffix).unlink()
    with pytest.raises(InputError, match=sentence):
        open_runtime(copied)


@pytest.mark.parametrize("suffix", [".param", ".bin"])
def test_bytes_that_changed(suffix: str, copied: Path) -> None:
    """ncnn trusts what it reads: shorter weights would be read past their end."""
    file = copied.with_suffix(suffix)
    file.write_bytes(file.read_bytes()[:-40])
    with pytest.raises(InputError, match=rf"m\{suffix} can't be opened \(its bytes have changed"):
        open_runtime(copied)


@pytest.mark.parametrize("text", ["", "[]", '{"pocketvision": {}}', '{"pocketvision": 3}', "{"])
def test_a_broken_sidecar(text: str, copied: Path) -> None:
    copied.with_suffix(".json").write_text(text)
    with pytest.raises(InputError, match=r"no JSON|was not exported by|broken metadata"):
        open_runtime(copied)


def test_a_sidecar_without_hashes(copied: Path) -> None:
    sidecar = copied.with_suffix(".json")
    sidecar.write_text(json.dumps({"pocketvision": json.loads(sidecar.read_text())["pocketvision"]}))
    with pytest.raises(InputError, match=r"m.param can't be opened \(its bytes have changed"):
        open_runtime(copied)


def test_another_version_of_ours(copied: Path) -> None:
    sidecar = copied.with_suffix(".json")
    sidecar.write_text(sidecar.read_text().replace('"format_version": 1', '"format_version": 99'))
    with pytest.raises(InputError, match="exported by another version of pocketvision"):
        open_runtime(copied)


def change_graph(path: Path, old: str, new: str) -> None:
    """Change the graph and what the sidecar says of it, as an exporter of another version could."""
    path.write_text(path.read_text().replace(old, new))
    sidecar = path.with_suffix(".json")
    values = json.loads(sidecar.read_text())
    values["files"][".param"] = hash_file(path)
    sidecar.write_text(json.dumps(values))


def test_a_layer_of_a_later_ncnn(copied: Path) -> None:
    change_graph(copied, "HardSwish ", "HarderSwish ")
    with pytest.raises(InputError, match=r"this version of ncnn has no HarderSwish.*--upgrade ncnn"):
        open_runtime(copied)


def test_a_graph_without_the_output_that_the_metadata_name(copied: Path, images: Tensor) -> None:
    change_graph(copied, " class_logits ", " something ")
    with pytest.raises(InputError, match="gives no class_logits"):
        open_runtime(copied)(images)


@pytest.mark.parametrize("content", [b"", b"no graph", b"7767517\n\xff\xff"])
def test_no_graph_at_all(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "m.param").write_bytes(content)
    with pytest.raises(InputError, match=r"m.param can't be opened"):
        open_runtime(tmp_path / "m.param")


def test_another_device(copied: Path) -> None:
    with pytest.raises(InputError, match="ncnn runs on the CPU here, not on 'cuda'"):
        open_runtime(copied, device="cuda")


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (ExportOptions(label_map=True), "ncnn has no operator for the best class of a pixel"),
        (ExportOptions(batch=2), "ncnn takes one image a call"),
        (ExportOptions(dynamic_size=True), "ncnn takes images of one size"),
        (ExportOptions(int8=True), "ncnn can't be written in int8"),
    ],
)
def test_what_it_can_t_be(
    options: ExportOptions, sentence: str, models: dict[str, VisionModel], tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=sentence):
        export_model(models["segmentation"], "ncnn", tmp_path / "m.param", options)


class Sorted(nn.Module):
    """Sorting is no operator of ncnn."""

    def forward(self, images: Tensor) -> tuple[Tensor]:
        return (images.mean(dim=(2, 3)).argsort(dim=1).float(),)


def test_an_operator_that_ncnn_lacks(models: dict[str, VisionModel], tmp_path: Path) -> None:
    with pytest.raises(InputError, match=re.compile("(ncnn has no operator for|pnnx).*another format")):
        write_ncnn(Sorted(), describe(models["classification"]), tmp_path / "m.param")
    assert not list(tmp_path.iterdir()), "nothing half-made"


class Folded(nn.Module):
    """Mixes what ncnn takes for the batch into the image: pnnx converts it, to something else."""

    def forward(self, images: Tensor) -> tuple[Tensor]:
        return (images.reshape(3, 1, -1).transpose(0, 2).reshape(1, -1)[:, :4] * 2.0,)


def test_a_graph_that_became_another(models: dict[str, VisionModel], tmp_path: Path) -> None:
    artifact = replace(describe(models["classification"]), class_names=("a", "b", "c", "d"))
    with pytest.raises(InputError, match="pnnx made a graph whose class_logits is not PyTorch's"):
        write_ncnn(Folded(), artifact, tmp_path / "m.param")
    assert not list(tmp_path.iterdir())


def test_it_is_compared_on_an_image_like_a_picture() -> None:
    """On white noise a deep net's rounding alone was 1.5 % of its output, and the file was refused."""
    image = probe_image(3, (128, 192))
    assert image.shape == (1, 3, 128, 192) and 0 <= image.min() < image.max() <= 255
    white = torch.rand(image.shape) * 255
    steps = [(x[..., 1:] - x[..., :-1]).abs().mean() / x.std() for x in (image, white)]
    assert steps[0] < 0.75 * steps[1], "neighbors are alike"
    assert torch.equal(image, probe_image(3, (128, 192)))


def test_a_disk_that_refuses_one_of_the_files(copied: Path, tmp_path: Path) -> None:
    target = tmp_path / "new" / "n.param"
    (target.parent / "n.param").mkdir(parents=True)
    with pytest.raises(OSError):
        publish(copied, target)
    assert [file.name for file in target.parent.iterdir()] == ["n.param"]


def test_pnnx_is_missing(
    models: dict[str, VisionModel], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pnnx", None)
    with pytest.raises(InputError, match=r'pnnx is missing: .*"pocketvision\[ncnn\]"'):
        export_model(models["detection"], "ncnn", tmp_path / "m.param")
