"""SSDLite, MobileNetV2, COCO at 300x300, as in TensorFlow's model zoo (``ssdlite_mobilenet_v2_coco``).

    python tools/train.py configs/ssdlite_v2_coco_tf.py data.root=/data/coco

Expected: 22 AP on val2014's minival (TensorFlow's zoo, for its own file); neither trained nor measured
here.

    python tools/import_weights.py FILE.pb --into ssdlite_v2_coco_tf --output coco.safetensors

The model of ``ssdlite_v2_person`` for COCO's 90 category ids, in their order; those that COCO does not
use are reserved slots. So the file's classes fit without ``--class-ids``. A checkpoint (.index) and a
TFLite file of the same detector fit too.
"""

from __future__ import annotations

from dataclasses import replace

from pocketvision.configs.ssdlite_v2_person import config as base

# COCO's categories 1 to 90, ten a row; "-" is an id without a category.
SLOTS = (
    "person,bicycle,car,motorcycle,airplane,bus,train,truck,boat,traffic light,"
    "fire hydrant,-,stop sign,parking meter,bench,bird,cat,dog,horse,sheep,"
    "cow,elephant,bear,zebra,giraffe,-,backpack,umbrella,-,-,"
    "handbag,tie,suitcase,frisbee,skis,snowboard,sports ball,kite,baseball bat,baseball glove,"
    "skateboard,surfboard,tennis racket,bottle,-,wine glass,cup,fork,knife,spoon,"
    "bowl,banana,apple,sandwich,orange,broccoli,carrot,hot dog,pizza,donut,"
    "cake,chair,couch,potted plant,bed,-,dining table,-,-,toilet,"
    "-,tv,laptop,mouse,remote,keyboard,cell phone,microwave,oven,toaster,"
    "sink,refrigerator,-,book,clock,vase,scissors,teddy bear,hair drier,toothbrush"
)

config = replace(base, class_names=tuple(None if name == "-" else name for name in SLOTS.split(",")))
