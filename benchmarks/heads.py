"""SSDLite and GFL trained alike: the runs behind "A dense head" in docs/results.md.

    python benchmarks/heads.py SHARED OUTPUT [--only NAME ...]

SHARED holds data/ and weights/. Every backbone is MobileNetV2 from published weights. On bccd the backbone
learns at 4e-4 and what starts from random weights (head, extra blocks, pyramid) at the rate in the name;
on aerial_cars, at 640x640, and coco_mini each family has the recipe that ``train --data`` gives it, for equal
steps. A student learns on bccd without and with the teacher gfl_2e-2_24, and gfl with one part exchanged,
on bccd and for 300 steps on coco_mini.
Pictures of test, or val where there is no test, are scored once, by the last weights. Called again it goes on
with what is missing. The last lines compare pairs of runs over the same pictures (paired bootstrap).
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path

TOOLS = Path(__file__).resolve().parent.parent / "tools"
FACTORS = {"1e-3": "0.4", "4e-3": "0.1", "1e-2": "0.04", "2e-2": "0.02", "4e-2": "0.01"}
"""Rate -> the backbone's factor that makes 4e-4 of it."""
BCCD = (
    ("ssdlite", "1e-3", 6), ("ssdlite", "4e-3", 6), ("ssdlite", "1e-2", 6),
    ("ssdlite", "1e-3", 24), ("ssdlite", "1e-2", 24),
    ("gfl", "1e-3", 6), ("gfl", "4e-3", 6), ("gfl", "1e-2", 6), ("gfl", "2e-2", 6), ("gfl", "4e-2", 6),
    ("gfl", "2e-2", 24),
)  # fmt: skip
SHORT = ["data.batch_size=16", "task.warmup_steps=60", "task.ema_decay=0.96667", "model.norm_momentum=0.1"]
"""What ``train --data`` derives for a training of 600 steps."""
RUNS = {
    f"{family}_{rate}_{epochs}": [
        f"{family}_v2_bccd",
        "data.root={shared}/data/bccd",
        f"task.optimizer.lr={rate}",
        f"task.backbone_lr_factor={FACTORS[rate]}",
        f"trainer.max_epochs={epochs}",
    ]
    for family, rate, epochs in BCCD
} | {
    f"{family}_{data}_{steps}": [
        *("--data", f"{{shared}}/data/{data}", "--model", f"{family}_v2", f"trainer.max_steps={steps}"),
        "data.repeat_threshold=None",
        *sizes,
    ]
    for data, steps, sizes in (
        ("aerial_cars", 600, ["model.image_size=(640,640)"]),
        ("aerial_cars", 1200, ["model.image_size=(640,640)"]),
        ("coco_mini", 600, SHORT),
        ("coco_mini", 900, []),
    )
    for family in ("ssdlite", "gfl")
}
STUDENT = [str(Path(__file__).parent / "gfl_v3_small_bccd.py"), "data.root={shared}/data/bccd"]
RUNS |= {"student": STUDENT, "student_taught": [*STUDENT, "task.teacher={output}/gfl_2e-2_24"]}
PARTS = {
    "pan_ssd": ["model.head=ssd", "task.optimizer.lr=1e-2", "task.backbone_lr_factor=0.04"],
    "unfitted": ["model.fitted=False"],
    "without_distributions": ["model.reg_max=0"],
    "varifocal": ["task.kind=varifocal"],
    "qualities_as_they_are": ["task.normalized=False"],
    "dynamic_soft_label": ["task.assigner=dynamic_soft_label"],
    "simota": ["task.assigner=simota"],
    "atss": ["task.assigner=atss"],
    "guide": ["task.guide=True"],
}
"""What differs from gfl_2e-2 of as many epochs, or from gfl_coco_mini."""
RUNS |= {
    f"{part}_{epochs}": [
        str(Path(__file__).parent / "gfl_parts.py"),
        "data.root={shared}/data/bccd",
        f"trainer.max_epochs={epochs}",
        *words,
    ]
    for epochs in (6, 24)
    for part, words in PARTS.items()
} | {
    f"{part}_coco_mini": [
        str(Path(__file__).parent / "gfl_parts_coco_mini.py"),
        "data.root={shared}/data/coco_mini",
        *words,
    ]
    for part, words in {"gfl": [], **PARTS}.items()
}
WEIGHTS = "model.weights={shared}/weights/mobilenet_v2-b0353104.pth"
PAIRS = (
    *((f"gfl_2e-2_{epochs}", f"{part}_{epochs}") for epochs in (6, 24) for part in PARTS),
    ("ssdlite_1e-2_6", "gfl_2e-2_6"),
    ("ssdlite_1e-3_24", "gfl_2e-2_24"),
    ("ssdlite_1e-2_24", "gfl_2e-2_24"),
    ("ssdlite_aerial_cars_600", "gfl_aerial_cars_600"),
    ("ssdlite_aerial_cars_1200", "gfl_aerial_cars_1200"),
    *(("gfl_coco_mini", f"{part}_coco_mini") for part in PARTS),
    ("ssdlite_coco_mini_600", "gfl_coco_mini_600"),
    ("ssdlite_coco_mini_900", "gfl_coco_mini_900"),
    ("student", "student_taught"),
)


def train(name: str, shared: Path, output: Path) -> None:
    """Train a run, or go on with it."""
    folder = output / name
    command = [sys.executable, str(TOOLS / "train.py")]
    if (folder / "checkpoints").is_dir() and any((folder / "checkpoints").iterdir()):
        command += ["--resume", str(folder)]
    else:
        words = [*RUNS[name], *([] if name.startswith("student") else [WEIGHTS])]
        words = [word.format(shared=shared, output=output) for word in words]
        command += [*words, "--run-dir", str(folder)]
    print(f"== {name}", flush=True)
    subprocess.run(command, check=True)


def main() -> None:
    parser = argparse.ArgumentParser(description="Train SSDLite and GFL alike and compare them.")
    parser.add_argument("shared", type=Path)
    parser.add_argument("output", type=Path)
    parser.add_argument("--only", nargs="+", choices=RUNS, default=list(RUNS))
    arguments = parser.parse_args()
    scores = {name: arguments.output / name / "metrics.json" for name in RUNS}
    for name in arguments.only:
        if not scores[name].is_file():
            train(name, arguments.shared, arguments.output)
    for name, path in scores.items():
        if path.is_file():
            metrics = json.loads(path.read_text())
            values = "  ".join(f"{key} {metrics[key] or 0:.4f}" for key in ("AP", "AP50", "AP_small"))
            scores_of = {key: value["AP"] for key, value in metrics["per_class"].items()}
            known = [f"{key} {score:.3f}" for key, score in scores_of.items() if score is not None]
            print(f"{name:<20} {values}  {', '.join(known[:5])}")
    for pair in PAIRS:
        if all(scores[name].is_file() for name in pair):
            runs = [str(arguments.output / name) for name in pair]
            subprocess.run([sys.executable, str(TOOLS / "compare.py"), *runs], check=True)


if __name__ == "__main__":
    main()
