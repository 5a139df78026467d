"""Measures and judges the network of one training, as a mean over its processes."""

from __future__ import annotations

import pytorch_lightning as pl
from torch import nn

from ssl_zoo.monitors.evidence import residual_energy
from ssl_zoo.standalone.causes import ScriptFacts
from ssl_zoo.standalone.diagnose import judged
from ssl_zoo.standalone.diagnosis import Diagnosis
from ssl_zoo.standalone.measure import Losses, measure
from ssl_zoo.standalone.modules import fingerprint, untrained_parts
from ssl_zoo.standalone.watch import Watch

__all__ = ["Judge"]


class Judge:
    """Diagnoses what a watch keeps, against the first step, with what is known of the script.

    Args:
        watch: of the training steps.
        modules: by role, with their names; see `modules.find_modules`.
    """

    def __init__(self, watch: Watch, modules: dict[str, tuple[str, nn.Module]]) -> None:
        self.watch, self.modules = watch, modules
        self.losses = Losses()
        self.start: Diagnosis | None = None  # of the first step
        self._untrained: tuple[str, ...] = ()
        self._targets_at_start = self._targets()

    def look(self, trainer: pl.Trainer) -> None:
        """Notes which parts no optimizer changes."""
        parameters = (p for o in trainer.optimizers for group in o.param_groups for p in group["params"])
        self._untrained = untrained_parts(trainer.lightning_module, self.modules, parameters)

    def begin(self, trainer: pl.Trainer) -> float:
        """Measures the network of the first step, and returns its residual energy."""
        self.start = self.diagnose(trainer, epochs=0, highest=None)
        assert self.start is not None, "a step has just been seen"
        return residual_energy(self.start.metrics)

    def diagnose(self, trainer: pl.Trainer, *, epochs: int, highest: float | None) -> Diagnosis | None:
        """Measures and judges; None: there is nothing. All processes must call it.

        Args:
            trainer: of the network.
            epochs: trained.
            highest: residual energy that the training has had; None: not known.
        """
        watch = self.watch
        measured = measure(watch, self.losses, trainer.lightning_module)
        if measured is None:
            return None
        precision = str(trainer.precision)
        facts = ScriptFacts(
            graph=watch.graph,
            predictor=self._name("predictions"),
            targets=self._name("targets"),
            untrained_parts=self._untrained,
            targets_moved=self._targets_moved() if epochs else None,
            initial=None if self.start is None else self.start.metrics,
            precision="" if precision.startswith(("32", "64")) else precision,
        )
        evaluated = watch.encoder is not None
        return judged(
            facts,
            measured,
            self.start,
            epochs=epochs,
            start="first step",
            highest=highest,
            paired=evaluated,
            steps=trainer.global_step if evaluated else None,
        )

    def _name(self, role: str) -> str | None:
        return self.modules[role][0] if role in self.modules else None

    def _targets(self) -> float | None:
        return fingerprint(self.modules["targets"][1]) if "targets" in self.modules else None

    def _targets_moved(self) -> bool | None:
        now = self._targets()
        return None if now is None else now != self._targets_at_start
