"""Evolution against random search of equal cost: python benchmarks/search.py RUN OUTPUT --share 0.7

Both score as many candidates with the same shared weights, the first ones alike; seeds differ in what is
drawn. The best of each is scored once more on the validation split, which took no part. Called again it
goes on with what is missing in OUTPUT. The latencies are those of ONNX Runtime on one thread.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from pocketvision.core.files import read_json, write_json
from pocketvision.deploy.latency.by_form import form_latency, plan_forms
from pocketvision.deploy.latency.known import Device, timed_here
from pocketvision.evaluation.evaluate import make_evaluator
from pocketvision.tasks.adapt.result import source_of
from pocketvision.tasks.searching.evolution import (
    POPULATION,
    Evolution,
    Reward,
    Scored,
    best_below,
    explore,
)
from pocketvision.tasks.searching.proxy import Proxy, SearchedNetwork
from pocketvision.tasks.searching.result import search_picture
from pocketvision.tasks.searching.space import Candidate


def score_on_val(proxy: Proxy, candidate: Candidate) -> float:
    """With shared weights, on images that no candidate was chosen by."""
    model, data = proxy.model(candidate), proxy.network.data
    proxy.score_of(model)  # which gives its norms their statistics
    evaluator = make_evaluator(model, data.records(data.val_split))
    for samples in data.eval_dataloader(data.val_split):
        evaluator.update(samples)
    return float(evaluator.compute()[proxy.metric])


def main() -> None:
    """Print what each way found with each seed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("output", type=Path)
    parser.add_argument("--share", type=float, default=0.7, help="of the latency now")
    parser.add_argument("--beyond", type=float, default=-1.0, help="exponent; the papers': -0.07")
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--candidates", type=int, default=48)
    parser.add_argument("--images", type=int, default=64)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    arguments = parser.parse_args()
    arguments.output.mkdir(parents=True, exist_ok=True)
    network = SearchedNetwork(source_of(arguments.run, []))
    space = network.space
    plan = plan_forms(network.model, network.build, space.all_forms(), space.examples())
    table = arguments.output / "latency.json"
    if not table.is_file():
        write_json(table, timed_here(plan.subnets, Device("onnx", 1)))
    latency = form_latency(plan, read_json(table)["seconds"])
    now = latency(network.widths, network.forms)
    reward = Reward(arguments.share * now, beyond=arguments.beyond)
    proxy = Proxy(network, arguments.images)
    print(f"source: {now * 1e3:.2f} ms by its layers, {proxy.metric} {proxy.source_score():.4f}", flush=True)
    proxy.teach(arguments.steps, arguments.output)
    known: dict[Candidate, float] = {}

    def score(candidate: Candidate) -> float:
        if candidate not in known:
            known[candidate] = proxy.score(candidate)
        return known[candidate]

    found: dict[tuple[int, str], list[Scored]] = {}
    for seed in arguments.seeds:
        for way, population in (("evolved", POPULATION), ("random", arguments.candidates)):
            folder = arguments.output / f"{way}_{seed}"
            folder.mkdir(exist_ok=True)
            rows = explore(
                Evolution(space, seed, population), arguments.candidates, score,
                lambda candidate: latency(*space.decoded(candidate)), reward, folder,
            )  # fmt: skip
            known.update({row.candidate: row.score for row in rows})
            found[seed, way] = rows
            top, best = max(rows, key=lambda row: row.reward), best_below(rows, reward.target)
            print(
                f"| {seed} | {way} | {top.reward:.4f} | {best.reward:.4f} | {best.score:.4f} "
                f"| {best.seconds * 1e3:.2f} | {score_on_val(proxy, best.candidate):.4f} |",
                flush=True,
            )
    several = {
        way: [row for seed in arguments.seeds for row in found[seed, way]] for way in ("random", "evolved")
    }
    chosen = best_below(several["evolved"], reward.target)
    search_picture(several, chosen, reward.target, arguments.output / "candidates.png")


if __name__ == "__main__":
    main()
