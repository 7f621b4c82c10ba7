"""ssdlite_v3_small for the data in /tmp/old_data, written by: train --data /tmp/old_data data.batch_size=2
data.num_workers=0 trainer.max_steps=2 model.weights=None 'model.image_size=(96,96)' --run-dir
/tmp/old/own

found: COCO boxes in /tmp/old_data with the splits train, val.
task: detection
images: train 4, val 4
2 classes: cat, owl
model: ssdlite_v3_small, input 96x96, batches of 2
anchors: fitted to the boxes; one reaches 100.0% of them at IoU 0.5

600 steps = 300 epochs of 2: 60 epochs, more for less than 1000 images, many classes or random weights
learning rate 0.002 for AdamW: 0.001 for 8 images, by the root of the batch, on random weights, four times
that on published ones
warm-up 60 steps: a tenth of the run, 1000 at most
weights are averaged over about 30 steps: a twentieth of the run
BatchNorm momentum 0.1: statistics must keep up with a run of 600 steps
frozen: nothing, as the weights are random
"""

from dataclasses import replace
from functools import partial

from torch.optim import AdamW

from pocketvision.configs import own_detection as base
from pocketvision.core.anchors import ExplicitAnchors
from pocketvision.datasets import CocoDataModule

# Relative (width, height) for stride 8, 16, 32 and 64.
ANCHORS = ExplicitAnchors(
    (
        ((0.3125, 0.3906),),
        ((0.3125, 0.3906),),
        ((0.3125, 0.3906),),
        ((0.3125, 0.3906),),
    )
)

config = replace(
    base.config,
    model=partial(
        base.model,
        backbone="v3_small",
        image_size=(96, 96),
        norm_momentum=0.1,
        weights=None,
        anchors=ANCHORS,
    ),
    task=partial(
        base.config.task,
        optimizer=partial(AdamW, lr=0.002, weight_decay=0.05, fused=True),
        reference_batch=2,
        backbone_lr_factor=1.0,
        warmup_steps=60,
        ema_decay=0.96667,
        freeze_until=None,
        freeze_norms=False,
    ),
    data=partial(
        CocoDataModule,
        root="/tmp/old_data",
        batch_size=2,
        augmentation=base.AUGMENTATION,
    ),
    trainer={"max_steps": 600, "check_val_every_n_epoch": 60},
    recipe="fixed",
)
