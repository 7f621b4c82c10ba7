"""Run the model of this folder: ``python predict.py photo.jpg more.png --json found.json``.

In a program: ``from predict import Model``, then ``Model()("photo.jpg")``. It needs what requirements.txt
lists. Boxes are x1, y1, x2, y2 in pixels, sizes are (height, width).
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from pocketvision.deploy.client.opening import (
    CLASSES,
    MODEL,
    open_litert,
    open_ncnn,
    open_onnx,
    open_openvino,
)
from pocketvision.deploy.client.pictures import content_size, make_input, read_bands, read_image
from pocketvision.deploy.client.results import (
    best_boxes,
    best_classes,
    decode_distances,
    decode_ssd,
    enlarge,
    resize_labels,
    sigmoid,
    softmax,
)
from pocketvision.deploy.client.tiles import merge_boxes, merge_labels, windows_of


# <part>
class Model:
    """The model in the file ``path``; ``threads`` of the CPU, None for the runtime's choice.

    Boxes score more than ``threshold``; None is the best known, or 0.5.
    """

    def __init__(
        self, path: str | Path = MODEL, *, threshold: float | None = None, threads: int | None = None
    ) -> None:
        # <onnx>
        self.facts, self.run = open_onnx(Path(path), threads)
        # </onnx>
        # <openvino>
        self.facts, self.run = open_openvino(Path(path), threads)
        # </openvino>
        # <litert>
        self.facts, self.run = open_litert(Path(path), threads)
        # </litert>
        # <ncnn>
        self.facts, self.run = open_ncnn(Path(path), threads)
        # </ncnn>
        # <alone>
        self.tasks = {self.facts["task"]: self.facts}
        # </alone>
        # <joint>
        self.tasks = {part["task"]: part for part in self.facts["parts"]}
        # </joint>
        lines = iter(CLASSES.read_text(encoding="utf-8").split("\n"))
        self.names = {task: [next(lines) for _ in part["class_names"]] for task, part in self.tasks.items()}
        # <detection>
        best = self.tasks["detection"]["threshold"]
        self.threshold = threshold if threshold is not None else 0.5 if best is None else best
        # </detection>
        # <raw>
        self.anchors = np.array(self.tasks["detection"]["anchors"], dtype=np.float32)
        # </raw>

    def outputs(self, image: np.ndarray) -> dict[str, dict[str, np.ndarray]]:
        """What the graph answers for an image (H, W, 3) uint8 RGB of any size, by task and name."""
        images = np.repeat(make_input(image, self.facts["resize"])[None], self.facts["batch"] or 1, axis=0)
        if self.facts["input_type"] == "float":
            images = images.astype(np.float32)
        answers = iter(self.run(images))
        return {
            task: {name: next(answers)[0] for name in facts["outputs"]} for task, facts in self.tasks.items()
        }

    # <detection>
    def detect(self, image: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Boxes (M, 4) in pixels of the image, scores (M,) and labels (M,), best first."""
        # <tiles>
        windows = windows_of(self.facts["resize"]["tiling"], image.shape[:2])
        if len(windows) > 1:
            tiles = [image[y : y + height, x : x + width] for y, x, height, width in windows]
            threshold = self.tasks["detection"]["postprocess"]["iou_threshold"]
            return merge_boxes([self.detect(tile) for tile in tiles], windows, image.shape[:2], threshold)
        # </tiles>
        return self.boxes_of(self.outputs(image)["detection"], image.shape[:2])

    def boxes_of(
        self, outputs: dict[str, np.ndarray], size: Sequence[int]
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The same of an image of this size, from what the graph answers."""
        # <raw>
        postprocess = self.tasks["detection"]["postprocess"]
        height, width = self.facts["resize"]["image_size"]
        # <softmax_scores>
        scores = softmax(outputs["class_logits"])[:, :-1]
        # </softmax_scores>
        # <sigmoid_scores>
        scores = sigmoid(outputs["class_logits"])
        # </sigmoid_scores>
        scores[:, postprocess["reserved_labels"]] = 0.0
        # <ssd>
        boxes = decode_ssd(outputs["box_deltas"], self.anchors, postprocess["coder"])
        # </ssd>
        # <distances>
        boxes = decode_distances(outputs["box_deltas"], self.anchors)
        # </distances>
        boxes = boxes.clip(0, [width, height] * 2).astype(np.float32)
        least = max(self.threshold, postprocess["score_threshold"])
        boxes, scores, labels = best_boxes(boxes, scores, {**postprocess, "score_threshold": least})
        # </raw>
        # <final>
        boxes, scores, labels = (
            outputs[name][: outputs["num_detections"]] for name in ("boxes", "scores", "labels")
        )
        boxes, scores, labels = (values[scores > self.threshold] for values in (boxes, scores, labels))
        # </final>
        (height, width), content = size, content_size(self.facts["resize"], size)
        factors = np.array([content[1] / width, content[0] / height] * 2, dtype=np.float32)
        return (boxes / factors).clip(0, [width, height] * 2).astype(np.float32), scores, labels

    # </detection>
    # <segmentation>
    def segment(self, image: np.ndarray) -> np.ndarray:
        """The class of every pixel, (H, W) uint8."""
        # <tiles>
        windows = windows_of(self.facts["resize"]["tiling"], image.shape[:2])
        if len(windows) > 1:
            tiles = [image[y : y + height, x : x + width] for y, x, height, width in windows]
            return merge_labels([self.segment(tile) for tile in tiles], windows, image.shape[:2])
        # </tiles>
        return self.map_of(self.outputs(image)["segmentation"], image.shape[:2])

    def map_of(self, outputs: dict[str, np.ndarray], size: Sequence[int]) -> np.ndarray:
        """The same of an image of this size, from what the graph answers."""
        # <logits>
        names = self.tasks["segmentation"]["class_names"]
        named = [index for index, name in enumerate(names) if name is not None]
        logits = outputs["logits"][named]
        # <letterbox>
        height, width = content_size(self.facts["resize"], size)
        logits = enlarge(logits, self.facts["resize"]["image_size"])[:, :height, :width]
        # </letterbox>
        return np.array(named, dtype=np.uint8)[best_classes(logits, size)]
        # </logits>
        # <label_map>
        height, width = content_size(self.facts["resize"], size)
        return resize_labels(outputs["label_map"][:height, :width], size)
        # </label_map>

    # </segmentation>
    # <classification>
    def classify(self, image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Scores and labels of the five best classes, best first."""
        return self.classes_of(self.outputs(image)["classification"])

    def classes_of(self, outputs: dict[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
        """The same from what the graph answers."""
        scores, names = softmax(outputs["class_logits"]), self.tasks["classification"]["class_names"]
        named = [index for index, name in enumerate(names) if name is not None]
        labels = np.array(named)[np.argsort(-scores[named], kind="stable")[:5]]
        return scores[labels], labels

    # </classification>
    # <joint>
    def look(self, image: np.ndarray) -> dict[str, Any]:
        """What each task says of an image (H, W, 3) uint8 RGB, from one run of the graph."""
        outputs, size = self.outputs(image), image.shape[:2]
        return {
            # <detection>
            "detection": self.boxes_of(outputs["detection"], size),
            # </detection>
            # <segmentation>
            "segmentation": self.map_of(outputs["segmentation"], size),
            # </segmentation>
            # <classification>
            "classification": self.classes_of(outputs["classification"]),
            # </classification>
        }

    # </joint>
    def __call__(self, source: str | Path | Image.Image | np.ndarray) -> dict[str, Any]:
        """What is found in a file, a Pillow image or an array (H, W, 3) uint8 RGB, as plain values."""
        # <rgb>
        image = read_image(source)
        # </rgb>
        # <bands>
        image = read_bands(source, self.facts["resize"]["pixels"])
        # </bands>
        # <joint>
        results = self.look(image)
        # </joint>
        # <alone>
        # <detection>
        results = {"detection": self.detect(image)}
        # </detection>
        # <segmentation>
        results = {"segmentation": self.segment(image)}
        # </segmentation>
        # <classification>
        results = {"classification": self.classify(image)}
        # </classification>
        # </alone>
        found: dict[str, Any] = {"size": list(image.shape[:2])}
        # <detection>
        found["detections"] = [
            {"box": box, "score": score, "label": label, "name": self.names["detection"][label]}
            for box, score, label in zip(*(values.tolist() for values in results["detection"]), strict=True)
        ]
        # </detection>
        # <segmentation>
        labels, counts = np.unique(results["segmentation"], return_counts=True)
        found["classes"] = [
            {"label": label, "name": self.names["segmentation"][label], "share": count / counts.sum()}
            for label, count in zip(labels.tolist(), counts.tolist(), strict=True)
        ]
        # </segmentation>
        # <classification>
        names = self.names["classification"]
        # <alone>
        key = "classes"
        # </alone>
        # <joint>
        key = "image_classes"
        # </joint>
        found[key] = [
            {"label": label, "name": names[label], "score": score}
            for score, label in zip(*(values.tolist() for values in results["classification"]), strict=True)
        ]
        # </classification>
        return found


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description="Run the model of this folder on images.")
    parser.add_argument("images", nargs="+", type=Path)
    parser.add_argument("--json", type=Path, help="file to write instead of printing")
    parser.add_argument("--threads", type=int, help="of the CPU (default: the runtime's choice)")
    # <detection>
    parser.add_argument("--threshold", type=float, help="least score of a box (default: the best known)")
    # </detection>
    # <segmentation>
    parser.add_argument("--masks", type=Path, help="folder for label maps as PNG files")
    # </segmentation>
    arguments = parser.parse_args()
    options = {"threads": arguments.threads}
    # <detection>
    options["threshold"] = arguments.threshold
    # </detection>
    model = Model(**options)
    try:
        found = [{"image": str(path), **model(path)} for path in arguments.images]
    except (OSError, ValueError) as error:  # no such file, no picture, or another kind of one
        raise SystemExit(f"error: {error}") from None
    # <segmentation>
    for path in arguments.images if arguments.masks else ():
        arguments.masks.mkdir(parents=True, exist_ok=True)
        # <rgb>
        image = read_image(path)
        # </rgb>
        # <bands>
        image = read_bands(path, model.facts["resize"]["pixels"])
        # </bands>
        Image.fromarray(model.segment(image)).save(arguments.masks / f"{path.stem}.png")
    # </segmentation>
    text = json.dumps(found, indent=2, ensure_ascii=False)
    if arguments.json:
        arguments.json.write_text(text + "\n", encoding="utf-8")
    else:
        print(text)


if __name__ == "__main__":
    main()
# </part>
