"""Static int8 for ONNX Runtime: QuantizeLinear and DequantizeLinear around the operators (QDQ)."""

from __future__ import annotations

import io
import tempfile
from collections.abc import Collection, Iterator, Sequence
from contextlib import redirect_stdout
from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pocketvision.deploy.export.quantization import weighted_nodes
from pocketvision.deploy.export.to_onnx import complete, save_onnx
from pocketvision.deploy.packages import optional
from pocketvision.deploy.runtimes.artifact import Artifact

OPERATORS = ("Conv", "Gemm", "MatMul", "Add", "Mul", "Clip", "Relu", "HardSigmoid", "HardSwish", "ReduceMean")
"""What becomes int8. Not Concat and Reshape: what joins the levels of a detector would give its scores and
boxes one scale. Not Sub and Div, which normalize the input."""
_PERCENTILE, _NUM_BINS = 99.999, 2048


class OnnxQuantizer:
    """Makes int8 versions of ``model``, an ``onnx.ModelProto`` with raw outputs.

    Weights are symmetric int8 with a scale for every output channel, activations uint8 with a scale for every
    tensor, which holds all but a hundred thousandth of its values in each of ``images`` (N, 3, H, W). The
    mean of the images' extremes would cut off objects where most images show none; the extremes themselves
    leave single odd values most of the scale.

    Raises:
        InputError: onnx or onnxruntime is missing.
    """

    def __init__(self, model: Any, images: Tensor) -> None:
        self.original = model
        self.weighted = weighted_nodes(model)
        self.blocks = tuple(dict.fromkeys(self.weighted.values()))
        self.ranges = _measure(model, images)

    def quantized(self, float_blocks: Collection[str]) -> Any:
        """The model in int8 but for the convolutions of ``float_blocks`` and what follows them."""
        onnx, ort = optional("onnx"), optional("onnxruntime.quantization")
        skipped = {name for name, block in self.weighted.items() if block in float_blocks}
        quantizer = optional("onnxruntime.quantization.qdq_quantizer").QDQQuantizer(
            onnx.shape_inference.infer_shapes(deepcopy(self.original)),
            per_channel=True,
            reduce_range=False,
            weight_qType=ort.QuantType.QInt8,
            activation_qType=ort.QuantType.QUInt8,
            tensors_range=self.ranges,
            nodes_to_quantize=[],
            nodes_to_exclude=[*skipped, *self._followers(skipped), *self._readers_of_shares()],
            op_types_to_quantize=list(OPERATORS),
            extra_options={},
        )
        quantizer.quantize_model()
        quantizer.model.topological_sort()
        made = quantizer.model.model
        del made.graph.value_info[:]
        return made

    def save(self, model: Any, artifact: Artifact, path: Path) -> str:
        """Write a model with its metadata, and with NMS if the artifact has it; returns a summary."""
        return save_onnx(complete(deepcopy(model), artifact), path)

    def _followers(self, skipped: Collection[str]) -> Iterator[str]:
        """What reads a skipped node without a weight of its own: its activation."""
        outputs = {node.output[0] for node in self.original.graph.node if node.name in skipped}
        for node in self.original.graph.node:
            if node.name not in self.weighted and outputs.intersection(node.input):
                yield node.name

    def _readers_of_shares(self) -> Iterator[str]:
        """What weighs the values of a distribution: the mean of eight values would add up their errors."""
        shares = {node.output[0] for node in self.original.graph.node if node.op_type == "Softmax"}
        for node in self.original.graph.node:
            if shares.intersection(node.input):
                yield node.name


def run_onnx(model: Any, images: Tensor) -> list[Tensor]:
    """What an ``onnx.ModelProto`` answers to images (N, 3, H, W), one at a time."""
    runtime = optional("onnxruntime")
    session = runtime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    answers = [session.run(None, {"images": image[None].numpy()}) for image in _typed(model, images)]
    return [torch.from_numpy(np.concatenate(parts)) for parts in zip(*answers, strict=True)]


def _measure(model: Any, images: Tensor) -> Any:
    """The ranges of all tensors around the operators: what each image needs, of all the widest."""
    ort = optional("onnxruntime.quantization")
    calibrate = optional("onnxruntime.quantization.calibrate")
    widest: dict[str, tuple[Any, Any]] = {}
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "model.onnx"
        source.write_bytes(model.SerializeToString())
        calibrator = calibrate.create_calibrator(
            source,
            list(OPERATORS),
            augmented_model_path=str(Path(folder) / "augmented.onnx"),
            calibrate_method=ort.CalibrationMethod.Percentile,
            extra_options={"percentile": _PERCENTILE, "symmetric": False, "num_bins": _NUM_BINS},
        )
        with redirect_stdout(io.StringIO()):  # it prints what it does
            for image in _typed(model, images):
                calibrator.collect_data(_reader([image[None].numpy()]))
                for name, found in calibrator.compute_data().items():
                    low, high = found.range_value
                    least, most = widest.get(name, (low, high))
                    widest[name] = min(least, low), max(most, high)
                calibrator.collector = None  # the bins of an empty image would be too fine for the next
    return calibrate.TensorsData(ort.CalibrationMethod.MinMax, widest)


def _reader(arrays: Sequence[Any]) -> Any:
    """The arrays as ONNX Runtime's calibration asks for them."""
    base = optional("onnxruntime.quantization").CalibrationDataReader
    waiting = iter(arrays)

    class Reader(base):  # type: ignore[misc, valid-type]
        def get_next(self) -> dict[str, Any] | None:
            array = next(waiting, None)
            return None if array is None else {"images": array}

    return Reader()


def _typed(model: Any, images: Tensor) -> Tensor:
    """Images of the type that the graph takes."""
    is_uint8 = model.graph.input[0].type.tensor_type.elem_type == optional("onnx").TensorProto.UINT8
    return images.to(torch.uint8 if is_uint8 else torch.float32)
