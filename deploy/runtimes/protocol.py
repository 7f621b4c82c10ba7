"""One protocol for all runtimes: images in, the named outputs of the artifact out."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, TypeAlias

import numpy as np
import numpy.typing as npt

from pocketvision.core.errors import InputError
from pocketvision.deploy.runtimes.answers import check_answers
from pocketvision.deploy.runtimes.artifact import Artifact

if TYPE_CHECKING:
    from torch import Tensor

Images: TypeAlias = "Tensor | npt.NDArray[Any]"
"""(N, 3, H, W) RGB, 0..255."""
_MAX_REASON = 200


class Runtime(ABC):
    """Something that runs a model: PyTorch itself or the runtime of an exported file.

    Calling it with images (N, 3, H, W) RGB of the input's size, uint8 or float in 0..255, arrays or
    tensors, gives the outputs of ``artifact`` by name, as tensors; :meth:`answer` gives them as arrays.
    An artifact with a fixed batch is run as often as needed; the last batch is filled up.

    A runtime that ``takes_arrays`` has arrays in :meth:`run`, and needs no PyTorch; else it has tensors.
    """

    takes_arrays: ClassVar[bool] = False

    def __init__(self, artifact: Artifact, name: str = "The model") -> None:
        self.artifact, self.name = artifact, name

    def __call__(self, images: Images) -> dict[str, Tensor]:
        """The outputs by name.

        Raises:
            ValueError: the images have another shape.
            InputError: the graph can't be run, or does not answer as the metadata say.
        """
        import torch

        outputs = self._outputs(images)
        return {
            name: torch.from_numpy(value) if isinstance(value, np.ndarray) else value
            for name, value in outputs.items()
        }

    def answer(self, images: npt.NDArray[Any]) -> dict[str, npt.NDArray[Any]]:
        """The outputs by name as arrays; raises as calling does."""
        outputs = self._outputs(images)
        return {
            name: value if isinstance(value, np.ndarray) else value.cpu().numpy()
            for name, value in outputs.items()
        }

    def _outputs(self, images: Any) -> dict[str, Any]:
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

    def _run_all(self, batch: Any) -> Sequence[Any]:
        """The outputs for a batch of any size."""
        size = self.artifact.batch
        if size is None or size == len(batch):
            return self.run(batch)
        parts = []
        for start in range(0, len(batch), size):
            some = batch[start : start + size]
            parts.append([output[: len(some)] for output in self.run(_filled(some, size))])
        return [_joined(outputs) for outputs in zip(*parts, strict=True)]

    @abstractmethod
    def run(self, images: Any) -> Sequence[Any]:
        """One pass over images of the type and batch size of the artifact: its outputs in order."""

    def _checked(self, images: Any) -> Any:
        """Images of a shape that the graph takes, as arrays or tensors of its type."""
        (height, width), channels = self.artifact.image_size, self.artifact.num_channels
        if images.ndim != 4 or images.shape[1] != channels or not len(images):
            raise ValueError(
                f"images are {tuple(images.shape)}: give (N, {channels}, {height}, {width}), N at least 1."
            )
        if not self.artifact.has_dynamic_size and tuple(images.shape[2:]) != (height, width):
            raise ValueError(
                f"images are {tuple(images.shape[2:])}, this model takes ({height}, {width}): "
                "resize them with artifact.resize."
            )
        is_array, is_uint8 = isinstance(images, np.ndarray), self.artifact.input_type == "uint8"
        if self.takes_arrays:
            array = images if is_array else images.cpu().numpy()
            return np.ascontiguousarray(array, dtype=np.uint8 if is_uint8 else np.float32)
        import torch

        tensor = torch.from_numpy(images) if is_array else images
        return tensor.to(torch.uint8 if is_uint8 else torch.float32)


def _filled(some: Any, size: int) -> Any:
    """Images (n, 3, H, W), and black ones behind them: ``size`` in all."""
    shape = (size - len(some), *some.shape[1:])
    if isinstance(some, np.ndarray):
        return np.concatenate((some, np.zeros(shape, dtype=some.dtype)))
    return _joined((some, some.new_zeros(shape)))


def _joined(parts: Sequence[Any]) -> Any:
    """Arrays or tensors one after the other."""
    if isinstance(parts[0], np.ndarray):
        return np.concatenate(parts)
    import torch

    return torch.cat(tuple(parts))


def broken(path: Path, error: Exception) -> InputError:
    """The sentence for a file that its own runtime refuses."""
    reason = " ".join(str(error).split())[:_MAX_REASON]
    return InputError(f"{path} can't be opened ({reason}): export it again.")
