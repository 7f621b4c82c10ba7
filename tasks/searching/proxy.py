"""What candidates are judged by: their score on training images that taught nobody, with shared weights."""

from __future__ import annotations

from copy import deepcopy
from pathlib import Path

import torch
from torch import nn

from pocketvision.backbones.width_groups import adaptable_body
from pocketvision.core.errors import InputError
from pocketvision.datasets.records.splits import take
from pocketvision.evaluation.evaluate import make_evaluator
from pocketvision.models import SingleModel
from pocketvision.tasks.adapt.network import AdaptedNetwork
from pocketvision.tasks.adapt.result import AdaptedSource
from pocketvision.tasks.adapt.trial import TrialImages, Trials, batches_of, divide_images
from pocketvision.tasks.searching.shared import SharedWeights, teach
from pocketvision.tasks.searching.space import Candidate, SearchSpace

_NUM_NORM_BATCHES = 4
"""Training batches from which the norms of a candidate learn its statistics."""


class SearchedNetwork(AdaptedNetwork):
    """A source's model with its weights, its data, and what may be changed of it.

    Raises:
        InputError: its config does not take widths and forms.
    """

    def __init__(self, source: AdaptedSource) -> None:
        super().__init__(source, ("widths", "forms"))
        self.space = SearchSpace(adaptable_body(self.model.backbone))


class Proxy:
    """Shared weights, and scores with them on ``num_judged`` training images by the metric of the task.

    Raises:
        InputError: the images are cut into tiles, or there are too few.
    """

    def __init__(self, network: SearchedNetwork, num_judged: int) -> None:
        data, split = network.data, network.data.train_split
        records = data.records(split)
        if len(data.dataset(split, train=False)) != len(records):
            raise InputError("A search takes whole pictures: set data.tile_size=None.")
        self.network = network
        learned, judged = divide_images(network.experiment, data, num_judged)
        images = TrialImages(batches_of(data, learned, train=True), [])
        self.trials = Trials(network.experiment, images)
        self.records = take(records, judged)
        self.batches = batches_of(data, sorted(judged), train=False)
        self.metric: str = self.trials.task(network.model).metric
        torch.manual_seed(network.experiment.seed)  # for gates that the source has not
        self.shared = SharedWeights(network.model, network.space, network.build)

    def source_score(self) -> float:
        """Of the source with its own weights.

        Raises:
            InputError: it is 0, so that candidates could not be told apart.
        """
        score = self.score_of(deepcopy(self.network.model))
        if score == 0:
            raise InputError(
                f"The network's {self.metric} on training images is 0: train it, and give its run folder."
            )
        return score

    def teach(self, num_steps: int, folder: Path) -> None:
        """Train the shared weights, or go on."""
        teach(self.shared, self._built, self.trials, num_steps, folder)

    def model(self, candidate: Candidate) -> SingleModel:
        """A network with its part of the shared weights."""
        return self.shared.give(self._built(candidate))

    def score(self, candidate: Candidate) -> float:
        """Of a network with shared weights."""
        return self.score_of(self.model(candidate))

    def _built(self, candidate: Candidate) -> SingleModel:
        return self.network.build(*self.network.space.decoded(candidate))

    @torch.no_grad()
    def score_of(self, model: SingleModel) -> float:
        """AP, mIoU or top1, once the norms have the statistics of this network."""
        task = self.trials.task(model)
        norms = [
            layer
            for layer in task.modules()
            if isinstance(layer, nn.BatchNorm2d) and not getattr(layer, "is_frozen", False)
        ]
        momenta = [norm.momentum for norm in norms]
        for norm in norms:
            norm.reset_running_stats()
            norm.momentum = None  # the mean of all batches
        for batch in self.trials.images.batches[:_NUM_NORM_BATCHES]:
            model(batch.images.to(self.trials.device))
        for norm, momentum in zip(norms, momenta, strict=True):
            norm.momentum = momentum
        model.eval()
        evaluator = make_evaluator(model, self.records)
        for samples in self.batches:
            evaluator.update(samples._replace(images=samples.images.to(self.trials.device)))
        return float(evaluator.compute()[task.metric] or 0.0)
