"""Published costs of SSD and SSDLite on COCO, with 80 classes or TensorFlow's 90, and a background."""

from __future__ import annotations

from pocketvision.costs.published import SMALL, V1, V2, V3, CountingConvention, Published, PublishedCost

_Row = PublishedCost
BARE: CountingConvention = "without norm"
ACT: CountingConvention = "activations"
LITE, REDUCED = "head=ssdlite", "reduced_tail=detection"
SIX = "anchors=torchvision num_classes=80"
NO_SOURCE = "twice what the layers have; with 0.35B the whole model could not have table 6's 0.8B"
OTHERS = "OpenVINO counts other layers than convolutions too"

# arXiv:1704.04861, 1801.04381, 1905.02244; tensorflow/models object_detection (model zoo, headers of its
# configs); OpenVINO's Open Model Zoo; PaddleDetection 2.0's MODEL_ZOO; torchvision's weights.
DETECTORS: tuple[Published, ...] = (
    _Row("V1 table 13",  f"{V1} head=ssd predictor_size=1 image_size=300", "6.8M", "1.2B"),
    _Row("V2 table 5",   f"{V2} head=ssd num_classes=80",      "14.8M", "1.25B", "head", "head"),
    _Row("V2 table 5",   f"{V2} {LITE} num_classes=80",        "2.1M",  "0.35B", "head", "head", NO_SOURCE),
    _Row("V2 table 6",   f"{V1} {LITE} num_classes=80",        "5.1M",  "1.3B"),
    _Row("V2 table 6",   f"{V2} {LITE} num_classes=80",        "4.3M",  "0.8B"),
    _Row("V3 table 6",   f"{V1} {LITE} num_classes=80",        "5.1M",  "1.3B"),
    _Row("V3 table 6",   f"{V2} {LITE} num_classes=80",        "4.3M",  None),
    _Row("V3 table 6",   f"{V2} {LITE}",                       None,    "0.80B"),
    _Row("V3 table 6",   f"{V2} {LITE} width_mult=0.5",        "1.54M", "0.27B", BARE),
    _Row("V3 table 6",   f"{V2} {LITE} width_mult=0.35",       "0.93M", "0.16B", BARE),
    _Row("V3 table 6",   f"{V3} {LITE}",                       "4.97M", "0.62B", BARE, ACT),
    _Row("V3 table 6",   f"{V3} {LITE} {REDUCED}",             "3.22M", "0.51B", BARE, ACT),
    _Row("V3 table 6",   f"{SMALL} {LITE}",                    "2.49M", "0.21B", BARE, ACT),
    _Row("V3 table 6",   f"{SMALL} {LITE} {REDUCED}",          "1.77M", "0.16B", BARE, ACT),
    _Row("TensorFlow",   f"{V2} {LITE} image_size=300",        "4.48M", "0.75B", "folded"),
    _Row("TensorFlow",   f"{V3} {LITE} {REDUCED}",             "3.22M", "0.51B", BARE, ACT, "", "1.02B"),
    _Row("TensorFlow",   f"{SMALL} {LITE} {REDUCED}",          "1.77M", "0.16B", BARE, ACT),
    _Row("OpenVINO",     f"{V2} {LITE} image_size=300", "4.475M", None, "folded", "plain", OTHERS, "1.525B"),
    _Row("Paddle",       f"{V1} {LITE} {SIX} image_size=300",  "5.2M",  "1.2B"),
    _Row("Paddle",       f"{V3} {LITE} {SIX} {REDUCED}",       "3.3M",  "0.56B"),
    _Row("torchvision",  f"{V3} {LITE} {REDUCED} anchors=torchvision", "3440060", "0.583B"),
)  # fmt: skip
