"""Run by the converters' own Python: a .tflite file in float32 becomes one in int8 or with float16 weights.

    python litert_quantize_script.py REQUEST.json

The request names ``model``, ``output``, ``report`` and ``precision``. For int8 it names ``images``, an .npz
file with ``images`` (M, N, 3, H, W), in batches; ``ranges``, a file that is written once and read again; and
``float_weights``, fingerprints of the weights that stay float32.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import re
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

OPERATORS = (
    "CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED", "ADD", "MUL", "MEAN", "PAD", "RELU",
    "AVERAGE_POOL_2D", "LOGISTIC",
)  # fmt: skip
"""What becomes int8. Not CONCATENATION and RESHAPE: what joins the levels of a detector would give them one
scale. Not RESIZE_BILINEAR: between few steps the best of two classes would often be a tie. Not HARD_SWISH,
which XNNPACK computes in float32 only: a graph that leaves XNNPACK for it is slower than in float32."""
WEIGHTED = ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED")
_NORMALIZE = "Normalize_normalize"


def main() -> None:
    """Do what the request says."""
    from litert_script import operators, stay_offline  # type: ignore[import-not-found]

    stay_offline()
    request: dict[str, Any] = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    start = time.perf_counter()
    content = _int8(request) if request["precision"] == "int8" else _float16(request["model"])
    Path(request["output"]).write_bytes(content)
    report = {
        "seconds": time.perf_counter() - start,
        "operators": operators(request["output"]),
        "versions": {"ai-edge-quantizer": importlib.metadata.version("ai-edge-quantizer")},
    }
    Path(request["report"]).write_text(json.dumps(report), encoding="utf-8")


def fingerprint(weight: np.ndarray[Any, Any]) -> str:
    """A hash of the values of a weight in any order, as converters permute its dimensions."""
    return hashlib.sha256(np.sort(weight, axis=None).astype("<f4").tobytes()).hexdigest()


def _float16(model: str) -> bytes:
    """The weights in float16; what runs them enlarges them again, or computes with them as they are."""
    from ai_edge_quantizer import qtyping, quantizer  # type: ignore[import-not-found]

    made = quantizer.Quantizer(model)
    weights = qtyping.TensorQuantizationConfig(num_bits=16, dtype=qtyping.TensorDataType.FLOAT)
    config = qtyping.OpQuantizationConfig(
        weight_tensor_config=weights,
        compute_precision=qtyping.ComputePrecision.FLOAT,
        explicit_dequantize=True,
    )
    for name in WEIGHTED:
        made.update_quantization_recipe(".*", name, config, "float_casting")
    return bytes(made.quantize(enable_progress_report=False).quantized_model)


def _int8(request: dict[str, Any]) -> bytes:
    """Weights and activations in int8, but for what stays float32; inputs and outputs as they were."""
    from ai_edge_quantizer import quantizer

    made = quantizer.Quantizer(request["model"])
    for name in OPERATORS:
        made.add_static_config(".*", name, activation_num_bits=8, weight_num_bits=8)
    skip = [re.escape(scope) for scope in _left_float(request["model"], set(request["float_weights"]))]
    for scope in [f".*{_NORMALIZE}.*", *skip]:
        made.update_quantization_recipe(f"^{scope}$", "*", algorithm_key="no_quantize")
    ranges = _ranges(request)
    return bytes(made.quantize(ranges, enable_progress_report=False).quantized_model)


def _left_float(model: str, float_weights: set[str]) -> Iterator[str]:
    """The scopes of operators that stay float32: those of the weights, the activations that follow them, and
    what weighs the values of a distribution, as the mean of eight values would add up their errors."""
    from ai_edge_quantizer.utils import tfl_flatbuffer_utils as files  # type: ignore[import-not-found]

    read = files.read_model(model)
    graph = read.subgraphs[0]
    codes = [files.TFL_OP_CODE_TO_NAME.get(code.builtinCode, "") for code in read.operatorCodes]
    left: set[int] = set()
    found: set[str] = set()
    for operator in graph.operators:
        name = codes[operator.opcodeIndex]
        if name in WEIGHTED:
            data = files.get_tensor_data(graph.tensors[operator.inputs[1]], read.buffers)
            weight = None if data is None else fingerprint(data)
            skipped = weight in float_weights
            found |= {weight} if skipped and weight else set()
        else:
            skipped = bool(left.intersection(operator.inputs))
        if skipped:
            yield files.get_op_scope(operator, graph.tensors)
        if (skipped and name in WEIGHTED) or name == "SOFTMAX":
            left.update(operator.outputs)
    if found != float_weights:
        raise ValueError(f"{len(float_weights - found)} of the weights that stay float32 are not in the file")


def _ranges(request: dict[str, Any]) -> dict[str, Any]:
    """Tensor -> from the least to the greatest value in any of the images."""
    from ai_edge_quantizer import calibrator, recipe, recipe_manager
    from ai_edge_quantizer.utils import calibration_utils, qsv_utils

    if not Path(request["ranges"]).is_file():
        made = calibrator.Calibrator(
            request["model"], num_threads=1, qsv_update_func=qsv_utils.min_max_update
        )
        manager = recipe_manager.RecipeManager()
        manager.load_quantization_recipe(recipe.static_wi8_ai8())
        with np.load(request["images"], allow_pickle=False) as file:
            images = file["images"]
        (signature,) = made.get_signature_list()
        made.calibrate({signature: [{"args_0": batch} for batch in images]}, manager)
        made.save_calibration_result(request["ranges"])
    found: dict[str, Any] = calibration_utils.load_calibration_results(request["ranges"])[0]
    return found


if __name__ == "__main__":
    main()
