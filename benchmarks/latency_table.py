"""How well a sum of layers predicts whole networks: python benchmarks/latency_table.py CONFIG --backend onnx

Networks of random widths that no constant was fitted to are timed beside what `adapt` predicts of them.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from pocketvision.backbones.width_groups import adaptable_body, width_groups
from pocketvision.core.command import find_config
from pocketvision.core.files import write_json
from pocketvision.deploy.latency.known import from_table, plan_of_model
from pocketvision.deploy.latency.measuring import BACKENDS, measure, random_widths
from pocketvision.deploy.latency.units import whole_net
from pocketvision.runs.folder import load_experiment
from pocketvision.tasks.adapt.network import AdaptedNetwork
from pocketvision.tasks.adapt.result import AdaptedSource

FIRST_SEED = 100
"""Beyond those of the networks that the constant is fitted to."""


def main() -> None:
    """Print predicted and measured times, and write them with the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("config")
    parser.add_argument("overrides", nargs="*", help="with model.weights=None")
    parser.add_argument("--backend", choices=BACKENDS, default="onnx")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--nets", type=int, default=12)
    parser.add_argument("--output", type=Path, required=True)
    arguments = parser.parse_args()
    experiment, files = load_experiment(find_config(arguments.config), arguments.overrides)
    network = AdaptedNetwork(AdaptedSource(experiment, files, []))
    plan = plan_of_model(network.model, network.build)
    groups = width_groups(adaptable_body(network.model.backbone))
    several = [random_widths(network.widths, groups, FIRST_SEED + i) for i in range(arguments.nets)]
    unseen = [(widths, *whole_net(network.build, widths)) for widths in several]
    subnets = {**plan.plan.subnets, **{key: lambda net=net: net for _, key, net in unseen}}  # type: ignore[misc]
    seconds = measure(subnets, arguments.backend, arguments.threads, {})
    latency = from_table(plan, seconds)
    rows = [(latency(widths), seconds[key]) for widths, key, _ in unseen]
    for predicted, measured in rows:
        error = predicted / measured - 1
        print(f"predicted {predicted * 1e3:7.2f} ms, measured {measured * 1e3:7.2f} ms, {error:+.1%}")
    errors = np.abs([predicted / measured - 1 for predicted, measured in rows])
    print(f"absolute error: median {np.median(errors):.1%}, largest {errors.max():.1%}")
    write_json(arguments.output, {"rows": rows, "seconds": seconds})


if __name__ == "__main__":
    main()
