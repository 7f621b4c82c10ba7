"""Run by the converters' own Python: a PyTorch program (.pt2) becomes a Core ML package, and is read back.

    python coreml_script.py REQUEST.json

The request names ``package`` (.mlpackage), ``output`` and ``report``; where it names ``program`` the package
is made of it, with ``outputs`` as names, ``takes_image`` for pixels in place of numbers, and ``metadata``.
``output`` is an .npz file of what lies in the package: ``program``, JSON, and the tensors that it refers to.
"""

from __future__ import annotations

import collections
import importlib.metadata
import json
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

_SMALL = 16
"""Numbers that a value may have to be written beside its operator."""
_LEFT_BY_CONVERTER = "executorch_debug_handle_mapping.json"


def main() -> None:
    """Do what the request says."""
    from litert_script import stay_offline  # type: ignore[import-not-found]

    stay_offline()
    request: dict[str, Any] = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    start = time.perf_counter()
    if "program" in request:
        convert(request)
    listing, tensors = read_package(request["package"])
    tensors["program"] = np.array(json.dumps(listing))
    np.savez(request["output"], **tensors)  # type: ignore[arg-type]
    report = {
        "seconds": time.perf_counter() - start,
        "operators": collections.Counter(operator["type"] for operator in listing["operators"]),
        "versions": {name: importlib.metadata.version(name) for name in ("coremltools", "torch")},
    }
    Path(request["report"]).write_text(json.dumps(report), encoding="utf-8")


def convert(request: dict[str, Any]) -> None:
    """Write the package: float16 inside, float32 outside, for iOS 16 and later."""
    import coremltools as ct  # type: ignore[import-not-found]
    import torch

    program = torch.export.load(request["program"]).run_decompositions({})
    (images,) = (node.meta["val"] for node in program.graph.nodes if node.name == "images")
    options: dict[str, Any] = {"name": "images", "shape": tuple(images.shape)}
    layout = ct.colorlayout.RGB
    is_label_map = request["outputs"] == ["label_map"]
    kind = np.int32 if is_label_map else np.float32
    takes = (
        ct.ImageType(color_layout=layout, **options)
        if request["takes_image"]
        else ct.TensorType(dtype=np.float32, **options)
    )
    made = ct.convert(
        program,
        inputs=[takes],
        outputs=[ct.TensorType(name=name, dtype=kind) for name in request["outputs"]],
        minimum_deployment_target=ct.target.iOS16,
        compute_precision=ct.precision.FLOAT16,
        skip_model_load=True,
    )
    made.user_defined_metadata.update(request["metadata"])
    made.license = request["licence"]
    made.short_description = request["description"]
    made.save(request["package"])
    Path(request["package"], _LEFT_BY_CONVERTER).unlink(missing_ok=True)


def read_package(package: str) -> tuple[dict[str, Any], dict[str, np.ndarray[Any, Any]]]:
    """What a package holds: inputs, outputs and metadata as its description has them, and its operators."""
    import coremltools as ct
    from coremltools.converters.mil.frontend.milproto import load  # type: ignore[import-not-found]

    model = ct.models.MLModel(package, skip_model_load=True)
    spec = model.get_spec()
    program = load.load(spec, spec.specificationVersion, model.weights_dir)
    function = program.functions["main"]
    tensors: dict[str, np.ndarray[Any, Any]] = {}
    operators = [
        {
            "type": operator.op_type,
            "inputs": {name: _refer(value, tensors) for name, value in operator.inputs.items()},
            "outputs": [{"name": output.name, "type": _type(output)} for output in operator.outputs],
        }
        for operator in function.operations
        if operator.op_type != "const"
    ]
    description = spec.description
    listing = {
        "inputs": [_feature(feature) for feature in description.input],
        "outputs": [_feature(feature) for feature in description.output],
        "metadata": dict(model.user_defined_metadata),
        "operators": operators,
        "version": spec.specificationVersion,
    }
    return listing, tensors


def _refer(value: Any, tensors: dict[str, np.ndarray[Any, Any]]) -> Any:
    """A tensor of another operator, a value, or the name of one that is kept beside the program."""
    if isinstance(value, list | tuple):
        return {"list": [_refer(item, tensors) for item in value]}
    if value is None or value.val is None:
        return None if value is None else {"tensor": value.name}
    if isinstance(value.val, str | bool):
        return {"value": value.val}
    array = np.asarray(value.val)
    if array.size <= _SMALL and array.dtype != np.float16:
        return {"value": array.tolist()}
    tensors[f"constant_{len(tensors)}"] = array
    return {"constant": f"constant_{len(tensors) - 1}"}


def _type(output: Any) -> str:
    from coremltools.converters.mil.mil import types  # type: ignore[import-not-found]

    return str(types.builtin_to_string(output.dtype))


def _feature(feature: Any) -> dict[str, Any]:
    kind = feature.type.WhichOneof("Type")
    if kind == "imageType":
        image = feature.type.imageType
        space = type(image).ColorSpace.Name(image.colorSpace)
        return {"name": feature.name, "kind": space, "shape": [1, 3, image.height, image.width]}
    array = feature.type.multiArrayType
    name = type(array).ArrayDataType.Name(array.dataType)
    return {"name": feature.name, "kind": name, "shape": list(array.shape)}


if __name__ == "__main__":
    main()
