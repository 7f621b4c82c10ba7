"""Published costs of the segmentation models on Cityscapes and PASCAL VOC."""

from __future__ import annotations

from pocketvision.costs.published import SMALL, V1, V2, V3, CountingConvention, Published, PublishedCost

_Row = PublishedCost
LAB: CountingConvention = "deeplab"
PADDED: CountingConvention = "deeplab, padded"
SIX_FORWARDS: CountingConvention = "deeplab, 6 forwards"
MANY: CountingConvention = "deeplab, 12 forwards"
DM_05 = (
    "DeepLab rounds this one's channels to no multiple of 8, 12 stay 12; ours has 16: then 0.87B and 2.82B"
)
NO_MADDS = (
    "about twice what the layers have, as if operations were counted; the same model has {} in V3's table 8"
)
TOO_HIGH = "the padding that fits the others counts 5 % too much here"

# Cityscapes val at 1024x2048, which TensorFlow evaluates as 1025x2049. V3 tables 7 and 8.
FULL = "output_stride=16 image_size=1025x2049"
FULL_8 = "output_stride=8 image_size=1025x2049"
HALF = "output_stride=16 image_size=513x1025"
FULL_32 = "output_stride=32 image_size=1025x2049"
HALF_32 = "output_stride=32 image_size=513x1025"
RF2_V2, RF2_V3 = "reduced_tail=True", "reduced_tail=segmentation"
LARGE_32, SMALL_32 = NO_MADDS.format("7.74B"), NO_MADDS.format("2.06B")
CITYSCAPES = (
    _Row("V3 table 7",  f"{V2} head=raspp {FULL}",                           "2.11M", "21.29B", "plain", LAB),
    _Row("V3 table 7",  f"{V2} head=raspp {RF2_V2} {FULL}",                  "1.15M", "13.68B", "plain", LAB),
    _Row("V3 table 7",  f"{V2} head=lraspp channels=256 {RF2_V2} {FULL}",    "1.02M", "12.83B", "plain", LAB),
    _Row("V3 table 7",  f"{V2} head=lraspp {RF2_V2} {FULL}",                 "0.98M", "12.57B", "plain", LAB),
    _Row("V3 table 7",  f"{V3} head=raspp {FULL}",                           "3.60M", "18.43B", "plain", LAB),
    _Row("V3 table 7",  f"{V3} head=raspp {RF2_V3} {FULL}",                  "1.76M", "11.24B", "plain", LAB),
    _Row("V3 table 7",  f"{V3} head=lraspp channels=256 {RF2_V3} {FULL}",    "1.63M", "10.33B", "plain", LAB),
    _Row("V3 table 7",  f"{V3} head=lraspp {RF2_V3} {FULL}",                 "1.51M", "9.74B",  "plain", LAB),
    _Row("V3 table 7",  f"{V2} head=lraspp width_mult=0.5 {RF2_V2} {FULL}",  "0.28M", "4.00B",  "plain", LAB),
    _Row("V3 table 7",  f"{V2} head=lraspp width_mult=0.35 {RF2_V2} {FULL}", "0.16M", "2.54B",  "plain", LAB),
    _Row("V3 table 7",  f"{SMALL} head=lraspp {RF2_V3} {FULL}",              "0.47M", "2.90B",  "plain", LAB),
    _Row("V3 table 8",  f"{V3} head=lraspp {RF2_V3} {FULL}",                 None,    "9.74B",  "plain", LAB),
    _Row("V3 table 8",  f"{V3} head=lraspp {RF2_V3} {HALF}",                 None,    "2.48B",  "plain", LAB),
    _Row("V3 table 8",  f"{V3} head=lraspp {RF2_V3} {FULL_32}",              None,    "7.74B",  "plain", LAB),
    _Row("V3 table 8",  f"{V3} head=lraspp {RF2_V3} {HALF_32}",              None,    "1.98B",  "plain", LAB),
    _Row("V3 table 8",  f"{SMALL} head=lraspp {RF2_V3} {FULL}",              None,    "2.90B",  "plain", LAB),
    _Row("V3 table 8",  f"{SMALL} head=lraspp {RF2_V3} {HALF}",              None,    "0.74B",  "plain", LAB),
    _Row("V3 table 8",  f"{SMALL} head=lraspp {RF2_V3} {FULL_32}",           None,    "2.06B",  "plain", LAB),
    _Row("V3 table 8",  f"{SMALL} head=lraspp {RF2_V3} {HALF_32}",           None,    "0.53B",  "plain", LAB),
)  # fmt: skip

# tensorflow/models deeplab/g3doc/model_zoo.md; ekzhang/fastseg, whose README cuts its figures off.
MV3 = "output_stride=32 image_size=1025x2049 reduced_tail=segmentation"
FASTSEG = "head=lraspp form=two_skip output_stride=8"
CITYSCAPES_ZOO = (
    _Row("DeepLab zoo", f"{V2} head=raspp {FULL}",    None, "21.27B",  "plain", LAB),
    _Row("DeepLab zoo", f"{V2} head=raspp {FULL_8}",  None, "433.24B", "plain", SIX_FORWARDS),
    _Row("DeepLab zoo", f"{V3} head=lraspp {MV3}",    None, "15.95B",  "plain", LAB, LARGE_32),
    _Row("DeepLab zoo", f"{SMALL} head=lraspp {MV3}", None, "4.63B",   "plain", LAB, SMALL_32),
    _Row("fastseg",     f"{V3} {FASTSEG} channels=256",    "3.6M", None),
    _Row("fastseg",     f"{V3} {FASTSEG}",                 "3.2M", None),
    _Row("fastseg",     f"{SMALL} {FASTSEG} channels=256", "1.4M", None),
    _Row("fastseg",     f"{SMALL} {FASTSEG}",              "1.1M", None),
    _Row("fastseg",     f"{SMALL} {FASTSEG} channels=64",  "1.0M", None),
)  # fmt: skip

# PASCAL VOC 2012, 21 classes. V2 table 7; at output stride 8 with 12 forward passes.
VOC = "num_classes=21 image_size=513"
HALF_16, HALF_8 = "width_mult=0.5 output_stride=16", "width_mult=0.5 output_stride=8"
PASCAL = "output_stride=16 num_classes=21 image_size=520"
SEGMENTERS_VOC = (
    _Row("V2 table 7",  f"{V1} head=aspp output_stride=16 {VOC}", "11.15M", "14.25B", "plain", PADDED),
    _Row("V2 table 7",  f"{V1} head=aspp output_stride=8 {VOC}", "11.15M", "941.9B", "plain", MANY, TOO_HIGH),
    _Row("V2 table 7",  f"{V2} head=aspp output_stride=16 {VOC}", "4.52M",  "5.8B",   "plain", PADDED),
    _Row("V2 table 7",  f"{V2} head=aspp output_stride=8 {VOC}",  "4.52M",  "387B",   "plain", MANY),
    _Row("V2 table 7",  f"{V2} head=raspp output_stride=16 {VOC}", "2.11M",  "2.75B",  "plain", LAB),
    _Row("V2 table 7",  f"{V2} head=raspp output_stride=8 {VOC}",  "2.11M",  "152.6B", "plain", MANY),
    _Row("DeepLab zoo", f"{V2} head=raspp output_stride=16 {VOC}", None,     "2.75B",  "plain", LAB),
    _Row("DeepLab zoo", f"{V2} head=raspp output_stride=8 {VOC}",  None,     "152.59B", "plain", MANY),
    _Row("DeepLab zoo", f"{V2} head=raspp {HALF_16} {VOC}", None, "0.88B", "plain", LAB, DM_05),
    _Row("DeepLab zoo", f"{V2} head=raspp {HALF_8} {VOC}",  None, "2.84B", "plain", LAB, DM_05),
    _Row("torchvision", f"{V3} head=lraspp form=torchvision {PASCAL}",            "3221538",  "2.086B"),
    _Row("torchvision", f"{V3} head=deeplabv3 auxiliary=True {PASCAL}",           "11029328", "10.452B"),
)  # fmt: skip

SEGMENTERS: tuple[Published, ...] = (*CITYSCAPES, *CITYSCAPES_ZOO, *SEGMENTERS_VOC)
