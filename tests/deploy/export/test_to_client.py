"""Covers deploy/export/to_client.py, deploy/client/predict.py, deploy/client/opening.py,
deploy/client/pictures.py, deploy/client/tiles.py, deploy/client/results.py.

A client says what ``Predictor`` says, in a Python that has neither PyTorch nor this package.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from pocketvision.core.distances import DistanceBoxCoder
from pocketvision.core.errors import InputError
from pocketvision.core.resize import PixelFormat, Resize, Tiling
from pocketvision.deploy.client.pictures import bilinear
from pocketvision.deploy.client.results import best_classes, resize_labels
from pocketvision.deploy.converters.environment import Converters
from pocketvision.deploy.export.to_client import program, sections, write_client
from pocketvision.deploy.export.to_file import export_model
from pocketvision.deploy.export.to_onnx import save_onnx, write_metadata
from pocketvision.deploy.formats import CLIENT_FORMATS
from pocketvision.deploy.packages import optional
from pocketvision.deploy.predict.predictor import Predictor
from pocketvision.deploy.runtimes.artifact import DETECTIONS, LABEL_MAP, Artifact
from pocketvision.deploy.runtimes.described import describe
from pocketvision.deploy.runtimes.opening import open_runtime
from pocketvision.models import SSDPostprocess, VisionModel

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[3]
Exported = Callable[..., Path]
Check = Callable[[Path, list[Path], Path], None]


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Of many sizes, one of them turned by EXIF and one with transparency."""
    folder = tmp_path_factory.mktemp("photos")
    draws = np.random.default_rng(0)
    paths = []
    for index, size in enumerate([(96, 130), (40, 50), (64, 80), (200, 97)]):
        coarse = draws.integers(0, 256, (6, 7, 3), dtype=np.uint8)
        picture = Image.fromarray(coarse).resize(size[::-1], Image.Resampling.BICUBIC)
        path = folder / f"{index}.png"
        if index == 1:
            picture.putalpha(Image.fromarray(draws.integers(0, 256, size, dtype=np.uint8)))
        if index == 3:
            exif = Image.Exif()
            exif[0x0112] = 6
            path = folder / "3.jpg"
            picture.save(path, exif=exif)
        else:
            picture.save(path)
        paths.append(path)
    return paths


def retold(path: Path, target: Path, change: Callable[[Artifact], Artifact]) -> Path:
    """A copy of an ONNX file that says something else of itself."""
    onnx = optional("onnx")
    model = onnx.load(path)
    write_metadata(model, change(open_runtime(path).artifact))
    save_onnx(model, target)
    return target


@pytest.fixture(scope="module")
def check(run_client: Callable[..., Any]) -> Check:
    """Whether the client of a model says the same as ``Predictor``: of a file, photos, a folder for masks."""

    def same(path: Path, photos: list[Path], folder: Path) -> None:
        client = write_client(path)
        predictor = Predictor.load(path, device="cpu")
        is_segmenter = predictor.artifact.task == "segmentation"
        masks = ["--masks", str(folder / "masks")] if is_segmenter else []
        found = run_client(client, *map(str, photos), *masks)
        expected = predictor.predict(photos)
        assert len(found) == len(photos)
        seen: set[int] = set()
        for got, wanted in zip(found, expected, strict=True):
            plain = wanted.to_dict()
            assert got["image"] == plain["image"] and got["size"] == plain["size"]
            if is_segmenter:
                mask = np.asarray(Image.open(folder / "masks" / f"{Path(got['image']).stem}.png"))
                assert (mask == wanted.label_map).mean() > 0.9999
                seen |= set(np.unique(mask).tolist())
                continue
            assert wanted.labels is not None and len(wanted.labels) > 0
            rows = got["detections" if wanted.boxes is not None else "classes"]
            assert [row["label"] for row in rows] == wanted.labels.tolist()
            assert [row["name"] for row in rows] == wanted.names
            np.testing.assert_allclose([row["score"] for row in rows], wanted.scores, atol=1e-5)
            if wanted.boxes is not None:
                np.testing.assert_allclose([row["box"] for row in rows], wanted.boxes, atol=1e-3)
        assert len(seen) > 1 or not is_segmenter

    return same


@pytest.mark.parametrize(
    ("task", "options", "resize"),
    [
        ("detection", {}, Resize((64, 80))),
        ("detection", {}, Resize((64, 80), mode="letterbox", interpolation="nearest")),
        ("detection", {"nms": True, "batch": 2}, Resize((64, 80), mode="letterbox")),
        ("segmentation", {"input_type": "float"}, Resize((64, 80), mode="letterbox")),
        ("segmentation", {"input_type": "float"}, Resize((64, 80))),
        ("segmentation", {"label_map": True}, Resize((64, 80), mode="letterbox", antialias=True)),
        ("classification", {}, Resize((64, 80), mode="crop", antialias=True)),
        ("classification", {}, Resize((64, 80), mode="crop", crop_share=0.7)),
        ("detection", {}, Resize((64, 80), tiling=Tiling((40, 56), 0.3))),
        ("detection", {"nms": True}, Resize((64, 80), tiling=Tiling((48, 48), 0.5))),
        ("segmentation", {}, Resize((64, 80), tiling=Tiling((40, 56), 0.3))),
    ],
)
def test_a_client_says_what_predictor_says(
    task: str,
    options: dict[str, Any],
    resize: Resize,
    exported: Exported,
    photos: list[Path],
    tmp_path: Path,
    check: Check,
) -> None:
    def change(artifact: Artifact) -> Artifact:
        least = 0.3 if task == "detection" else None
        return replace(artifact, resize=resize, threshold=least)

    check(retold(exported(task, "onnx", **options), tmp_path / "m.onnx", change), photos, tmp_path)


def test_distances_and_sigmoids(exported: Exported, photos: list[Path], tmp_path: Path, check: Check) -> None:
    """With the graph of another detector, whose last column is taken for one more class."""

    def change(artifact: Artifact) -> Artifact:
        post = SSDPostprocess(
            coder=DistanceBoxCoder(), score_function="sigmoid", reserved_labels=(1,), max_detections=40
        )
        names = (*artifact.class_names, "fox")
        return replace(artifact, postprocess=post, class_names=names, threshold=0.6)

    check(retold(exported("detection", "onnx"), tmp_path / "m.onnx", change), photos, tmp_path)


@pytest.mark.parametrize("task", ["detection", "segmentation"])
def test_openvino(task: str, exported: Exported, photos: list[Path], tmp_path: Path, check: Check) -> None:
    path = exported(task, "openvino")
    for file in (path, path.with_suffix(".bin")):
        (tmp_path / file.name).write_bytes(file.read_bytes())
    check(tmp_path / path.name, photos[:2], tmp_path)


@pytest.mark.parametrize("task", ["detection", "segmentation"])
def test_ncnn(task: str, exported: Exported, photos: list[Path], tmp_path: Path, check: Check) -> None:
    pytest.importorskip("ncnn")
    pytest.importorskip("pnnx")
    path = exported(task, "ncnn")
    for suffix in (".param", ".bin", ".json"):
        file = path.with_suffix(suffix)
        (tmp_path / file.name).write_bytes(file.read_bytes())
    check(tmp_path / path.name, photos[:2], tmp_path)


@pytest.mark.parametrize("task", ["detection", "segmentation"])
def test_litert(
    task: str,
    models: dict[str, VisionModel],
    converters: Converters,
    photos: list[Path],
    tmp_path: Path,
    check: Check,
) -> None:
    pytest.importorskip("ai_edge_litert")
    path = export_model(models[task], "litert", tmp_path / "m.tflite", None, converters)
    check(path, photos[:2], tmp_path)


def test_it_resizes_as_opencv_does() -> None:
    draws = np.random.default_rng(1)
    for _ in range(40):
        sizes = draws.integers(1, 90, (2, 2)).tolist()
        image = draws.integers(0, 256, (*sizes[0], 3), dtype=np.uint8)
        np.testing.assert_array_equal(bilinear(image, sizes[1]), Resize(tuple(sizes[1])).apply(image))


def test_it_picks_labels_as_opencv_does() -> None:
    """But where the middle of a pixel lies on an edge between two."""
    draws = np.random.default_rng(3)
    for _ in range(200):
        length, size = draws.integers(1, 200, 2).tolist()
        labels = draws.integers(0, 256, (1, length), dtype=np.uint8)
        expected = cv2.resize(labels, (size, 1), interpolation=cv2.INTER_NEAREST_EXACT)
        is_clear = ((2 * np.arange(size) + 1) * length) % (2 * size) != 0
        np.testing.assert_array_equal(resize_labels(labels, (1, size))[:, is_clear], expected[:, is_clear])


def test_it_labels_pixels_as_pytorch_does() -> None:
    draws = np.random.default_rng(2)
    for size in [(97, 131), (5, 4), (300, 200), (33, 64)]:
        logits = draws.normal(size=(7, *draws.integers(1, 40, 2).tolist())).astype(np.float32)
        expected = Resize((40, 40)).restore_labels(torch.from_numpy(logits), size).numpy()
        assert (best_classes(logits, size) == expected).mean() > 0.9999


def facts(task: str, models: dict[str, VisionModel]) -> Artifact:
    return describe(models[task])


@pytest.mark.parametrize("format", CLIENT_FORMATS.values())
def test_every_program_is_tidy(format: str, models: dict[str, VisionModel], tmp_path: Path) -> None:
    """Whatever is left out, no name is missing and none is left over."""
    count = 0
    for task in models:
        whole = {"detection": DETECTIONS, "segmentation": LABEL_MAP, "classification": None}[task]
        for mode in ("stretch", "letterbox", "crop"):
            for options in (
                {},
                {"antialias": True},
                {"interpolation": "nearest"},
                {"pixels": PixelFormat(5)},
                {"tiling": Tiling((40, 56))},
            ):
                resize = Resize((64, 80), mode=mode, **options)  # type: ignore[arg-type]
                artifact = replace(facts(task, models), resize=resize)
                for outputs in filter(None, (artifact.outputs, whole)):
                    text = program(sections(format, replace(artifact, outputs=outputs)), "m.file")
                    (tmp_path / f"{count}.py").write_text(text)
                    count += 1
                    assert text.count("\n") < 300 and "from pocketvision" not in text
    settings = ["--config", str(ROOT / "pyproject.toml"), "--no-cache"]
    for command in (["check", "--ignore", "INP"], ["format", "--check"]):
        done = subprocess.run(
            [sys.executable, "-m", "ruff", *command, *settings, str(tmp_path)], capture_output=True, text=True
        )
        assert done.returncode == 0, done.stdout[-3000:]


def test_bad_input_is_one_sentence(exported: Exported, tmp_path: Path) -> None:
    cubic = Resize((64, 80), interpolation="bicubic")
    path = retold(exported("detection", "onnx"), tmp_path / "m.onnx", lambda a: replace(a, resize=cubic))
    with pytest.raises(InputError, match="OpenCV's bicubic interpolation"):
        write_client(path)
    assert not (tmp_path / "m_client").exists()
    (tmp_path / "m_client").mkdir()
    with pytest.raises(InputError, match="m_client exists already"):
        write_client(path)
    with pytest.raises(InputError, match=r"There is no client for \.pt2: choose from onnx, openvino, litert"):
        write_client(exported("detection", "pt2"))


def test_a_missing_picture_is_one_sentence(exported: Exported, tmp_path: Path) -> None:
    path = retold(exported("detection", "onnx"), tmp_path / "m.onnx", lambda artifact: artifact)
    program = write_client(path) / "predict.py"
    done = subprocess.run(
        [sys.executable, str(program), "no.jpg"], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 1 and done.stderr.startswith("error: ") and done.stderr.count("\n") == 1


def test_a_program_imports_its_model(
    as_trained: Callable[[nn.Module], nn.Module], exported: Exported, photos: list[Path], tmp_path: Path
) -> None:
    """``from predict import Model``, with arrays and Pillow images."""
    client = write_client(
        retold(exported("detection", "onnx"), tmp_path / "m.onnx", lambda artifact: artifact)
    )
    code = (
        "import numpy; from PIL import Image; from predict import Model;"
        "model = Model(threshold=0.2, threads=1);"
        "image = Image.open('0.png'); assert model(image) == model(numpy.asarray(image)) == model('0.png');"
        "assert len(model(image)['detections']) > 1"
    )
    (client / "0.png").write_bytes(photos[0].read_bytes())
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=client, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
