"""An optimizer whose state is divided among the processes, and saved whole.

Each process keeps the state of some parameters, steps these, and receives the others, stepped, from the processes that
keep theirs. A parameter's step is computed as by one process, LARS' norms included.

- [0] ZeRO, stage 1: Rajbhandari et al., 2019, https://arxiv.org/abs/1910.02054
"""

from __future__ import annotations

from typing import Any

from torch.distributed.optim import ZeroRedundancyOptimizer

__all__ = ["ShardedStates"]


class ShardedStates(ZeroRedundancyOptimizer):
    """torch's ZeroRedundancyOptimizer, whose checkpoints are those of the optimizer that it divides.

    torch's own keeps the whole state in rank zero's memory after a checkpoint, and what it loads twice in each
    process; and it leaves the fused optimizers' step counts of a GPU on the CPU.
    """

    def state_dict(self) -> dict[str, Any]:
        """Returns the whole state, which `consolidate_state_dict` has gathered in this process."""
        whole: dict[str, Any] = super().state_dict()
        self._all_state_dicts: list[dict[str, Any]] = []
        return whole

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Takes this process's part of a whole state, of however many processes."""
        saved, groups = state_dict["state"], state_dict["param_groups"]
        parameters = [parameter for group in self.param_groups for parameter in group["params"]]
        number = {id(parameter): n for n, parameter in enumerate(parameters)}
        own = self.optim.state_dict()  # numbers this process's parameters
        states = {
            local: saved[number[id(parameter)]]
            for numbers, group in zip(own["param_groups"], self.optim.param_groups, strict=True)
            for local, parameter in zip(numbers["params"], group["params"], strict=True)
            if number[id(parameter)] in saved
        }
        own_groups = [
            {**group, "params": numbers["params"]}
            for group, numbers in zip(groups, own["param_groups"], strict=True)
        ]
        self.optim.load_state_dict({"state": states, "param_groups": own_groups})
        for group, settings in zip(self.param_groups, groups, strict=True):
            group.update({key: value for key, value in settings.items() if key != "params"})
