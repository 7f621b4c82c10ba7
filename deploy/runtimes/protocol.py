"""One protocol for all runtimes: images in, the named outputs of the artifact out."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

from pocketvision.core.errors import InputError
from pocketvision.deploy.runtimes.answers import check_answers
from pocketvision.deploy.runtimes.artifact import Artifact

Images = Tensor | npt.NDArray[Any]
"""(N, 3, H, W) RGB, 0..255."""
_MAX_REASON = 200


class Runtime(ABC):
    """Something that runs a model: PyTorch itself or the runtime of an exported file.

    Calling it with images (N, 3, H, W) RGB of the input's size, uint8 or float in 0..255, arrays or
    tensors, gives the outputs of ``artifact`` by name, as tensors. An artifact with a fixed batch is run
    as often as needed; the last batch is filled up.
    """

    def __init__(self, artifact: Artifact, name: str = "The model") -> None:
        self.artifact, self.name = artifact, name

    def __call__(self, images: Images) -> dict[str, Tensor]:
        """The outputs by name.

        Raises:
            ValueError: the images have another shape.
            InputError: the graph can't be run, or does not answer as the metadata say.
        """
        batch = self._checked(images)
        try:
            outputs = dict(zip(self.artifact.outputs, self._run_all(batch), strict=True))
            check_answers(self.artifact, outputs, len(batch))
        except InputError:
            raise
        except Exception as error:  # every runtime has classes of its own
            reason = " ".join(str(error).split())[:_MAX_REASON]
            raise InputError(f"{self.name} can't be run ({reason}): export it again.") from error
        return outputs

    def _run_all(self, batch: Tensor) -> Sequence[Tensor]:
        """The outputs for a batch of any size."""
        size = self.artifact.batch
        if size is None or size == len(batch):
            return self.run(batch)
        parts = []
        for some in torch.split(batch, size):
            filled = F.pad(some, (0, 0) * 3 + (0, size - len(some)))
            parts.append([output[: len(some)] for output in self.run(filled)])
        return [torch.cat(outputs) for outputs in zip(*parts, strict=True)]

    @abstractmethod
    def run(self, images: Tensor) -> Sequence[Tensor]:
        """One pass over images of the type and batch size of the artifact: its outputs in order."""

    def _checked(self, images: Images) -> Tensor:
        batch = images if isinstance(images, Tensor) else torch.from_numpy(images)
        height, width = self.artifact.image_size
        if batch.ndim != 4 or batch.shape[1] != 3 or not len(batch):
            raise ValueError(
                f"images are {tuple(batch.shape)}: give (N, 3, {height}, {width}), N at least 1."
            )
        if not self.artifact.has_dynamic_size and tuple(batch.shape[2:]) != (height, width):
            raise ValueError(
                f"images are {tuple(batch.shape[2:])}, this model takes ({height}, {width}): "
                "resize them with artifact.resize."
            )
        return batch.to(torch.uint8 if self.artifact.input_type == "uint8" else torch.float32)


def broken(path: Path, error: Exception) -> InputError:
    """The sentence for a file that its own runtime refuses."""
    reason = " ".join(str(error).split())[:_MAX_REASON]
    return InputError(f"{path} can't be opened ({reason}): export it again.")
