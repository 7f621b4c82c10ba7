"""Confusion matrix of label maps of 1024x2048, 19 classes and ignored pixels: ours against masked bincount.

    python benchmarks/confusion.py [--repeats 20]

One thread, interleaved, the median of the repeats in milliseconds a map.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from pocketvision.metrics import confusion_matrix

NUM_CLASSES, IGNORED = 19, 255
Maps = NDArray[np.uint8]
Method = Callable[[Maps, Maps], NDArray[Any]]


def ours(prediction: Maps, truth: Maps) -> NDArray[Any]:
    return confusion_matrix(prediction, truth, NUM_CLASSES, IGNORED)


def masked_bincount(prediction: Maps, truth: Maps) -> NDArray[Any]:
    """The usual way: leave ignored pixels out, then count pairs of classes."""
    counted = truth != IGNORED
    pairs = NUM_CLASSES * truth[counted].astype(np.int64) + prediction[counted]
    return np.bincount(pairs, minlength=NUM_CLASSES**2).reshape(NUM_CLASSES, NUM_CLASSES)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--repeats", type=int, default=20)
    repeats = parser.parse_args().repeats
    cv2.setNumThreads(1)
    random = np.random.default_rng(0)
    coarse = random.integers(0, NUM_CLASSES, (2, 64, 128)).astype(np.uint8)
    coarse[1, :6] = IGNORED
    prediction, truth = (x.repeat(16, 0).repeat(16, 1) for x in coarse)
    methods: dict[str, Method] = {"ours": ours, "masked bincount": masked_bincount}
    times: dict[str, list[float]] = {name: [] for name in methods}
    for _ in range(repeats):
        for name, method in methods.items():
            start = time.perf_counter()
            method(prediction, truth)
            times[name].append(1000 * (time.perf_counter() - start))
    first, second = (method(prediction, truth) for method in methods.values())
    medians = {name: statistics.median(values) for name, values in times.items()}
    for name, value in medians.items():
        print(f"{name:<18}{value:>8.1f} ms")
    factor = medians["masked bincount"] / medians["ours"]
    print(f"{factor:.1f}x, equal: {np.array_equal(first, second)}")


if __name__ == "__main__":
    main()
