"""The order in which trials start, and `seeds=auto`: more seeds for the rows that an undecided claim needs.

The first round gives every row its first seeds. As soon as all rows of a claim have their seeds of a round, the claim
is judged by exactly these; an undecided one asks for another seed of its rows, which is a trial of the next round and
may start while others of this round still run. So the seeds that a row gets follow from the results alone: not from
the number of workers, nor from the order in which runs end, an interruption or other runs in the same folder.

A trial that begins with another's weights waits for that one, which is trained even where its own row has fewer seeds.
If that one fails, so does the trial.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace

from ssl_zoo.suites.claims import Claim, Comparison
from ssl_zoo.suites.trial import Trial

__all__ = ["Rounds"]

RowsToExtend = Callable[[Claim, Mapping[str, int]], Collection[str]]


class Rounds:
    """Trials that wait, run, and have ended.

    Args:
        trials: of each row, by its name: as many as it may get.
        first: trials of each row in the first round.
        is_done: whether a trial has a result.
        fits: whether a trial would probably end within the time limit.
        claims: those that may ask for more.
        rows_to_extend: rows of which a claim needs another seed, given the number of seeds by which each is judged.

    Attributes:
        counts: trials of each row in this round.
        round: from 1.
        heading: what this round is for, in words.
        asking: claims that asked for more in this round.
        growing: rows that get another seed in the next round.
        limited: claims that would need more than the rows may get.
        failed: names of runs without a result.
    """

    def __init__(
        self,
        trials: Mapping[str, Sequence[Trial]],
        first: int,
        is_done: Callable[[Trial], bool],
        fits: Callable[[Trial], bool] = lambda trial: True,
        claims: Sequence[Claim] = (),
        rows_to_extend: RowsToExtend = lambda claim, counts: (),
    ) -> None:
        self.trials, self.claims = trials, claims
        self.is_done, self.fits, self.rows_to_extend = is_done, fits, rows_to_extend
        self.counts = {row: min(first, len(group)) for row, group in trials.items()}
        self.first, self.round, self.heading = first, 1, ""
        self.asking, self.limited = list[Claim](), list[Claim]()
        self.growing, self.failed = list[str](), set[str]()
        self._waiting, self._running = dict[str, Trial](), set[str]()
        self._known, self._judged = set[str](), set[int]()
        for index in range(first):  # the first seed of each row, then the second ...
            for group in trials.values():
                if index < len(group):
                    self._add(group[index])
        self._advance()

    @property
    def total(self) -> int:
        """Runs until now, those that were done before included; one that several rows share counts once."""
        return len(self._known)

    @property
    def ended(self) -> int:
        """Runs that have ended, or were done before."""
        return len(self._known - self._waiting.keys() - self._running)

    @property
    def stopped(self) -> bool:
        """Whether, now that nothing can be started any more, the time limit has left runs out."""
        return bool(self._waiting)

    def take(self) -> Trial | None:
        """Returns the next trial to start; None while there is none, and when none runs any more, for good."""
        self._advance()
        for name, trial in self._waiting.items():
            if name not in self._running and self._can_begin(trial) and self.fits(trial):
                del self._waiting[name]
                self._running.add(name)
                return trial
        return None

    def end(self, trial: Trial, *, failed: bool) -> list[Trial]:
        """Notes that a trial has ended, and returns those that cannot begin as it failed."""
        name = trial.name
        self._running.remove(name)
        if failed:
            self.failed.add(name)
        again = self._waiting.get(name)  # for what another row evaluates of the same run
        if again is not None and (failed or self.is_done(again)):
            del self._waiting[name]
        return self._drop_blocked()

    def started(self, row: str) -> list[Trial]:
        """Returns a row's trials of the first round, and of later ones those that have ended."""
        group, count = self.trials[row], self.counts[row] + (row in self.growing)
        return [trial for i, trial in enumerate(group[:count]) if i < self.first or self.has_ended(trial)]

    def has_ended(self, trial: Trial) -> bool:
        """Whether a trial neither waits nor runs."""
        return trial.name not in self._waiting and trial.name not in self._running

    def _can_begin(self, trial: Trial) -> bool:
        return trial.start is None or self.is_done(trial.start)

    def _drop_blocked(self) -> list[Trial]:
        """Returns the trials that wait for a failed one, and counts them as failed."""
        blocked = list[Trial]()
        for name, trial in list(self._waiting.items()):  # a trial waits behind the one that it begins with
            if trial.start is not None and trial.start.name in self.failed:
                blocked.append(self._waiting.pop(name))
                self.failed.add(name)
        return blocked

    def _add(self, trial: Trial) -> None:
        self._known.add(trial.name)
        if self.is_done(trial) or trial.name in self.failed:
            return
        if trial.start is not None:
            self._add(trial.start)
            if trial.start.name in self.failed:
                self.failed.add(trial.name)
                return
        first = self._waiting.setdefault(trial.name, trial)  # the same run may be of several rows
        more = tuple(overrides for overrides in trial.evaluations if overrides not in first.evaluations)
        self._waiting[trial.name] = replace(first, evaluations=(*first.evaluations, *more))

    def _advance(self) -> None:
        """Judges the claims whose rows have their seeds; when all have been judged, the next round begins."""
        while True:
            for index, claim in enumerate(self.claims):
                if index not in self._judged and all(
                    self.has_ended(trial) for trial in self._trials_of(claim)
                ):
                    self._judged.add(index)
                    self._judge(claim)
            if len(self._judged) < len(self.claims) or not self.growing:
                return
            for row in self.growing:
                self.counts[row] += 1
            self.round += 1
            rows, undecided = ", ".join(self.growing), len(self.asking)
            self.heading = f"round {self.round}: {undecided} undecided; one more seed for {rows}"
            self._judged, self.growing = set(), []
            self.asking, self.limited = [], []

    def _judge(self, claim: Claim) -> None:
        if any(trial.name in self.failed for trial in self._trials_of(claim)):
            return  # until that is mended, more seeds are of no use
        rows = self.rows_to_extend(claim, self.counts)
        needed = [row for row in self.trials if row in rows]
        possible = [row for row in needed if self.counts[row] < len(self.trials[row])]
        if possible:
            self.asking.append(claim)
        elif needed:
            self.limited.append(claim)
        for row in possible:
            if row not in self.growing:
                self.growing.append(row)
                self._add(self.trials[row][self.counts[row]])

    def _trials_of(self, claim: Claim) -> list[Trial]:
        """Returns the trials of a round by which a claim is judged."""
        rows = (claim.row, *(claim.others if isinstance(claim, Comparison) else ()))
        return [trial for row in rows if row in self.trials for trial in self.trials[row][: self.counts[row]]]
