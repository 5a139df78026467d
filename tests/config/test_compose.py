"""Overrides and YAML to a typed configuration: precedence, round trip, and every mistake in one message."""

from __future__ import annotations

import dataclasses
import functools
from pathlib import Path
from typing import Any

import pytest
import yaml

from ssl_zoo.config.added_keys import ADDED_KEYS, without_added
from ssl_zoo.config.compose import compose
from ssl_zoo.config.groups import group_dirs, group_names
from ssl_zoo.config.mapping import config_hash, from_mapping, from_yaml, to_mapping, to_yaml
from ssl_zoo.errors import UserError

CONFIGS = group_dirs()[0]


@pytest.mark.parametrize("name", group_names("method"))
@pytest.mark.parametrize("data", ["digits", "cifar10"])
def test_every_method_composes_with_data(name: str, data: str) -> None:
    config = compose([f"method={name}", f"data={data}"])
    off_grid = {"vicreg": "joint_embedding", "dcl": "joint_embedding"}  # YAML files on a method
    assert (config.method.name, config.data.name) == (off_grid.get(name, name), data)


@pytest.mark.parametrize("group", ["data", "recipe", "experiment"])
def test_every_yaml_composes(group: str) -> None:
    for name in group_names(group):
        overrides = [f"{group}={name}"]
        if group == "recipe":
            data, method = name.split("/")
            overrides.append(f"data={'cifar10' if data == 'small' else data}")
            overrides += [] if method == "default" else [f"method={method}"]
        assert compose(overrides).batch_size > 1


def test_a_folder_of_recipes_gives_the_methods_or_the_one_for_any() -> None:
    named = compose(["recipe=small", "method=byol", "data=cifar10"])
    assert named == compose(["recipe=small/byol", "method=byol", "data=cifar10"])
    assert named.recipe == "small/byol"
    assert compose(["recipe=cifar10", "method=byol", "data=cifar10"]).recipe == "cifar10/default"


def test_an_unknown_folder_of_recipes_is_told_the_folders_with_one_for_the_method(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for file in ("smaller/byol", "smallest"):
        path = tmp_path / "recipe" / f"{file}.yaml"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("epochs: 3")
    monkeypatch.setenv("SSL_ZOO_CONFIGS", str(tmp_path))
    anyones = "cifar10, cifar100, digits, huggingface, imagefolder, small, "
    for overrides, there_are, nearest in (
        (["method=simsiam", "recipe=smal"], f"{anyones}smallest, stl10, webdataset", "small"),
        (["method=byol", "recipe=smalle"], f"{anyones}smaller, smallest, stl10, webdataset", "smaller"),
    ):
        with pytest.raises(UserError) as error:
            compose(overrides)
        name = overrides[1].removeprefix("recipe=")
        assert (
            str(error.value) == f"unknown recipe '{name}'; there are {there_are}; did you mean '{nearest}'?"
        )
    with pytest.raises(UserError, match="did you mean 'digits/simsiam'"):
        compose(["recipe=digits/simsim"])
    assert compose(["method=byol", "recipe=smaller"]).recipe == "smaller/byol"


def test_the_small_recipes_differ_in_the_method_and_its_steps_alone() -> None:
    """So the suite `methods` compares them on one footing, and the other suites' rows have equal lengths."""
    names = ["simsiam", "byol", "simclr", "moco", "swav", "mocov3", "nnclr"]
    found = [compose([f"method={name}", "recipe=small", "data=cifar10"]) for name in names]
    for config in found:
        own: dict[str, float] = {"lr": 1.0, "warmup_epochs": 0.0, "weight_decay": 0.0}
        rest: dict[str, Any] = {"method": found[0].method, "recipe": "small", "optimizer": found[0].optimizer}
        assert dataclasses.replace(config, **rest) == dataclasses.replace(found[0], **rest)
        assert dataclasses.replace(config.optimizer, **own) == dataclasses.replace(found[0].optimizer, **own)


def test_no_yaml_is_out_of_reach() -> None:
    reached = {
        f"{group}/{name}.yaml"
        for group in ("method", "data", "recipe", "experiment", "protocol")
        for name in group_names(group)
    }
    assert {file.relative_to(CONFIGS).as_posix() for file in CONFIGS.rglob("*.yaml")} == reached


def test_yaml_headers_say_what_they_are() -> None:
    for file in CONFIGS.rglob("*.yaml"):
        lines = file.read_text().splitlines()
        comments = [line for line in lines if line.startswith("# ")]
        assert comments, f"{file} has no header"


def test_precedence_method_data_recipe_experiment_overrides(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for file, text in {
        "method/own.yaml": "epochs: 1\nbatch_size: 2\nseed: 3\nmonitor: {every_epochs: 4}\nmethod: {name: simsiam}",
        "data/own.yaml": "data: {name: own, source: digits, limit: 500}",
        "recipe/own/default.yaml": "batch_size: 20\nseed: 30\nmonitor: {every_epochs: 40}",
        "recipe/own/own.yaml": "seed: 300\nmonitor: {every_epochs: 400}",
        "experiment/own.yaml": "monitor: {every_epochs: 400, samples: 5000}\nseed: 3000",
    }.items():
        path = tmp_path / file
        path.parent.mkdir(parents=True, exist_ok=True)
        simsiam = yaml.safe_load((CONFIGS / "method/simsiam.yaml").read_text())
        blocks = yaml.safe_load(text)
        if file.startswith("method"):
            blocks = {**simsiam, **blocks, "method": simsiam["method"]}
        path.write_text("# A test.\n" + yaml.safe_dump(blocks))
    monkeypatch.setenv("SSL_ZOO_CONFIGS", str(tmp_path))
    config = compose(["method=own", "data=own", "monitor.every_epochs=4000"])
    assert (config.epochs, config.batch_size, config.seed, config.monitor.every_epochs) == (1, 20, 300, 4000)
    assert config.data.limit == 500
    assert config.recipe == "own/own"
    tried = compose(["method=own", "data=own", "experiment=own", "monitor.every_epochs=4000"])
    assert (tried.batch_size, tried.seed, tried.monitor.every_epochs, tried.monitor.samples) == (
        20,
        3000,
        4000,
        5000,
    )
    assert (tried.recipe, tried.experiment) == ("own/own", "own")
    assert compose(["method=own", "data=own", "recipe=null"]).seed == 30
    searched = compose([f"hydra.searchpath=[{tmp_path}]", "method=own", "data=own"])
    assert searched == compose(["method=own", "data=own"])


def write(folder: Path, name: str, text: str) -> Path:
    file = folder / f"{name}.yaml"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)
    return file


BROKEN = {
    "broken: [": "cannot be read as one: ",
    "epochs: 3\nepochs: 4": "the key 'epochs' stands twice",
    "[seed, 3]": "is a block of keys; ",
    "defaults: [nothing]": "builds on GROUP/nothing: unknown GROUP 'nothing'",
    "defaults: [/methods/byol]": "groups method, data, recipe, experiment; '.*' has '/methods/byol'",
    "defaults: [mine]": "builds on others, not itself",
    "defaults: 3": "lists names of files, .*has 3",
    "defaults: [{data: digits}]": "lists names of files, .*has {'data': 'digits'}",
}


@pytest.mark.parametrize("group", ["method", "data", "recipe", "experiment"])
@pytest.mark.parametrize("text", BROKEN)
def test_a_yaml_that_cannot_be_read(
    group: str, text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path, f"{group}/mine", text)
    monkeypatch.setenv("SSL_ZOO_CONFIGS", str(tmp_path))
    with pytest.raises(UserError, match=BROKEN[text].replace("GROUP", group)):
        compose([f"{group}=mine"])


def test_a_yaml_builds_on_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_ZOO_CONFIGS", str(tmp_path))
    write(tmp_path, "recipe/a", "epochs: 7\nseed: 7")
    write(tmp_path, "recipe/b", "defaults: [a]\nseed: 8")
    write(tmp_path, "recipe/first", "defaults: [_self_, b]\nepochs: 9\noptimizer: {lr: 1e-3}")
    config = compose(["recipe=b"])
    assert (config.epochs, config.seed) == (7, 8)
    config = compose(["recipe=first"])
    assert (config.epochs, config.seed, config.optimizer.lr) == (7, 8, 0.001)
    write(
        tmp_path,
        "experiment/mine",
        "defaults: [override /method: byol, override /recipe: null]\nepochs: ${seed}",
    )
    config = compose(["experiment=mine", "seed=5"])
    assert (config.method.name, config.recipe, config.epochs) == ("byol", None, 5)


def test_data_say_nothing_about_training(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_ZOO_CONFIGS", str(tmp_path))
    write(tmp_path, "data/mine", "data: {name: mine, source: digits}\nepochs: 3")
    with pytest.raises(
        UserError, match=r"of 'mine' has 'epochs' as well; move it to recipe/mine/default\.yaml"
    ):
        compose(["data=mine"])


def test_data_built_on_others_is_trained_as_they_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_ZOO_CONFIGS", str(tmp_path))
    write(tmp_path, "data/pets", "defaults: [cifar10]\ndata: {name: pets}")
    config = compose(["data=pets"])
    assert (config.data.name, config.batch_size, config.backbone.stem) == ("pets", 512, "small")
    write(tmp_path, "recipe/pets/default", "batch_size: 8")
    config = compose(["data=pets"])
    assert (config.batch_size, config.backbone.stem) == (8, "small")


def test_a_method_without_its_keys_builds_on_another(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_ZOO_CONFIGS", str(tmp_path))
    write(tmp_path, "method/mine", "method: {name: byol}")
    with pytest.raises(UserError, match=r"'method.stop_gradient' is missing .* defaults: \[byol, _self_\]"):
        compose(["method=mine"])


def test_the_same_swap_from_overrides_and_from_yaml() -> None:
    overrides = compose(["method=simclr", "method.predictor.kind=mlp"])
    mapping = to_mapping(compose(["method=simclr"]))
    mapping["method"]["predictor"]["kind"] = "mlp"
    assert from_mapping(mapping) == overrides


@pytest.mark.parametrize("name", ["simsiam", "byol", "swav"])
def test_yaml_round_trip(name: str) -> None:
    config = compose([f"method={name}", "data=imagefolder", "data.train=here"])
    assert from_mapping(yaml.safe_load(to_yaml(config))) == config


def test_views_inherit_what_they_do_not_set() -> None:
    one, two = compose(["method=byol", "data=imagefolder", "data.train=x", "augment.flip=0.3"]).augment.flat
    assert (one.blur.p, two.blur.p) == (1.0, 0.1)
    assert (one.solarize.p, two.solarize.p) == (0.0, 0.2)
    assert one.flip == two.flip == 0.3
    assert one.crop == two.crop


def test_multi_crop_is_a_matter_of_views() -> None:
    small = "{count: 6, size: 96, crop: {scale: [0.05, 0.14]}}"
    config = compose(
        [
            "method=swav",
            "data=imagefolder",
            "data.train=x",
            f"augment.views={{large: {{count: 2}}, small: {small}}}",
        ]
    )
    assert [view.size for view in config.augment.flat] == [224] * 2 + [96] * 6


def test_hash_is_of_what_is_computed() -> None:
    base = config_hash(compose())
    watched = ["trainer.progress=false", "trainer.loggers=[]", "trainer.checkpoint_every_steps=3"]
    assert config_hash(compose(["run_dir=elsewhere", *watched])) == base
    for override in ("seed=1", "optimizer.lr=0.1", "method.stop_gradient=false", "epochs=3"):
        assert config_hash(compose([override])) != base


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["method=simsaim"], "unknown method 'simsaim'; there are .*did you mean 'simsiam'"),
        (["data=cfar10"], "unknown data 'cfar10'.*did you mean 'cifar10'"),
        (["recipe=nope"], "unknown recipe 'nope'"),
        (["recipe.epochs=3"], "recipe takes a name"),
        (
            ["method.stop_gradent=false"],
            "unknown key 'method.stop_gradent'; did you mean 'method.stop_gradient'",
        ),
        (["lr=3"], "unknown key 'lr'; did you mean '.*lr'"),
        (["method.lr=3"], "unknown key 'method.lr'; did you mean '.*lr'"),
        (
            ["augment.views.two.blurr.p=1"],
            "unknown key 'augment.views.two.blurr'; did you mean 'augment.blur'",
        ),
        (["epochs=ten"], "epochs must be a whole number; received 'ten'"),
        (["epochs=1.5"], "epochs must be a whole number; received 1.5"),
        (["method.stop_gradient=1"], "method.stop_gradient must be true or false; received 1"),
        (["method.similarity=cos"], "must be one of cosine, .*, info_nce.*; received 'cos'"),
        (["optimizer.lr=-0.1"], "optimizer.lr must be greater than 0.0; received -0.1"),
        (["optimizer.lr=.nan"], "optimizer.lr must be a number|finite"),
        (
            ["augment.blur.p=1.5"],
            "^augment.blur.p must be at most 1.0; received 1.5; set for instance augment.blur.p=0.5$",
        ),
        (["augment.crop.scale=[0.9,0.1]"], "^augment.crop: crop.scale must be .low, high. with low <= high"),
        (
            ["augment.crop.scale=[0.9]"],
            "augment.crop.scale is too short, received .0.9.; set for instance augment.crop.scale=",
        ),
        (["optimizer=sgd"], "optimizer must be a block of keys; received 'sgd'"),
        (["foo"], "written key=value.*received 'foo'"),
        (["--epochs=3"], "written key=value"),
        (["epochs=1,2"], "one value each"),
        (["a b=c"], "cannot be read as key=value.*\"data.train='my folder'\""),
        (["data.train=train[:80%]"], r"cannot be read as key=value.*\"data.train='train\[:80%\]'\""),
        (["method=3"], "method takes a name"),
        (["method=null"], "method takes a name"),
        (["method="], "method takes a name"),
        (["=5"], "written key=value"),
        (["augment=5"], "augment must be a block of keys; received 5"),
        (["augment=0"], "augment must be a block of keys; received 0"),
        (["augment=[]"], r"augment must be a block of keys; received \[\]"),
        (["data.mean={a: 1}"], "data.mean must be a list, .*; received {'a': 1}"),
        (["method.name=byol"], "set method=byol"),
        (["method@x=byol"], "only hydra.searchpath"),
        (["hydra.run.dir=x"], "only hydra.searchpath"),
        (["hydra.searchpath=[/no/such]"], "must name folders; received '/no/such'"),
        (["method.target_views=3"], "at most the number of views, 2; received 3"),
        (["experiment=foo"], "unknown experiment 'foo'; there are cifar10/byol, "),
        (["experiment=imagenet/simsaim"], "did you mean 'imagenet/simsiam'"),
        (
            ["experiment=imagenet/byol", "method=simclr"],
            "^experiment=imagenet/byol has the settings of method=byol and goes with no other; received "
            "method=simclr; leave out one of the two$",
        ),
        (["data=imagefolder", "data.train="], "data.train must be at least 1 character"),
        (["data.mean=[0.5,0.5]"], "one value per channel"),
        (["data.channels=true"], "data.channels must be a whole number; received True"),
        (["data.channels=3.0"], "data.channels must be a whole number; received 3.0"),
        (["data.channels=0"], "data.channels must be at least 1; received 0"),
        (["data.channels=2"], "one value per channel; received 1 and 1 for data.channels=2"),
        (["data.bit_depth=12"], "data.bit_depth must be one of 8, 16; received 12"),
        (["augment.views={one: {}}"], "at least 2 views"),
        (["seed=-1"], "seed must be at least 0"),
        (["augment.jitter.hue=0.2", "augment.jitter.strength=6"], "^augment.jitter: .* at most 0.5"),
    ],
)
def test_mistakes(overrides: list[str], message: str) -> None:
    with pytest.raises(UserError, match=message) as error:
        compose(overrides)
    assert len(str(error.value).splitlines()) == 1, "one mistake, one message"


def test_two_mistakes_two_lines() -> None:
    with pytest.raises(UserError) as error:
        compose(["optimizer.lr=-1", "epochs=ten"])
    assert len(str(error.value).splitlines()) == 2


def test_keys_that_were_added_leave_the_hash_of_earlier_runs() -> None:
    """`earlier_run.yaml` is a run's config.yaml from before the keys of `ADDED_KEYS`, with its hash."""
    config = from_yaml((Path(__file__).parent / "earlier_run.yaml").read_text())
    assert config_hash(config) == "8a95e2c3ff01"


def test_an_added_key_with_another_value_changes_the_hash() -> None:
    assert without_added({"a": {"b": 1}, "method": {"extra_gradient": {"of": "none"}}}) == {"a": {"b": 1}}
    assert config_hash(
        compose(["method.extra_gradient.of=predictor", "method.similarity=dot"])
    ) != config_hash(compose(["method.similarity=dot"]))


def test_the_added_keys_exist_and_their_value_is_the_default() -> None:
    values = to_mapping(compose())
    for path, before in ADDED_KEYS.items():
        assert functools.reduce(lambda block, key: block[key], path.split("."), values) == before
