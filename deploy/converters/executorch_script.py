"""Run by the converters' own Python: a PyTorch program (.pt2) becomes a .pte file for XNNPACK.

    python executorch_script.py REQUEST.json

The request names ``program``, ``output``, ``report`` and ``precision``. For int8 it names ``images``, an .npz
file with ``images`` (M, N, 3, H, W), in batches, and ``float_weights``, the names of the weights that stay
float32.
"""

from __future__ import annotations

import collections
import importlib.metadata
import json
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

_CLAMPS = ("aten.relu6.default", "aten.hardtanh.default", "aten.hardtanh_.default")
_JOINS, _SHARES = "aten.cat.default", "aten.softmax.int"


def main() -> None:
    """Do what the request says."""
    from litert_script import stay_offline  # type: ignore[import-not-found]

    stay_offline()
    request: dict[str, Any] = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    start = time.perf_counter()
    import torch
    from executorch.backends.xnnpack.partition.xnnpack_partitioner import (  # type: ignore[import-not-found]
        XnnpackPartitioner,
    )
    from executorch.exir import to_edge_transform_and_lower  # type: ignore[import-not-found]

    program = torch.export.load(request["program"])
    if request["precision"] == "int8":
        program = _quantized(program, request)
    lowered = to_edge_transform_and_lower(program, partitioner=[XnnpackPartitioner()])
    nodes = lowered.exported_program().graph_module.graph.nodes
    names = (getattr(node.target, "__name__", "") for node in nodes if node.op == "call_function")
    with Path(request["output"]).open("wb") as file:
        lowered.to_executorch().write_to_file(file)
    report = {
        "seconds": time.perf_counter() - start,
        "operators": collections.Counter(name for name in names if name != "getitem"),
        "versions": {name: importlib.metadata.version(name) for name in ("executorch", "torch")},
    }
    Path(request["report"]).write_text(json.dumps(report), encoding="utf-8")


def _quantized(program: Any, request: dict[str, Any]) -> Any:
    """The program with weights and activations in int8; inputs and outputs as they were."""
    import torch
    from executorch.backends.xnnpack.quantizer import xnnpack_quantizer  # type: ignore[import-not-found]
    from torchao.quantization.pt2e import MinMaxObserver  # type: ignore[import-not-found]
    from torchao.quantization.pt2e.quantize_pt2e import (  # type: ignore[import-not-found]
        convert_pt2e,
        prepare_pt2e,
    )

    with np.load(request["images"], allow_pickle=False) as file:
        batches = [torch.from_numpy(batch) for batch in file["images"]]
    config = xnnpack_quantizer.get_symmetric_quantization_config(is_per_channel=True)
    # From the least to the greatest value in any image: a histogram would cut off what few images show.
    ranges = replace(config.input_activation, observer_or_fake_quant_ctr=MinMaxObserver.with_args(eps=2**-12))
    config = replace(config, input_activation=ranges, output_activation=ranges)
    float_weights = set(request["float_weights"])
    _let_clamps_fuse()
    quantizer = xnnpack_quantizer.XNNPACKQuantizer().set_global(config)
    quantizer.set_filter_function(lambda node: _becomes_int8(node, float_weights))
    with torch.no_grad():
        prepared = prepare_pt2e(program.module(), quantizer)
        for batch in batches:
            prepared(batch)
        return torch.export.export(convert_pt2e(prepared), (batches[0],))


def _let_clamps_fuse() -> None:
    """XNNPACK computes a convolution and a clamp as one operator, as with ReLU, which alone its quantizer
    knows: the range of what ReLU6 would cut off would take most of the steps."""
    from executorch.backends.xnnpack.quantizer import xnnpack_quantizer_utils as annotators

    is_relu = annotators.is_relu_node
    annotators.is_relu_node = lambda node: is_relu(node) or str(node.target) in _CLAMPS


def _becomes_int8(node: Any, float_weights: set[str]) -> bool:
    """Not the weights that stay float32, nor what joins the levels of a detector, which would give them one
    scale, nor what weighs the values of a distribution."""
    inputs = node.all_input_nodes
    return not (
        str(node.target) == _JOINS
        or any(str(given.target) == _SHARES for given in inputs)
        or any(given.op == "get_attr" and given.target in float_weights for given in inputs)
    )


if __name__ == "__main__":
    main()
