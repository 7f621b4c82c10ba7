"""How often the 95 % intervals of AP hold the AP of the population that the images were drawn from.

    python benchmarks/intervals.py [--repetitions 400] [--images 20 60 240]

Detections of 24,000 pictures are simulated: boxes differ in how hard they are, and pictures too; scores
follow the IoU with noise, and false positives come with lower scores. Splits of it get the intervals that
``eval`` writes.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pocketvision.metrics.bootstrap import intervals
from pocketvision.metrics.coco_arrays import IOU_THRESHOLDS
from pocketvision.metrics.coco_resampled import MatchTable, ResampledAP

POPULATION, BOXES_PER_IMAGE = 24_000, 3.0
SKILLS = (-0.45, 0.15, 0.8, 1.3, 1.7)
"""Mean log-odds of a detection's IoU: AP of about .11, .21, .36, .5 and .6."""


def population(skill: float, num_classes: int, random: np.random.Generator) -> MatchTable:
    """Matched detections and boxes of ``POPULATION`` images."""
    hardness = random.normal(0, 0.7, POPULATION)
    owners = np.repeat(np.arange(POPULATION), random.poisson(BOXES_PER_IMAGE, POPULATION))
    classes = random.integers(0, num_classes, len(owners))
    level = skill - hardness[owners] + random.normal(0, 1, len(owners))
    iou = _logistic(level)
    found = iou > 0.3
    noise = random.normal(0, 0.8, int(found.sum()))
    num_false = random.poisson(BOXES_PER_IMAGE * np.exp(0.2 * hardness))
    false_owners = np.repeat(np.arange(POPULATION), num_false)
    num = len(false_owners)
    images = np.concatenate([owners[found], false_owners])
    categories = np.concatenate([classes[found], random.integers(0, num_classes, num)])
    scores = np.concatenate([_logistic(0.9 * level[found] + noise), _logistic(random.normal(-1.2, 1, num))])
    bits = (iou[found][:, None] >= IOU_THRESHOLDS) @ (1 << np.arange(len(IOU_THRESHOLDS)))
    hits = np.concatenate([bits, np.zeros(num, dtype=np.int64)])
    order = np.lexsort((-scores, categories))
    return MatchTable(
        images[order].astype(np.int32), categories[order].astype(np.int32), hits[order].astype(np.uint16),
        np.full(len(order), 1023, dtype=np.uint16), owners.astype(np.int32), classes.astype(np.int32),
    )  # fmt: skip


def split(table: MatchTable, chosen: NDArray[np.int64]) -> MatchTable:
    """The images ``chosen``, renumbered."""
    numbers = np.full(POPULATION, -1, dtype=np.int32)
    numbers[chosen] = np.arange(len(chosen))
    own, true = numbers[table.images] >= 0, numbers[table.truth_images] >= 0
    return MatchTable(
        numbers[table.images[own]], table.categories[own], table.hits[own], table.counted[own],
        numbers[table.truth_images[true]], table.truth_categories[true],
    )  # fmt: skip


def coverage(
    table: MatchTable, num_classes: int, num_images: int, repetitions: int, num_resamples: int
) -> dict[str, float]:
    """The population's AP, the splits' mean, and the shares of intervals that hold it, miss it and how."""
    whole = np.ones(POPULATION, dtype=np.int64)
    true = ResampledAP(table, POPULATION, num_classes)(whole)["AP"]
    found = []
    for number in range(repetitions):
        chosen = np.random.default_rng(number).choice(POPULATION, num_images, replace=False)
        score = ResampledAP(split(table, chosen), num_images, num_classes)
        found.append(intervals(score, num_resamples, seed=number)["AP"])
    low, high = np.array(found).T
    return {
        "true": true,
        "covered": float(((low <= true) & (true <= high)).mean()),
        "below": float((true < low).mean()),
        "above": float((true > high).mean()),
        "width": float((high - low).mean()),
    }


def _logistic(x: NDArray[np.float64]) -> NDArray[np.float64]:
    result: NDArray[np.float64] = 1 / (1 + np.exp(-x))
    return result


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--repetitions", type=int, default=400)
    parser.add_argument("--resamples", type=int, default=300, help="eval makes 1000")
    parser.add_argument("--images", type=int, nargs="+", default=[20, 60, 240])
    parser.add_argument("--classes", type=int, nargs="+", default=[1, 4])
    arguments: Any = parser.parse_args(argv)
    print("classes  images   true AP  covered  AP below  AP above  width")
    for num_classes in arguments.classes:
        for skill in SKILLS:
            table = population(skill, num_classes, np.random.default_rng(num_classes))
            for num_images in arguments.images:
                row = coverage(table, num_classes, num_images, arguments.repetitions, arguments.resamples)
                print(
                    f"{num_classes:>7}{num_images:>8}{row['true']:>10.3f}{row['covered']:>9.1%}"
                    f"{row['below']:>10.1%}{row['above']:>10.1%}{row['width']:>7.3f}",
                    flush=True,
                )  # fmt: skip


if __name__ == "__main__":
    main()
