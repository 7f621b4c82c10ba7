"""Covers published/tensorflow/import_file.py.

Real files of TensorFlow, where they are at hand: POCKETVISION_SHARED names the folder.
"""

from __future__ import annotations

import os
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from pocketvision.backbones import mobilenet_v3_small
from pocketvision.configs.ssdlite_v2_person import model as person_detector
from pocketvision.core.anchors import TensorFlowAnchors
from pocketvision.core.resize import Resize
from pocketvision.datasets.coco.ground_truth import coco_dataset
from pocketvision.datasets.formats.coco import read_coco
from pocketvision.heads import ClassifierHead, SSDLiteHead
from pocketvision.metrics import CocoMetric
from pocketvision.models import Classifier, Detector
from pocketvision.published.load import load_weights
from pocketvision.published.parity import measure_parity
from pocketvision.published.tensorflow.frozen_graph import read_frozen_graph
from pocketvision.published.tensorflow.import_file import import_tensorflow

SHARED = Path(os.environ.get("POCKETVISION_SHARED", Path(__file__).parents[4] / "shared"))
GRAPH = SHARED / "weights" / "ssdlite_mobilenet_v2_person_frozen.pb"
TFLITE = SHARED / "weights" / "mobilenet_v3_small_1.0_224_uint8.tflite"
COCO = SHARED / "data" / "coco_mini"
IMAGENET = SHARED / "data" / "imagenet_samples"


def at_hand(*paths: Path) -> Any:
    missing = [str(path) for path in paths if not path.exists()]
    return pytest.mark.skipif(bool(missing), reason=f"no {', '.join(missing)}")


@pytest.fixture(scope="module")
def detector() -> Detector:
    model = person_detector(("person",)).eval()
    imported = import_tensorflow(model, GRAPH)
    expected = {"class_ids": [1], "background": "dropped", "is_norm_folded": False, "padding": "same"}
    assert imported.facts == expected
    assert imported.report.num_matched == imported.report.num_tensors and not imported.report.unused
    return model


@at_hand(GRAPH)
def test_every_map_and_head_equals_the_graph(detector: Detector, run_graph: Any) -> None:
    generator = torch.Generator().manual_seed(0)
    coarse = torch.rand(1, 3, 12, 12, generator=generator) * 255
    images = torch.nn.functional.interpolate(coarse, (300, 300), mode="bicubic").clamp(0, 255).round()
    with torch.no_grad():
        features = detector.backbone(detector.normalize(images))
        head, maps = detector.head, list(features.values())
        assert isinstance(head, SSDLiteHead)
        class_maps = [block(x) for block, x in zip(head.class_blocks, maps, strict=True)]
        box_maps = [block(x) for block, x in zip(head.box_blocks, maps, strict=True)]
    net = "FeatureExtractor/MobilenetV2"
    nodes = [f"{net}/expanded_conv_13/expansion_output", f"{net}/Conv_1/Relu6"]
    nodes += [
        f"{net}/layer_19_2_Conv2d_{i}_3x3_s2_{c}/Relu6" for i, c in ((2, 512), (3, 256), (4, 256), (5, 128))
    ]
    heads = [
        f"BoxPredictor_{i}/{kind}/BiasAdd"
        for kind in ("ClassPredictor", "BoxEncodingPredictor")
        for i in range(6)
    ]
    # What the graph itself does to pixels: x * 2 / 255 - 1.
    feeds = {f"{net}/MobilenetV2/input": images * (2 / 255) - 1}
    values = run_graph(read_frozen_graph(GRAPH), feeds, nodes + heads)
    for node, feature in zip(nodes, features.values(), strict=True):
        torch.testing.assert_close(feature.double(), values[node], rtol=1e-3, atol=1e-3)
    for i in range(6):
        theirs = values[heads[i]].unflatten(1, (-1, 2))[:, :, 1]  # background, person
        torch.testing.assert_close(class_maps[i].double(), theirs, rtol=1e-3, atol=1e-3)
        theirs = values[heads[6 + i]].unflatten(1, (-1, 4))[:, :, [1, 0, 3, 2]].flatten(1, 2)
        torch.testing.assert_close(box_maps[i].double(), theirs, rtol=1e-3, atol=1e-3)


@at_hand(GRAPH, COCO)
def test_it_finds_people(detector: Detector) -> None:
    """All 400 images score AP 0.186, AP50 0.387; the first 50 are enough to see a wrong anchor or code."""
    records = read_coco(COCO, "val")
    truth = coco_dataset(records)
    used = records.image_ids.tolist()[:50]
    truth = {
        **truth,
        "images": [image for image in truth["images"] if image["id"] in used],
        "annotations": [a for a in truth["annotations"] if a["image_id"] in used],
    }
    person = records.category_ids[records.class_names.index("person")]
    metric = CocoMetric(truth, [person], ["person"])
    for path, image_id in zip(records.image_paths, used, strict=False):
        image = np.asarray(Image.open(path).convert("RGB"))
        batch = torch.from_numpy(detector.resize.apply(image)).permute(2, 0, 1)[None]
        metric.update(image_id, detector.restore(detector.predict(batch), [image.shape[:2]])[0])
    scores = metric.compute()
    assert scores["AP"] > 0.15 and scores["AP50"] > 0.32


@at_hand(TFLITE, IMAGENET)
def test_a_quantised_classifier_is_as_good_as_its_runtime() -> None:
    """Rounding alone makes two kernels of the runtime itself disagree on a tenth of all images."""
    interpreter = pytest.importorskip("ai_edge_litert.interpreter")
    folders = sorted(path for path in IMAGENET.iterdir() if path.is_dir())
    model = Classifier(
        mobilenet_v3_small(out_features=("last",), padding="same"),
        partial(ClassifierHead, hidden_channels=1024),
        [folder.name for folder in folders],
        Resize((224, 224), mode="crop", crop_share=0.875, antialias=True),
        mean=(0.5, 0.5, 0.5),
        std=(0.5, 0.5, 0.5),
    ).eval()
    imported = import_tensorflow(model, TFLITE)
    assert imported.facts["class_ids"] == list(range(1, 1001)) and imported.facts["is_norm_folded"]
    runtime = interpreter.Interpreter(str(TFLITE), num_threads=1)
    runtime.allocate_tensors()
    source, target = runtime.get_input_details()[0]["index"], runtime.get_output_details()[0]["index"]
    found, theirs, labels = [], [], list(range(0, len(folders), 10))
    for folder in islice(folders, 0, None, 10):
        image = model.resize.apply(np.asarray(Image.open(next(folder.iterdir())).convert("RGB")))
        runtime.set_tensor(source, image[None])
        runtime.invoke()
        theirs.append(int(runtime.get_tensor(target)[0, 1:].argmax()))  # class 0 is the background
        with torch.no_grad():
            found.append(int(model(torch.from_numpy(image).permute(2, 0, 1)[None]).argmax()))
    right, right_theirs = (np.mean(np.array(x) == np.array(labels)) for x in (found, theirs))
    assert right >= right_theirs - 0.04
    assert np.mean(np.array(found) == np.array(theirs)) >= 0.8


@at_hand(TFLITE)
def test_every_layer_is_compared_at_the_size_of_the_file() -> None:
    """In a detector for images of 320 pixels, too: what was squeezed at 224 could not be compared there."""
    backbone = mobilenet_v3_small(out_features=("c4_expand", "last"), padding="same")
    model = Detector(backbone, SSDLiteHead, ("a", "b"), Resize((320, 320)), TensorFlowAnchors())
    parity = measure_parity(model, TFLITE, load_weights(model, TFLITE).nodes)
    assert "what reaches 51 of 51 layers" in parity.sentence
    assert parity.largest is not None and parity.largest < 1e-3
