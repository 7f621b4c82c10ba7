"""COCO scoring of a problem as large as val2017: NumPy against pycocotools and, where installed, hotcoco.

    python benchmarks/coco_metric.py [--images 5000] [--repeats 3]

Each engine runs in a process of its own, for its peak memory: 7.2 boxes and 100 detections an image, 80
classes, half of the detections near a box. Prints seconds, peak memory above that of the problem
itself, and the largest difference from pycocotools in the precision and recall arrays.
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from pocketvision.metrics.coco_arrays import Found, Scores, Truth
from pocketvision.metrics.coco_engine import accumulate
from pocketvision.metrics.coco_matching import match
from pocketvision.metrics.coco_reference import score_with_pycocotools
from pocketvision.metrics.coco_resampled import ResampledAP, sized_matches

NUM_CLASSES, NUM_DETECTIONS, BOXES_PER_IMAGE = 80, 100, 7.2
ENGINES = ("numpy", "hotcoco", "pycocotools")


def problem(num_images: int) -> tuple[Truth, Found]:
    """Boxes of a few classes an image; detections near them, of other classes and anywhere."""
    random = np.random.default_rng(0)
    counts = random.poisson(BOXES_PER_IMAGE, num_images)
    images = np.repeat(np.arange(num_images), counts)
    sides = np.exp(random.normal(4, 1, (len(images), 2))).clip(4, 400)
    boxes = np.concatenate([random.random((len(images), 2)) * (640 - sides), sides], axis=1).round(2)
    present = random.integers(0, NUM_CLASSES, (num_images, 3))
    truth = Truth(
        images, present[images, random.integers(0, 3, len(images))], boxes,
        sides.prod(axis=1) * random.uniform(0.4, 1, len(images)), random.random(len(images)) < 0.01,
        np.arange(1, len(images) + 1),
    )  # fmt: skip
    of_image = np.repeat(np.arange(num_images), NUM_DETECTIONS)
    picked = (np.cumsum(counts) - counts)[of_image] + (
        random.random(len(of_image)) * counts[of_image]
    ).astype(int)
    picked = np.minimum(picked, len(images) - 1)
    is_near = (random.random(len(of_image)) < 0.5) & (counts[of_image] > 0)
    moved = boxes[picked] + random.normal(0, 0.12, (len(of_image), 4)) * boxes[picked][:, [2, 3, 2, 3]]
    anywhere = np.concatenate(
        [random.random((len(of_image), 2)) * 500, np.exp(random.normal(4, 1, (len(of_image), 2)))], axis=1
    )
    found = np.where(is_near[:, None], moved, anywhere)
    found[:, 2:] = found[:, 2:].clip(1)
    is_right = is_near & (random.random(len(of_image)) < 0.85)
    categories = np.where(is_right, truth.categories[picked], random.integers(0, NUM_CLASSES, len(of_image)))
    scores = random.random(len(of_image)) * np.where(is_near, 1, 0.6)
    order = np.lexsort((-scores, of_image))
    return truth, Found(of_image[order], categories[order], found[order], scores[order])


def score_with_hotcoco(truth: Truth, found: Found, num_images: int) -> Scores:
    import hotcoco

    names = ("image_id", "category_id", "bbox", "area", "iscrowd", "id")
    rows = zip(*((values * 1).tolist() for values in truth), strict=True)
    dataset = {
        "images": [{"id": i} for i in range(num_images)],
        "categories": [{"id": i, "name": str(i)} for i in range(NUM_CLASSES)],
        "annotations": [dict(zip(names, row, strict=True)) for row in rows],
    }
    truth_set = hotcoco.COCO(dataset)
    results = np.column_stack([found.images, found.boxes, found.scores, found.categories])
    evaluation = hotcoco.COCOeval(truth_set, truth_set.load_res(results), "bbox")
    evaluation.evaluate()
    evaluation.accumulate()
    assert evaluation.eval is not None
    return Scores(np.asarray(evaluation.eval["precision"]), np.asarray(evaluation.eval["recall"]))


def run_engine(engine: str, num_images: int, output: Path) -> None:
    """Score in this process and leave the arrays, the seconds and the memory in ``output``."""
    truth, found = problem(num_images)
    before, start, cpu = _peak(), time.perf_counter(), time.process_time()
    if engine == "numpy":
        scores = accumulate(match(truth, found, NUM_CLASSES))
    elif engine == "hotcoco":
        scores = score_with_hotcoco(truth, found, num_images)
    else:
        scores = score_with_pycocotools(truth, found, num_images, NUM_CLASSES)
    seconds, cpu_seconds = time.perf_counter() - start, time.process_time() - cpu
    facts = np.array([seconds, cpu_seconds, _peak() - before, _peak()])
    np.savez(output, precision=scores.precision, recall=scores.recall, facts=facts)


def time_resamples(num_images: int, number: int = 20) -> float:
    """Seconds for 1000 bootstrap resamples, from a few."""
    truth, found = problem(num_images)
    table = sized_matches(truth, match(truth, found, NUM_CLASSES)).table()
    score = ResampledAP(table, num_images, NUM_CLASSES)
    weights = np.random.default_rng(0).multinomial(num_images, np.full(num_images, 1 / num_images), number)
    start = time.perf_counter()
    for row in weights:
        score(row)
    return 1000 / number * (time.perf_counter() - start)


def _peak() -> float:
    """Largest memory of this process so far, in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--images", type=int, default=5000)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--engine", choices=ENGINES)
    parser.add_argument("--output", type=Path)
    arguments = parser.parse_args()
    if arguments.engine:
        run_engine(arguments.engine, arguments.images, arguments.output)
        return
    results: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        for engine in ENGINES:
            output = Path(folder) / f"{engine}.npz"
            command = [sys.executable, __file__, "--images", str(arguments.images), "--engine", engine]
            for _ in range(1 if engine == "pycocotools" else arguments.repeats):
                if subprocess.run([*command, "--output", str(output)], check=False).returncode:
                    break
                done = dict(np.load(output))
                if engine not in results or done["facts"][0] < results[engine]["facts"][0]:
                    results[engine] = done
    reference = results["pycocotools"]
    print(f"{'':<12}{'seconds':>10}{'CPU s':>8}{'MB more':>9}{'MB peak':>9}{'faster':>8}{'difference':>12}")
    for engine, done in results.items():
        difference = max(float(np.abs(done[k] - reference[k]).max()) for k in ("precision", "recall"))
        seconds, cpu, more, peak = done["facts"]
        factor = reference["facts"][0] / seconds
        print(
            f"{engine:<12}{seconds:>10.2f}{cpu:>8.2f}{more:>9.0f}{peak:>9.0f}{factor:>7.0f}x{difference:>12.1e}"
        )
    print(f"1000 bootstrap resamples of AP: {time_resamples(arguments.images):.1f} s")


if __name__ == "__main__":
    main()
