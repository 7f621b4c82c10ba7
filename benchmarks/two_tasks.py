"""One backbone for boxes and a map beside two models of one task each, for as many steps of each task.

    python benchmarks/two_tasks.py SHARED OUTPUT [--steps 300] [--only boxes map balanced ...]

SHARED holds data/ and weights/. Boxes are seven street classes of coco_mini (GFL), the map is camvid's
(LR-ASPP), MobileNetV2 from published weights, images of 240x320, batches of 8. The models alone are of the
joint one's form; backbone, boxes and map have the same rates in all. ``joint`` has BatchNorm statistics of
both data sets in turn, ``frozen`` those of ImageNet; in ``moments`` the optimizer remembers each task's
gradients by themselves, in ``balanced`` those of both are as long on the backbone, in ``weighed`` the map
counts twice besides, and in ``kept``, as the config has it, statistics are kept from half of the steps on.
In ``of_map_half`` these are of the map's images alone, in ``of_map`` so and kept for the last tenth.
``mixed`` is ``balanced`` with four images of each in every batch. In ``taught``, which is ``of_map`` else,
and in ``mixed_taught`` the boxes alone teach those of the joint model, in ``both_taught`` each model alone
teaches its task; ``boxes_taught`` and ``map_taught`` are models alone that are taught so, too, and
``map_whole`` learns from crops as large as those of ``mixed``. The last weights are scored once: boxes on
coco_mini's val, the map on camvid's test images. Differences come from a paired bootstrap over the images.
Called again it goes on with what is missing.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
from pathlib import Path

from pocketvision.configs.street_v2 import STREET_NAMES
from pocketvision.evaluation.per_image_results import read_images
from pocketvision.metrics.bootstrap import differences

HERE = Path(__file__).resolve().parent
TRAIN = [sys.executable, str(HERE.parent / "tools" / "train.py")]
CROP = "augmentation.crop_size=(192,192)"
RATES = ("task.optimizer.lr=1e-3", "task.backbone_lr_factor=0.4", "task.optimizer.weight_decay=0.05")
TURNS = ('data.shares={"detection":0.5,"segmentation":0.5}', 'task.lr_factors={"detection":20.0}')
JOINT = (
    *("street_v2", "data.parts.detection.root=BOXES", "data.parts.segmentation.root=MAP"),
    *(f"data.parts.segmentation.{CROP}", "data.parts.segmentation.val_split=test", *RATES, *TURNS),
)
MOVING = (*JOINT, "task.norms_until=1.0")
BALANCED = (*MOVING, "task.balance=gradient_norm")
OF_MAP = (*JOINT, "task.balance=gradient_norm", "task.norms_of=segmentation")
BOXES = (
    *("own_detection_gfl", "recipe=fixed", "model.backbone=v2", "data.root=BOXES"),
    f"class_names={STREET_NAMES}",
)
MAP = (
    *(str(HERE / "street_map.py"), "data.root=MAP", f"data.{CROP}", "data.val_split=test", *RATES),
    "task.schedule=cosine",
)
WHOLE = "augmentation.crop_size=(240,320)"
MIXED = (*BALANCED, "data.mixed=True", f"data.parts.segmentation.{WHOLE}")
OF_MAP_LAST = (*OF_MAP, "task.norms_until=0.9")
TEACHER = "task.tasks.detection.teacher=OUTPUT/boxes"
BOXES_TAUGHT = (*OF_MAP_LAST, TEACHER)
WAYS: dict[str, tuple[str, ...]] = {
    "boxes": BOXES,
    "map": MAP,
    "boxes_taught": (*BOXES, "task.teacher=OUTPUT/boxes"),
    "map_taught": (*MAP, "task.teacher=OUTPUT/map"),
    "map_whole": (*MAP, f"data.{WHOLE}"),
    "joint": (*MOVING, "task.balance=fixed"),
    "moments": (*MOVING, "task.balance=moments"),
    "balanced": BALANCED,
    "weighed": (*BALANCED, 'task.loss_weights={"segmentation":2.0}'),
    "mixed": MIXED,
    "mixed_taught": (*MIXED, TEACHER),
    "kept": (*JOINT, "task.balance=gradient_norm", "task.norms_until=0.5"),
    "of_map": OF_MAP_LAST,
    "of_map_half": (*OF_MAP, "task.norms_until=0.5"),
    "taught": BOXES_TAUGHT,
    "both_taught": (*BOXES_TAUGHT, "task.tasks.segmentation.teacher=OUTPUT/map"),
    "frozen": (*MOVING, "task.balance=fixed", "task.freeze_norms=True"),
}
ALONE = {"detection": ("boxes", "AP"), "segmentation": ("map", "mIoU")}
SINGLE = {
    "boxes": "detection", "map": "segmentation", "boxes_taught": "detection", "map_taught": "segmentation",
    "map_whole": "segmentation",
}  # fmt: skip
"""The task of each way that has only one."""


def train(name: str, arguments: argparse.Namespace) -> None:
    """Train a run, or go on with it."""
    folder: Path = arguments.output / name
    command = [*TRAIN, "--resume", str(folder)]
    if not any(folder.glob("checkpoints/*")):
        shutil.rmtree(folder, ignore_errors=True)  # stopped before its first checkpoint
        steps = arguments.steps * (1 if name in SINGLE else 2)
        data = arguments.shared / "data"
        words = [
            word.replace("BOXES", str(data / "coco_mini"))
            .replace("MAP", str(data / "camvid"))
            .replace("OUTPUT", str(arguments.output))
            for word in WAYS[name]
        ]
        common = [
            f"model.weights={arguments.shared / 'weights' / 'mobilenet_v2-b0353104.pth'}",
            *(
                "model.image_size=(240,320)",
                "data.batch_size=8",
                "data.num_workers=0",
                "checkpoint_minutes=2",
            ),
            *(f"trainer.max_steps={steps}", "trainer.max_epochs=None", "trainer.limit_val_batches=0"),
            *(f"task.warmup_steps={steps // 10}", f"task.ema_decay={1 - 20 / steps}"),
        ]
        command = [*TRAIN, *words, *common, "--run-dir", str(folder)]
    print(f"== {name}", flush=True)
    subprocess.run(command, check=True)


def report(output: Path, names: list[str]) -> dict[str, dict[str, float]]:
    """Print how far every joint run is ahead of the models alone."""
    rows: dict[str, dict[str, float]] = {}
    for task, (alone, metric) in ALONE.items():
        if not (output / alone / "metrics.json").is_file():
            continue
        single = read_images(output / alone).resampled()
        own = json.loads((output / alone / "metrics.json").read_text())[metric]
        print(f"{task}: alone {metric} {own:.4f}")
        for name in names:
            if SINGLE.get(name, task) != task:
                continue
            run = output / name
            value = json.loads((run / "metrics.json").read_text())[metric]
            images = read_images(run if name in SINGLE else run / task)
            gain, low, high, p = differences(single, images.resampled())[metric]
            print(f"  {name:<12} {value:.4f}  {gain:+.4f} ({low:+.4f} to {high:+.4f}, p {p:.3f})", flush=True)
            rows[f"{name}, {task}"] = {"alone": own, "joint": value, "gain": gain, "low": low, "high": high}
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("shared", type=Path)
    parser.add_argument("output", type=Path)
    parser.add_argument("--steps", type=int, default=300, help="of each task")
    parser.add_argument("--only", nargs="+", choices=WAYS, default=list(WAYS))
    arguments = parser.parse_args()
    for name in arguments.only:
        if not (arguments.output / name / "metrics.json").is_file():
            train(name, arguments)
    rows = report(arguments.output, [name for name in arguments.only if name not in ("boxes", "map")])
    (arguments.output / "results.json").write_text(json.dumps(rows, indent=2))


if __name__ == "__main__":
    main()
