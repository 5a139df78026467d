"""method=joint_embedding: lightly's losses, their arguments, and what they keep from step to step.

Two processes against one: tests/test_distributed.py, for every loss.
"""

from __future__ import annotations

import copy
import dataclasses
import importlib
import inspect
import os
import pkgutil
from pathlib import Path
from typing import Any, get_type_hints

import lightly.loss
import pytest
import torch
from helpers.methods import build_joint_embedding, index, make_views, progress
from helpers.runs import TINY
from lightly.loss.hypersphere_loss import HypersphereLoss
from torch import Tensor, nn

import ssl_zoo
from ssl_zoo.config.compose import compose
from ssl_zoo.config.mapping import from_yaml, to_yaml
from ssl_zoo.config.schema import CRITERIA
from ssl_zoo.config.schema.criterion import NO_CRITERIA, criterion_config
from ssl_zoo.config.validate import written_value
from ssl_zoo.errors import Interrupted, UserError
from ssl_zoo.run_dir.saved_run import open_run
from ssl_zoo.testing.stopping import stopped_after

GUIDE = Path(__file__).parents[1] / "docs" / "guide.md"
CLOSE = {"rtol": 1e-6, "atol": 1e-6}
ARGUMENTS: dict[str, dict[str, Any]] = {  # other than the defaults
    "BarlowTwinsLoss": {"lambda_param": 0.1},
    "DCLLoss": {"temperature": 0.3},
    "DCLWLoss": {"temperature": 0.3, "sigma": 0.8},
    "DirectCLRLoss": {"loss_dim": 5, "temperature": 0.2},
    "HypersphereLoss": {"t": 2.0, "lam": 0.5, "alpha": 1.5},
    "MACLLoss": {"temperature": 0.2, "alpha": 0.3, "A_0": 0.1},
    "NTXentLoss": {"temperature": 0.2},
    "NegativeCosineSimilarity": {},
    "TiCoLoss": {"beta": 0.7, "rho": 3.0},
    "VICRegLoss": {"lambda_param": 3.0, "mu_param": 2.0, "nu_param": 0.5, "eps": 1e-3},
}


def lightlys(name: str) -> type[nn.Module]:
    found: type[nn.Module] = getattr(lightly.loss, name, HypersphereLoss)
    assert found.__name__ == name
    return found


def build(name: str, *overrides: str, seed: int = 0, **arguments: Any) -> Any:
    given = [f"method.criterion.{key}={value}" for key, value in arguments.items()]
    return build_joint_embedding(f"method.criterion.name={name}", *given, *overrides, seed=seed)


@pytest.mark.filterwarnings("ignore:To copy construct from a tensor")  # lightly's DCLW by itself
@pytest.mark.parametrize("name", CRITERIA)
def test_loss_and_gradient_are_lightlys(name: str) -> None:
    method, views = build(name, "method.loss_scale=0.5", **ARGUMENTS[name]), make_views()
    criterion = lightlys(name)(**ARGUMENTS[name])
    expected = 0.5 * criterion(*(method.encoder(view) for view in views))
    ours = method.loss(views, index()).loss
    torch.testing.assert_close(ours, expected, **CLOSE)
    parameters = [*method.encoder.parameters()]
    for a, b in zip(
        torch.autograd.grad(ours, parameters), torch.autograd.grad(expected, parameters), strict=True
    ):
        torch.testing.assert_close(a, b, **CLOSE)
    if ARGUMENTS[name]:
        assert abs(build(name, "method.loss_scale=0.5").loss(views, index()).loss - ours) > 1e-3, (
            "they are read"
        )


def test_vicreg_against_loops() -> None:
    """Equations 1 to 6 of its paper, with its weights."""
    method, views = build("VICRegLoss"), make_views()
    z = [method.encoder(view) for view in views]  # (6, 8) each
    images, channels = z[0].shape
    invariance = torch.stack([(a - b).square().mean() for a, b in zip(*z, strict=True)]).mean()
    variance, covariance = torch.zeros(()), torch.zeros(())
    for side in z:
        centred = [[side[n, d] - side[:, d].mean() for d in range(channels)] for n in range(images)]
        for i in range(channels):
            for j in range(channels):
                c = torch.stack([row[i] * row[j] for row in centred]).sum() / (images - 1)
                if i == j:
                    variance = variance + torch.relu(1 - (c + 1e-4).sqrt()) / channels / 2
                else:
                    covariance = covariance + c**2 / channels
    ours = method.loss(views, index()).loss
    torch.testing.assert_close(ours, 25 * invariance + 25 * variance + covariance, rtol=1e-5, atol=1e-5)


def test_dcl_against_loops() -> None:
    """Equation 6 of its paper: the positive pair is no term of the denominator."""
    method, views = build("DCLLoss", temperature=0.2), make_views()
    z = [nn.functional.normalize(method.encoder(view), dim=1) for view in views]
    terms = []
    for k, other in ((0, 1), (1, 0)):
        for i in range(6):
            negatives = [(z[k][i] @ z[side][n] / 0.2).exp() for side in (0, 1) for n in range(6) if n != i]
            terms.append(-(z[k][i] @ z[other][i]) / 0.2 + torch.stack(negatives).sum().log())
    torch.testing.assert_close(
        method.loss(views, index()).loss, torch.stack(terms).mean(), rtol=1e-5, atol=1e-5
    )


def test_no_loss_over_two_embeddings_is_left_out() -> None:
    """A new one in a later version of lightly belongs into one of the two tables."""
    found = set()
    for module in pkgutil.iter_modules(lightly.loss.__path__, "lightly.loss."):
        for name, loss in vars(importlib.import_module(module.name)).items():
            if not inspect.isclass(loss) or loss.__module__ != module.name or not issubclass(loss, nn.Module):
                continue
            hints = get_type_hints(loss.forward)
            needed = [
                parameter.kind is parameter.POSITIONAL_OR_KEYWORD and hints[parameter.name] is Tensor
                for parameter in [*inspect.signature(loss.forward).parameters.values()][1:]
                if parameter.default is parameter.empty
            ]
            found |= {name} if needed == [True, True] else set()
    assert found == {*CRITERIA, *NO_CRITERIA}
    assert not {*CRITERIA} & {*NO_CRITERIA}


@pytest.mark.parametrize("name", CRITERIA)
def test_only_ticos_covariance_outlives_a_step(name: str) -> None:
    """A loss that kept more than the state dict holds would give another value the second time."""
    method, views = build(name), make_views()
    before = copy.deepcopy(method.criterion)
    for _ in range(2):
        method.loss(make_views(seed=5), index())
        method.after_step(progress())
    kept = {key: value for key, value in method.criterion.state_dict().items() if value.any()}
    assert [*kept] == (["loss.C"] if name == "TiCoLoss" else [])
    before.load_state_dict(method.criterion.state_dict())
    assert method.loss(views, index()).loss == before(*(method.encoder(view) for view in views))


def test_tico_moves_once_per_step_as_lightlys_on_the_whole_batch() -> None:
    method, criterion = (
        build("TiCoLoss", **ARGUMENTS["TiCoLoss"]),
        lightlys("TiCoLoss")(**ARGUMENTS["TiCoLoss"]),
    )
    for step in range(3):
        views = make_views(images=12, seed=step)
        parts = [[view[half] for view in views] for half in (slice(0, 6), slice(6, 12))]
        covariance = method.criterion.loss.C.clone()
        losses = [method.loss(part, index()).loss for part in parts]  # two accumulated batches
        assert torch.equal(method.criterion.loss.C, covariance)
        with torch.no_grad():
            z = [[method.encoder(view) for view in part] for part in parts]
            before = copy.deepcopy(criterion)
            criterion(*(torch.cat(sides) for sides in zip(*z, strict=True)))
            for loss, part in zip(losses, z, strict=True):
                torch.testing.assert_close(loss, before(*part, update_covariance_matrix=False), **CLOSE)
        method.after_step(progress(step))
        torch.testing.assert_close(method.criterion.loss.C, criterion.C, **CLOSE)
    method.eval()
    method.loss(make_views(), index())
    method.after_step(progress())
    torch.testing.assert_close(method.criterion.loss.C, criterion.C, **CLOSE)


def test_tico_resumes_to_the_bit() -> None:
    def train(method: Any, steps: range) -> None:
        for step in steps:
            method.zero_grad()
            method.loss(make_views(seed=step), index()).loss.backward()
            with torch.no_grad():
                for weight in method.parameters():
                    weight -= 0.1 * weight.grad
            method.after_step(progress(step))

    whole, begun, resumed = (build("TiCoLoss", seed=seed) for seed in (0, 0, 1))
    train(whole, range(4))
    train(begun, range(2))
    resumed.load_state_dict(copy.deepcopy(begun.state_dict()))
    train(resumed, range(2, 4))
    state = whole.state_dict()
    assert "criterion.loss.C" in state
    assert all(torch.equal(state[name], value) for name, value in resumed.state_dict().items())
    assert not torch.equal(state["criterion.loss.C"], begun.state_dict()["criterion.loss.C"])


@pytest.mark.slow
def test_a_stopped_run_continues_to_the_bit(tmp_path: Path) -> None:
    """In the middle of an epoch, with two batches to an optimizer step."""
    tico = ["method=joint_embedding", "method.criterion.name=TiCoLoss", *TINY, "trainer.accumulate=2"]
    whole, stopped = ([*tico, "optimizer.warmup_epochs=0", f"run_dir={tmp_path / name}"] for name in "ab")
    ssl_zoo.train(whole, silent=True)
    with stopped_after(4), pytest.raises(Interrupted):
        ssl_zoo.train(stopped, silent=True)
    ssl_zoo.train([stopped[-1], "resume=auto"], silent=True)
    a, b = (open_run(str(tmp_path / name)).weights for name in "ab")
    assert a["criterion.loss.C"].any()
    assert a.keys() == b.keys()
    assert all(torch.equal(value, b[name]) for name, value in a.items())


@pytest.mark.parametrize("name", CRITERIA)
def test_losses_are_float32_under_autocast(name: str) -> None:
    method, views = build(name), make_views()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss = method.loss(views, index()).loss
    assert loss.dtype == torch.float32
    assert loss.isfinite()


REFUSED = {
    "method.criterion.lambda_parm=1": r"unknown key 'method\.criterion\.lambda_parm'; with VICRegLoss there are name, "
    r"lambda_param, .*; did you mean 'lambda_param'\?",
    "method.criterion.lambda_param=x": r"method\.criterion\.lambda_param must be a number; received 'x'",
    "method.criterion.gather_distributed=true": "cannot be set: both sides are gathered .*; received True",
    "method.criterion={name: NTXentLoss, memory_bank_size: 8}": "memory_bank_size cannot be set: .* no checkpoint",
    "method.criterion={name: DCLLoss, weight_fn: x}": "weight_fn cannot be set: a YAML file holds no such value",
    "method.criterion={name: MACLLoss, alpha: 2}": r"method\.criterion: Alpha must be in the range \[0, 1\]",
    "method.criterion.name=lightly.loss.VICRegLoss": "BarlowTwinsLoss, DCLLoss, .*; did you mean 'VICRegLoss'",
    "method.criterion.name=os.system": "must be one of lightly's losses over two embeddings .*; received 'os.system'$",
    "method.criterion.name=torch": "received 'torch'",
    "method.criterion.name=DINOLoss": "received 'DINOLoss', which takes teacher_out, student_out, teacher_temp, epoch",
    "method.criterion.name=MMCRLoss": r"received 'MMCRLoss', which takes \(N, views, D\) of an encoder and",
    "method.criterion={name: VICRegLoss, 1: 2}": r"unknown key 'method\.criterion\.1'; with VICRegLoss there are",
    "method.criterion.name=3": r"method\.criterion\.name must be text; received 3",
    "method.criterion=VICRegLoss": r"method\.criterion must be a block of keys; received 'VICRegLoss'",
    "method.stop_gradient=true": r"unknown key 'method\.stop_gradient'",
    "augment.views={a: {count: 3}}": "compares two views of an image; received 3; set augment.views=null",
}


@pytest.mark.parametrize("override", REFUSED)
def test_what_is_refused(override: str) -> None:
    base = [] if "{name" in override else ["method.criterion={name: VICRegLoss}"]
    with pytest.raises(UserError, match=REFUSED[override]):
        compose(["method=joint_embedding", *base, override])


def test_a_configuration_holds_all_arguments() -> None:
    """So a run says what it was, whatever the defaults of later versions."""
    config = compose(["method=joint_embedding", "method.criterion={name: TiCoLoss, rho: 4}"])
    assert dataclasses.asdict(config.method.criterion) == {"name": "TiCoLoss", "beta": 0.9, "rho": 4.0}
    assert from_yaml(to_yaml(config)) == config
    assert config.method.label == "joint_embedding of TiCoLoss"


@pytest.mark.parametrize(
    ("method", "criterion", "projector", "optimizer", "length"),
    [
        (
            "vicreg",
            {"name": "VICRegLoss", "lambda_param": 25, "mu_param": 25, "nu_param": 1, "eps": 1e-4},
            (3, 8192, 8192, False),
            ("lars", 0.2, "linear", 1e-6, 10, 0.001),
            (2048, 100),
        ),
        (
            "dcl",
            {"name": "DCLLoss", "temperature": 0.1},
            (2, 2048, 128, True),
            ("lars", 0.075, "sqrt", 1e-6, 10, 0),
            (256, 200),
        ),
    ],
)
def test_settings_of_the_papers(
    method: str, criterion: dict[str, Any], projector: Any, optimizer: Any, length: tuple[int, int]
) -> None:
    config = compose([f"method={method}", "data=imagenet", "data.train=here"])
    assert dataclasses.asdict(config.method.criterion) == criterion
    p, o = config.method.projector, config.optimizer
    assert (p.layers, p.hidden_dim, p.output_dim, p.bn_output) == projector
    rates = (o.name, o.lr, o.lr_scaling, o.weight_decay, o.warmup_epochs, o.final_lr_fraction)
    assert rates == optimizer
    assert (config.batch_size, config.epochs) == length


def table() -> str:
    """The guide's table of the losses."""
    lines = ["| `method.criterion.name` | arguments | |", "|---|---|---|"]
    for name, note in CRITERIA.items():
        fields = [field for field in dataclasses.fields(criterion_config(name)) if field.name != "name"]
        arguments = ", ".join(f"`{field.name}` {written_value(field.default)}" for field in fields)
        lines.append(f"| {name} | {arguments} | {note} |")
    return "\n".join(lines)


def test_the_guide_lists_the_losses() -> None:
    text = GUIDE.read_text()
    start = text.index(table().partition("\n")[0])
    end = text.index("\n\n", start)
    if os.environ.get("SSL_ZOO_WRITE"):
        text = text[:start] + table() + text[end:]
        GUIDE.write_text(text)
    assert text[start : start + len(table())] == table(), (
        "write it anew: SSL_ZOO_WRITE=1 pytest tests/test_joint_embedding.py"
    )
