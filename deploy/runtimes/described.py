"""The metadata of a model of PyTorch's: what its exported file will say."""

from __future__ import annotations

import hashlib
from dataclasses import replace

import torch
from torch import Tensor, nn

from pocketvision.deploy.runtimes.artifact import OUTPUTS, Artifact, Box
from pocketvision.models import Detector, JointModel, VisionModel


def describe(model: VisionModel) -> Artifact:
    """The metadata of ``model`` as it stands: raw outputs, uint8 images, any batch size."""
    if isinstance(model, JointModel):
        return _describe_joint(model)
    facts = model.passport()
    artifact = Artifact(
        task=facts["task"],
        class_names=model.class_names,
        resize=model.resize,
        mean=_rounded(facts["mean"]),
        std=_rounded(facts["std"]),
        outputs=OUTPUTS[facts["task"]],
        weights_sha256=hash_weights(model),
    )
    if not isinstance(model, Detector):
        return artifact
    return replace(
        artifact,
        anchors=placed_anchors(model),
        postprocess=model.postprocess,
        threshold=model.best_threshold,
    )


def _describe_joint(model: JointModel) -> Artifact:
    digest = hash_weights(model)
    parts = tuple(replace(describe(model.part(task)), weights_sha256=digest) for task in model.tasks)
    return Artifact(
        task="joint",
        class_names=model.class_names,
        resize=model.resize,
        mean=parts[0].mean,
        std=parts[0].std,
        outputs=tuple(f"{part.task}_{name}" for part in parts for name in part.outputs),
        weights_sha256=digest,
        parts=parts,
    )


def placed_anchors(model: Detector) -> tuple[Box, ...]:
    """The anchors of a detector for images of its own size."""
    weight = next(model.parameters())
    with torch.inference_mode():
        images = torch.zeros(
            1, model.resize.pixels.channels, *model.resize.image_size, dtype=torch.uint8, device=weight.device
        )
        anchors: Tensor = model(images).anchors
    # The shortest text that reads as the same float32: half as long.
    numbers = ([float(str(value)) for value in box] for box in anchors.cpu().numpy())
    return tuple((x1, y1, x2, y2) for x1, y1, x2, y2 in numbers)


def hash_weights(model: nn.Module) -> str:
    """SHA-256 over names, types, shapes and bytes of all tensors of ``state_dict``, sorted by name."""
    digest = hashlib.sha256()
    for name, value in sorted(model.state_dict().items()):
        digest.update(f"{name} {value.dtype} {tuple(value.shape)}\n".encode())
        digest.update(value.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


def _rounded(values: list[float]) -> tuple[float, ...]:
    """Without the noise of float32: 0.485 rather than 0.48500001430511475."""
    return tuple(round(value, 6) for value in values)
