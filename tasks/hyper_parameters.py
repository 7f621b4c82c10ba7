"""What a run was trained with, beside its scores in every logger."""

from __future__ import annotations

import lightning as L
from lightning.pytorch.loggers import TensorBoardLogger
from lightning.pytorch.utilities import rank_zero_only
from torch.utils.tensorboard.summary import hparams

from pocketvision.core.command import CONFIG_PREFIX
from pocketvision.core.config import Experiment, describe, flat


class LogHyperParameters(L.Callback):
    """Logs the values of an experiment by name, such as task.optimizer.lr, when a training starts.

    TensorBoard gets them with ``metric`` as the score to compare runs by, and the experiment as text.
    """

    def __init__(self, experiment: Experiment, metric: str) -> None:
        self.experiment, self.metric = experiment, metric

    @rank_zero_only
    def on_fit_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        values = {**flat(self.experiment), "model": name_of_model(self.experiment)}
        for logger in trainer.loggers:
            if not isinstance(logger, TensorBoardLogger):
                logger.log_hyperparams(values)
                continue
            writer = logger.experiment
            # Lightning's way would log a score of its own, -1, beside.
            for summary in hparams(values, {self.metric: 0}):  # type: ignore[no-untyped-call]
                writer._get_file_writer().add_summary(summary)
            indented = describe(self.experiment).replace("\n", "\n    ")
            writer.add_text("experiment", f"    {indented}")


def name_of_model(experiment: Experiment) -> str:
    """The config whose ``model`` it is."""
    function = getattr(experiment.model, "func", experiment.model)
    return str(function.__module__).rpartition(".")[2].removeprefix(CONFIG_PREFIX)
