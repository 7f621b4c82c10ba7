"""What the operators, options and types of the TFLite schema are called in TensorFlow's graphs and NumPy."""

from __future__ import annotations

import numpy as np

# Name in the schema -> name in TensorFlow's graphs; other operations keep the schema's.
GRAPH_NAMES = {
    "CONV_2D": "Conv2D",
    "DEPTHWISE_CONV_2D": "DepthwiseConv2dNative",
    "FULLY_CONNECTED": "MatMul",
    "ADD": "AddV2",
    "SUB": "Sub",
    "MUL": "Mul",
    "DIV": "RealDiv",
    "RELU": "Relu",
    "RELU6": "Relu6",
    "AVERAGE_POOL_2D": "AvgPool",
    "MEAN": "Mean",
    "CONCATENATION": "ConcatV2",
    "PAD": "Pad",
    "PADV2": "PadV2",
    "MAXIMUM": "Maximum",
    "MINIMUM": "Minimum",
    "EXPAND_DIMS": "ExpandDims",
    "FAKE_QUANT": "FakeQuantWithMinMaxArgs",
    "SHAPE": "Shape",
    "RESHAPE": "Reshape",
    "SQUEEZE": "Squeeze",
    "QUANTIZE": "Identity",
    "DEQUANTIZE": "Identity",
    "CAST": "Cast",
    "SPACE_TO_BATCH_ND": "SpaceToBatchND",
    "BATCH_TO_SPACE_ND": "BatchToSpaceND",
}
# Operations -> the class of their options. The first three have weights; all but the last may have a fused
# activation.
OPTION_CLASSES = {
    "CONV_2D": "Conv2DOptions",
    "DEPTHWISE_CONV_2D": "DepthwiseConv2DOptions",
    "FULLY_CONNECTED": "FullyConnectedOptions",
    "ADD": "AddOptions",
    "SUB": "SubOptions",
    "MUL": "MulOptions",
    "DIV": "DivOptions",
    "AVERAGE_POOL_2D": "Pool2DOptions",
    "RESIZE_BILINEAR": "ResizeBilinearOptions",
}
CLAMPED = {*OPTION_CLASSES} - {"RESIZE_BILINEAR"}
KERNEL_DIMENSIONS = {"CONV_2D": 4, "DEPTHWISE_CONV_2D": 4, "FULLY_CONNECTED": 2}
ACTIVATION_NAMES = {1: "Relu", 3: "Relu6"}
STORED_TYPES = {
    "FLOAT32": np.float32, "FLOAT16": np.float16, "FLOAT64": np.float64, "INT32": np.int32, "INT64": np.int64,
    "UINT8": np.uint8, "INT8": np.int8, "INT16": np.int16, "BOOL": np.bool_,
}  # fmt: skip
