"""Published costs of the ImageNet classifiers."""

from __future__ import annotations

from pocketvision.costs.published import (
    SMALL,
    V1,
    V2,
    V3,
    CountingConvention,
    Published,
    PublishedCost,
    PublishedLayer,
    PublishedMemory,
    PublishedShare,
)

Row, Layer, Memory, Share = PublishedCost, PublishedLayer, PublishedMemory, PublishedShare
BARE: CountingConvention = "without norm"
PAGE, CODE = "slim mobilenet_v1.md", "slim mobilenet_v1.py"
KERAS = "529 is 569 with a slip, and stands at every resolution; the paper's table 7 has 418, 290 and 186"
SLIM_75 = "slim's page has 317, 233, 162 and 104 at width 0.75: the paper's table 6 has the 325 that we count"
SLIM_25 = "slim's 34 breaks its own column: 41 at 224 gives 30 at 192"
WIDE = "6.9M is not the 1.4 of any code: its 585M is met within 0.5 %, its parameters are 6.1M"
LOW_END = "the text's range ends at 7M; its smallest model, 0.35 at 96x96, has 11.9M"
LARGE_219 = "217 in the README of the same authors"
ICCV_SMALL = "ICCV prints 1280 channels after pooling; arXiv v5 and all code have 1024: 2.5M, 56M"
ICCV_MADDS = "2.9M are met with the 1280 channels that ICCV prints, 66M by neither"
SMALL_75 = "2.4M are met with ICCV's 1280 channels after pooling: hidden_channels=1280"
README_MINIMAL = "the README's 65M; its layers have 52.3M"
SWAPPED = "digits swapped: 1.91, and only then the column adds up to 100"
HUNDREDS = "printed in whole hundreds, and the maximum likewise"
WHOLE = "31.4 kB, printed as 32"
SEVENS = "7 * 7 * 1024 * 2 bytes are 100 kB"
NEXT_STAGE = "counts the channels of the next stage"
EIGHT_BITS = "half of what later versions print, as if at 8 bits"

# MobileNetV1: arXiv:1704.04861; tensorflow/models slim/nets/mobilenet_v1.md and mobilenet_v1.py;
# keras-applications mobilenet.py.
ALL = "num_classes=1001"
CLASSIFIERS_V1 = (
    Layer("V1 table 3", V1, "full",      512, 14, "2.36M", "462M"),
    Layer("V1 table 3", V1, "separable", 512, 14, "0.27M", "52.3M"),
    Layer("V1 table 3", V1, "separable", 384, 14, "0.15M", "29.6M"),
    Layer("V1 table 3", V1, "separable", 384, 10, "0.15M", "15.1M"),
    Row("V1 table 4", f"{V1} variant=full_convolutions",      "29.3M", "4866M", "plain", "body"),
    Row("V1 table 4", f"{V1}",                                "4.2M",  "569M"),
    Row("V1 table 5", f"{V1} width_mult=0.75",                "2.6M",  "325M"),
    Row("V1 table 5", f"{V1} variant=shallow",                "2.9M",  "307M"),
    Row("V1 table 6", f"{V1}",                                "4.2M",  "569M"),
    Row("V1 table 6", f"{V1} width_mult=0.75",                "2.6M",  "325M"),
    Row("V1 table 6", f"{V1} width_mult=0.5",                 "1.3M",  "149M"),
    Row("V1 table 6", f"{V1} width_mult=0.25",                "0.5M",  "41M"),
    Row("V1 table 7", f"{V1}",                                "4.2M",  "569M"),
    Row("V1 table 7", f"{V1} image_size=192",                 "4.2M",  "418M"),
    Row("V1 table 7", f"{V1} image_size=160",                 "4.2M",  "290M"),
    Row("V1 table 7", f"{V1} image_size=128",                 "4.2M",  "186M"),
    Row("V1 table 8", f"{V1}",                                "4.2M",  "569M"),
    Row("V1 table 9", f"{V1} width_mult=0.5 image_size=160",  "1.32M", "76M", BARE),
    Row(PAGE, f"{V1} {ALL}",                                "4.24M", "569M", "slim"),
    Row(PAGE, f"{V1} {ALL} image_size=192",                 "4.24M", "418M", "slim"),
    Row(PAGE, f"{V1} {ALL} image_size=160",                 "4.24M", "291M", "slim"),
    Row(PAGE, f"{V1} {ALL} image_size=128",                 "4.24M", "186M", "slim"),
    Row(PAGE, f"{V1} {ALL} width_mult=0.75",                "2.59M", "317M", "slim", "plain", SLIM_75),
    Row(PAGE, f"{V1} {ALL} width_mult=0.75 image_size=192", "2.59M", "233M", "slim", "plain", SLIM_75),
    Row(PAGE, f"{V1} {ALL} width_mult=0.75 image_size=160", "2.59M", "162M", "slim", "plain", SLIM_75),
    Row(PAGE, f"{V1} {ALL} width_mult=0.75 image_size=128", "2.59M", "104M", "slim", "plain", SLIM_75),
    Row(PAGE, f"{V1} {ALL} width_mult=0.5",                 "1.34M", "150M", "slim"),
    Row(PAGE, f"{V1} {ALL} width_mult=0.5 image_size=192",  "1.34M", "110M", "slim"),
    Row(PAGE, f"{V1} {ALL} width_mult=0.5 image_size=160",  "1.34M", "77M",  "slim"),
    Row(PAGE, f"{V1} {ALL} width_mult=0.5 image_size=128",  "1.34M", "49M",  "slim"),
    Row(PAGE, f"{V1} {ALL} width_mult=0.25",                "0.47M", "41M",  "slim"),
    Row(PAGE, f"{V1} {ALL} width_mult=0.25 image_size=192", "0.47M", "34M",  "slim", "plain", SLIM_25),
    Row(PAGE, f"{V1} {ALL} width_mult=0.25 image_size=160", "0.47M", "21M",  "slim"),
    Row(PAGE, f"{V1} {ALL} width_mult=0.25 image_size=128", "0.47M", "14M",  "slim"),
    Row(CODE, f"{V1}",                                "3185088", "567716352", "body", "body"),
    Row(CODE, f"{V1} width_mult=0.75 image_size=128", "1800144", "106002432", "body", "body"),
    Row("Keras", f"{V1}",                  "4.2M", "529M", "plain", "plain", KERAS),
    Row("Keras", f"{V1} width_mult=0.75",  "2.6M", "325M"),
    Row("Keras", f"{V1} width_mult=0.5",   "1.3M", "149M"),
    Row("Keras", f"{V1} width_mult=0.25",  "0.5M", "41M"),
    Row("Keras", f"{V1} image_size=192",   "4.2M", "529M", "plain", "plain", KERAS),
    Row("Keras", f"{V1} image_size=160",   "4.2M", "529M", "plain", "plain", KERAS),
    Row("Keras", f"{V1} image_size=128",   "4.2M", "529M", "plain", "plain", KERAS),
    Row("timm",  f"{V1} width_mult=1.25",  "6270840", "879.5M"),
)  # fmt: skip
SHARES_V1 = (
    Share("V1 table 2", V1, "1x1 convolutions",       "94.86", "74.59"),
    Share("V1 table 2", V1, "depthwise convolutions", "3.06",  "1.06"),
    Share("V1 table 2", V1, "3x3 convolution",        "1.19",  "0.02", SWAPPED),
    Share("V1 table 2", V1, "fully connected",        "0.18",  "24.33"),
)  # fmt: skip

# tensorflow/models slim/nets/mobilenet/README.md: width, millions of parameters, then a resolution and
# millions of multiply-adds at a time, with the digits after the point cut off.
README_V2 = (
    (1.4,  "6.06M", {224: 582}),
    (1.3,  "5.34M", {224: 509}),
    (1.0,  "3.47M", {224: 300, 192: 221, 160: 154, 128: 99, 96: 56}),
    (0.75, "2.61M", {224: 209, 192: 153, 160: 107, 128: 69, 96: 39}),
    (0.5,  "1.95M", {224: 97,  192: 71,  160: 50,  128: 32, 96: 18}),
    (0.35, "1.66M", {224: 59,  192: 43,  160: 30,  128: 20, 96: 11}),
)  # fmt: skip

# MobileNetV2: arXiv:1801.04381.
CLASSIFIERS_V2 = (
    Row("V2 table 4",  f"{V2}",                                 "3.4M",  "300M", BARE),
    Row("V2 table 4",  f"{V2} width_mult=1.4",                  "6.9M",  "585M", "plain", "plain", WIDE),
    Row("V2 sec. 6.1", f"{V2} width_mult=0.35 image_size=96",   "1.7M",  "7M",   "plain", "plain", LOW_END),
    Row("V2 sec. 6.1", f"{V2} width_mult=1.4",                  "6.9M",  "585M", "plain", "plain", WIDE),
    Row("V3 table 3",  f"{V2}",                                 "3.4M",  "300M", BARE),
    Row("V3 table 3",  f"{V2} width_mult=0.35",                 "1.6M",  "59.2M", BARE),
    *(
        Row("slim README", f"{V2} width_mult={width} image_size={size}", params, f"{madds}M", BARE)
        for width, params, by_size in README_V2
        for size, madds in by_size.items()
    ),
    Row("torchvision", f"{V2}",                                 "3504872", "0.301B"),
)  # fmt: skip
MEMORY = (
    Memory("V2 table 3", V1, "c1", "1600", HUNDREDS),
    Memory("V2 table 3", V1, "c2", "800", HUNDREDS),
    Memory("V2 table 3", V1, "c3", "400", HUNDREDS),
    Memory("V2 table 3", V1, "c4", "200"),
    Memory("V2 table 3", V1, "c5", "199", SEVENS),
    Memory("V2 table 3", V1, "pooled", "2"),
    Memory("V2 table 3", V1, "largest", "1600", HUNDREDS),
    Memory("V2 table 3", V2, "c1", "400", HUNDREDS),
    Memory("V2 table 3", V2, "c2", "200", f"{NEXT_STAGE}: 32 for 24"),
    Memory("V2 table 3", V2, "c3", "100", f"{NEXT_STAGE}: 64 for 32"),
    Memory("V2 table 3", V2, "c4", "62",  f"{NEXT_STAGE}: 160 for 96"),
    Memory("V2 table 3", V2, "c5", "32", WHOLE),
    Memory("V2 table 3", V2, "pooled", "2"),
    Memory("V2 table 3", V2, "largest", "400", HUNDREDS),
    Memory("V2 table 3, first versions", V1, "largest", "800", EIGHT_BITS),
    Memory("V2 table 3, first versions", V2, "largest", "200", EIGHT_BITS),
)  # fmt: skip

# MobileNetV3: arXiv:1905.02244 (v5 and ICCV 2019); tensorflow/models slim/nets/mobilenet/README.md.
CLASSIFIERS_V3 = (
    Row("V3 table 3",      f"{V3}",                         "5.4M", "219M", BARE, "plain", LARGE_219),
    Row("V3 table 3",      f"{V3} width_mult=0.75",         "4.0M", "155M"),
    Row("V3 v5 table 3",   f"{SMALL}",                      "2.5M", "56M"),
    Row("V3 ICCV table 3", f"{SMALL}",                      "2.9M", "66M", "plain", "plain", ICCV_SMALL),
    Row("V3 ICCV table 3", f"{SMALL} hidden_channels=1280", "2.9M", "66M", "plain", "plain", ICCV_MADDS),
    Row("V3 table 3",      f"{SMALL} width_mult=0.75",      "2.4M", "44M", "plain", "plain", SMALL_75),
    Row("slim README",     f"{V3}",                         "5.4M", "217M", BARE),
    Row("slim README",     f"{V3} width_mult=0.75",         "4.0M", "155M"),
    Row("slim README",     f"{V3} minimalistic=True",       "3.9M", "209M"),
    Row("slim README",     f"{SMALL}",                      "2.9M", "66M", "plain", "plain", ICCV_SMALL),
    Row("slim README",     f"{SMALL} width_mult=0.75",      "2.4M", "44M", "plain", "plain", SMALL_75),
    Row("slim README",     f"{SMALL} minimalistic=True",    "2.0M", "65M", "plain", "plain", README_MINIMAL),
    Row("torchvision",     f"{V3}",                         "5483032", "0.217B"),
    Row("torchvision",     f"{SMALL}",                      "2542856", "0.057B"),
)  # fmt: skip

CLASSIFIERS: tuple[Published, ...] = (*CLASSIFIERS_V1, *SHARES_V1, *CLASSIFIERS_V2, *MEMORY, *CLASSIFIERS_V3)
