"""How unsure a model is of a picture, class by class."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from pocketvision.core.structures import DetectionOutput
from pocketvision.models import Classifier, Detector, Segmenter, VisionModel

LEAST_SCORE = 0.05
"""Of boxes: there are many below, and nearly all of them are nothing."""


def doubts(model: VisionModel, output: DetectionOutput | Tensor, images: Tensor) -> Tensor:
    """``output`` of a model for N images -> (N, K), 0 where it is sure.

    A box of score p adds 4 p (1 - p) to its class, which is 1 for a score of 0.5. A pixel adds the entropy of
    its classes, as a share of the largest and of the image, to the class that is likeliest; an image does the
    same in classification. Slots without a name have none.
    """
    if isinstance(model, Detector):
        assert isinstance(output, DetectionOutput)
        return _of_boxes(model, output, (int(images.shape[-2]), int(images.shape[-1])))
    assert isinstance(model, (Classifier, Segmenter)) and isinstance(output, Tensor)
    return _of_classes(output.float().reshape(*output.shape[:2], -1), model.class_names)


def _of_boxes(model: Detector, output: DetectionOutput, size: tuple[int, int]) -> Tensor:
    least = max(LEAST_SCORE, model.postprocess.score_threshold)
    found = replace(model.postprocess, score_threshold=least)(output, size)
    doubt = 4 * found.scores * (1 - found.scores)  # padding scores 0
    empty = doubt.new_zeros(len(doubt), len(model.class_names))
    return empty.scatter_add(1, found.labels.clamp(min=0), doubt)


def _of_classes(logits: Tensor, class_names: tuple[str | None, ...]) -> Tensor:
    """Logits (N, K, P) of P pixels."""
    is_reserved = torch.tensor([name is None for name in class_names], device=logits.device)
    shares = logits.masked_fill(is_reserved[:, None], -torch.inf).softmax(dim=1)
    largest = max(math.log(int((~is_reserved).sum())), 1e-9)
    entropy: Tensor = torch.special.entr(shares).sum(dim=1) / largest
    empty = entropy.new_zeros(len(logits), len(class_names))
    return empty.scatter_add(1, shares.argmax(dim=1), entropy / entropy.shape[1])


def relative(doubt: npt.NDArray[np.floating[Any]]) -> npt.NDArray[np.float64]:
    """Doubts (N, K) -> the doubt of each picture (N,), as a multiple of the average picture's.

    Classes count alike however often they are seen, but one that is hardly seen at all counts less: its
    doubts are few, and chance.
    """
    means = doubt.mean(axis=0, dtype=np.float64)
    if not means.any():
        return np.ones(len(doubt))
    weighted = (doubt / (means + means.mean())).sum(axis=1)
    return np.asarray(weighted / weighted.mean())
