"""Static int8 for OpenVINO, by NNCF."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from torch import Tensor

from pocketvision.deploy.export.onnx_nms import NMS_PREFIX
from pocketvision.deploy.export.quantization import weighted_nodes
from pocketvision.deploy.export.to_openvino import save_openvino, to_openvino
from pocketvision.deploy.packages import optional
from pocketvision.deploy.runtimes.artifact import Artifact


class OpenVinoQuantizer:
    """Makes int8 versions of ``model``, an ``onnx.ModelProto``, as ``openvino.Model``. NMS stays as it is.

    Weights are symmetric int8 with a scale for every output channel, activations have a scale for every
    tensor, from the least to the greatest value over all of ``images`` (N, 3, H, W), where NNCF's own choice
    would cut off objects if most images show none; NNCF corrects the biases on them too.

    Raises:
        InputError: openvino or nncf is missing.
    """

    def __init__(self, model: Any, images: Tensor) -> None:
        self.source = model
        self.weighted = weighted_nodes(model)
        self.images = images

    @property
    def original(self) -> Any:
        """The model in float32."""
        return to_openvino(self.source)

    def quantized(self, float_blocks: Collection[str]) -> Any:
        """The model in int8 but for the convolutions of ``float_blocks``."""
        nncf = optional("nncf")
        model = self.original
        kind = model.input(0).get_element_type().to_dtype()
        # A convolution with a bias becomes two operators: NAME and NAME/WithoutBiases.
        skipped = [f"{name}(/.*)?" for name, block in self.weighted.items() if block in float_blocks]
        images = [image[None].numpy().astype(kind) for image in self.images]
        ranges = optional("nncf.quantization.range_estimator").RangeEstimatorParametersSet.MINMAX
        options = optional("nncf.quantization.advanced_parameters").AdvancedQuantizationParameters(
            activations_range_estimator_params=ranges
        )
        with _quiet():
            return nncf.quantize(
                model,
                nncf.Dataset(images),
                preset=nncf.QuantizationPreset.MIXED,
                target_device=nncf.TargetDevice.CPU,
                subset_size=len(images),
                advanced_parameters=options,
                ignored_scope=nncf.IgnoredScope(
                    patterns=[*skipped, f"{NMS_PREFIX}.*"], types=["Subtract", "Divide"], validate=False
                ),
            )

    def save(self, model: Any, artifact: Artifact, path: Path) -> str:
        """Write a model for the artifact's number of images, with its metadata; returns a summary."""
        if artifact.batch is not None:
            model.reshape([artifact.batch, *model.input(0).get_partial_shape()[1:]])
        return save_openvino(model, artifact, path)


@contextmanager
def _quiet() -> Iterator[None]:
    """NNCF without its progress bars and notes."""
    log = logging.getLogger("nncf")
    level = log.level
    log.setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            yield
        finally:
            log.setLevel(level)
