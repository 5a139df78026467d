"""From a suite to its runs: their overrides and the order of these, multiplied values, and which runs are the same."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import pytest
from helpers.tiny_suites import write_suite
from PIL import Image

from ssl_zoo.config.compose import compose
from ssl_zoo.config.mapping import config_hash
from ssl_zoo.errors import UserError
from ssl_zoo.suites import plan
from ssl_zoo.suites.multiply import without_repetition
from ssl_zoo.suites.options import read_bench
from ssl_zoo.suites.plan import Planner, Row
from ssl_zoo.suites.read import read_suite


@pytest.fixture
def rows(tmp_path: Path) -> Any:
    """Composes the rows of a suite: its changes to `a_suite`, the user's overrides, and how it is run."""

    def composed(
        *overrides: str,
        budget: str = "quick",
        experiments: str | None = None,
        threads: int | None = None,
        **changes: Any,
    ) -> dict[str, Row]:
        changes = {"base": "method=simsiam", "claims": None, "rows": {"one": {}}, **changes}
        suite = read_suite(str(write_suite(tmp_path / "mine.yaml", **changes)))
        return {row.name: row for row in Planner(suite, budget, overrides, experiments, threads).rows()}

    return composed


def test_later_overrides_win(rows: Any) -> None:
    """Base, data, budget, row, user: each sets all keys that come after it."""
    keys = ("seed", "data.limit", "monitor.every_epochs", "monitor.samples", "monitor.labelled_samples")
    blocks = [" ".join(f"{key}={level}" for key in keys[level - 1 :]) for level in range(1, 4)]
    found = rows(
        "monitor.every_epochs=5",
        base=blocks[0],
        overrides_by_data={"digits": blocks[1], "cifar10": "monitor.labelled_samples=9"},
        quick={"overrides": blocks[2]},
        full={"overrides": "monitor.labelled_samples=9"},
        rows={"one": {"overrides": "monitor.samples=4 monitor.labelled_samples=4"}},
    )["one"]
    config = found.config
    watched = config.monitor
    assert (config.seed, config.data.limit) == (1, 2)
    assert (watched.every_epochs, watched.samples, watched.labelled_samples) == (5, 4, 4)
    assert found.row_overrides == ("monitor.samples=4", "monitor.labelled_samples=4")
    assert [override for override in found.overrides if override.startswith("monitor.every_epochs")] == [
        "monitor.every_epochs=5"
    ]
    assert config_hash(compose(found.overrides)) == config_hash(config)


def test_a_rows_overrides_by_data_are_its_own(rows: Any) -> None:
    two = {
        "one": {"overrides": "batch_size=8 epochs=4", "overrides_by_data": {"digits": "epochs=5"}},
        "other": {},
    }
    found = rows(rows=two)
    assert [(row.config.batch_size, row.config.epochs) for row in found.values()] == [(8, 5), (64, 30)]
    assert found["one"].row_overrides == ("batch_size=8", "epochs=5")
    assert rows("data=cifar10", rows=two, budget="full")["one"].config.epochs == 4
    with pytest.raises(UserError, match="sets rows of this suite apart"):
        rows("epochs=9", rows=two)


def test_what_a_budget_means_where_a_suite_says_nothing(rows: Any) -> None:
    small = compose(["recipe=small", "data=cifar10"]).epochs
    for budget, data, expected in (
        ("quick", "digits", (30, None, "digits/simsiam", None)),
        ("full", "digits", (30, None, "digits/simsiam", None)),
        ("quick", "cifar10", (small, 10000, "small/simsiam", None)),
        ("quick", "cifar100", (small, 10000, "small/simsiam", None)),
        ("quick", "stl10", (5, 10000, None, None)),  # of 100 a twentieth
        ("full", "cifar10", (800, None, None, "cifar10/simsiam")),
    ):
        config = rows(f"data={data}", budget=budget)["one"].config
        assert (config.epochs, config.data.limit, config.recipe, config.experiment) == expected
        assert config.data.name == data


def test_quick_on_cifar_trains_each_row_by_its_methods_small_recipe(rows: Any) -> None:
    """Unless an experiment or a recipe is named: then by that, a twentieth as long."""
    two = {"rows": {"one": {}, "two": {"overrides": "method=byol"}}}
    found = rows("data=cifar10", **two)
    assert [row.config.recipe for row in found.values()] == ["small/simsiam", "small/byol"]
    assert all(compose(row.overrides) == row.config for row in found.values())
    assert [row.config.epochs for row in rows("data=cifar10", experiments="cifar10", **two).values()] == [
        40,
        40,
    ]
    named = rows("data=cifar10", "experiment=cifar10/simsiam")["one"].config
    assert (named.recipe, named.experiment, named.epochs) == (None, "cifar10/simsiam", 40)
    assert rows("data=cifar10", "recipe=null")["one"].config.backbone.name == "resnet18"
    asked = rows("data=stl10", "recipe=small")["one"].config
    assert (asked.recipe, asked.epochs, asked.data.limit) == (
        "small/simsiam",
        found["one"].config.epochs,
        10000,
    )


@pytest.mark.parametrize(("side", "recipe"), [(32, "small/simsiam"), (64, "small/simsiam"), (65, None)])
def test_quick_takes_the_small_recipe_for_folders_of_small_images(
    rows: Any, tmp_path: Path, side: int, recipe: str | None
) -> None:
    for name in ("a/1.png", "b/2.png"):
        file = tmp_path / "photos" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (side, side)).save(file)
    overrides = ("data=imagefolder", f"data.train={tmp_path / 'photos'}")
    assert rows(*overrides)["one"].config.recipe == recipe
    assert rows(*overrides, budget="full")["one"].config.recipe is None


def test_times(rows: Any) -> None:
    """Exact multiples of what the row would have had, whole numbers and others."""
    factors = {"batch_size": "1/8", "optimizer.lr": "1/3", "optimizer.weight_decay": 0.5}
    found = rows(
        base="method=simsiam batch_size=24 optimizer.lr=0.3 optimizer.weight_decay=0.001",
        rows={
            "base": {},
            "less": {"multiply": factors},
            "own": {"overrides": "epochs=7", "multiply": {"epochs": 3}},
        },
    )
    less = found["less"].config
    assert (less.batch_size, type(less.batch_size)) == (3, int)
    assert less.optimizer.lr == 0.1, "in floats 0.3 / 3 is 0.09999999999999999"
    assert less.optimizer.weight_decay == 0.0005
    assert found["less"].row_overrides == (
        "batch_size=3",
        "optimizer.lr=0.1",
        "optimizer.weight_decay=0.0005",
    )
    assert found["base"].config.batch_size == 24
    assert found["own"].config.epochs == 21


def test_a_rows_times_are_of_the_users_value(rows: Any) -> None:
    found = rows("batch_size=64", rows={"one": {}, "two": {"multiply": {"batch_size": 2}}})
    assert [row.config.batch_size for row in found.values()] == [64, 128]


def test_a_users_word_does_not_undo_a_row(rows: Any) -> None:
    """Else the row would have another's name, and the paper's figure beside it."""
    one = {"rows": {"one": {}, "two": {"overrides": "method.predictor.kind=identity"}}}
    for override in ("method.predictor.kind=linear", "method.predictor={kind:linear}"):
        with pytest.raises(
            UserError, match=r"'method\.predictor\.kind' is what sets rows .* apart; received 'method"
        ):
            rows(override, **one)
    assert rows("method=byol", "method.symmetric=false", **one)["two"].config.method.name == "byol"
    for override in ("data.limit=5", "seed=3", "trainer.threads=2", "data=cifar10"):
        with pytest.raises(UserError, match="is the same for all rows"):
            rows(rows={"one": {"overrides": override}})


def test_rows_that_must_agree(rows: Any) -> None:
    suite = {
        "equal_keys": ["augment", "optimizer.lr"],
        "base": "",
        "rows": {"a": {"overrides": "method=simsiam"}},
    }
    rows(**suite)
    suite["rows"]["b"] = {"overrides": "method=byol"}
    with pytest.raises(
        UserError, match=r"must agree in optimizer\.lr; received 3.2 in a, 0.4 in b; set optimizer\.lr=VALUE"
    ):
        rows("augment.crop.interpolation=bilinear", **suite)
    with pytest.raises(
        UserError, match=r"must agree in augment\.crop\.interpolation; received bilinear in a"
    ):
        rows("optimizer.lr=0.4", **suite)
    rows("optimizer.lr=0.4", "augment.crop.interpolation=bilinear", **suite)


def test_the_quick_limit_is_at_most_what_is_there(rows: Any, tmp_path: Path, monkeypatch: Any) -> None:
    for name in ("a/1.jpg", "b/2.jpg", "b/3.jpg"):
        file = tmp_path / "photos" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()
    overrides = ("data=imagefolder", f"data.train={tmp_path / 'photos'}")
    assert rows(*overrides)["one"].config.data.limit is None
    usual = plan.BudgetConfig(overrides="data.limit=2")  # type: ignore[attr-defined]
    monkeypatch.setitem(plan.USUAL, ("quick", None), usual)
    assert rows(*overrides)["one"].config.data.limit == 2


def test_rows_on_small_images_are_those_of_train(rows: Any, tmp_path: Path) -> None:
    for name in ("a/1.png", "b/2.png"):
        file = tmp_path / "photos" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (32, 32)).save(file)
    overrides = ("data=imagefolder", f"data.train={tmp_path / 'photos'}", "backbone.name=test_resnet")
    row = rows(*overrides, budget="full")["one"]
    assert (row.config.augment.size, row.config.backbone.stem) == (32, "small")
    assert compose(row.overrides) == row.config


def test_warmup_is_shortened_with_the_epochs(rows: Any) -> None:
    """Else a quick run on ImageNet would end before its rate has reached the peak."""
    config = rows("data=imagefolder", "data.train=photos", base="method=byol")["one"].config
    assert (config.epochs, config.optimizer.warmup_epochs) == (5, 0.5)


def test_a_whole_number_stays_one(rows: Any) -> None:
    message = (
        r"epochs must stay a whole number of 1 or more; 10 times 1/4 is 2\.5; .*\(row 'one' of .*mine\.yaml\)"
    )
    with pytest.raises(UserError, match=message):
        rows(base="method=simsiam epochs=10", rows={"one": {"multiply": {"epochs": "1/4"}}})
    with pytest.raises(UserError, match=r"method\.symmetric' is True"):
        rows(rows={"one": {"multiply": {"method.symmetric": 2}}})


def test_a_budgets_times(rows: Any) -> None:
    """Of each row's own value, on top of what the budget means for the data; the user's value stays as it is."""
    changes = {
        "quick": {"multiply": {"epochs": "1/5"}},
        "rows": {"one": {}, "double": {"multiply": {"epochs": 2}}},
    }
    long = {**changes, "rows": {"long": {"overrides": "epochs=80"}}}
    assert rows(**long)["long"].config.epochs == 16
    assert [row.config.epochs for row in rows(**changes).values()] == [6, 12]
    assert [row.config.epochs for row in rows(budget="full", **changes).values()] == [30, 60]
    assert [row.config.epochs for row in rows("epochs=7", **changes).values()] == [7, 14]
    # 800 / 20 / 5, and 80 / 20 / 5
    cifar: dict[str, Any] = {"experiments": "cifar10"}
    assert [row.config.epochs for row in rows("data=cifar10", **cifar, **changes).values()] == [8, 16]
    assert rows("data=cifar10", **cifar, **long)["long"].config.epochs == 1


def test_another_method_than_the_suites(rows: Any) -> None:
    """The user's comes last, with its own recipe or experiment, and lengths are multiples of those."""
    recipe = compose(["method=moco", "data=digits"])
    quick = {"multiply": {"epochs": "1/2"}}
    digits = rows("method=moco", quick=quick)["one"].config
    assert (digits.method.name, digits.epochs) == ("moco", recipe.epochs // 2)
    experiment = compose(["experiment=cifar10/moco"])
    cifar = rows("method=moco", "data=cifar10", experiments="cifar10", quick=quick)["one"].config
    assert (cifar.method.name, cifar.experiment) == ("moco", "cifar10/moco")
    assert cifar.epochs == experiment.epochs // 40


def test_experiments(rows: Any) -> None:
    """Rows start from their method's, on the data's own or on other data; what a person names stays."""
    two = {"rows": {"one": {}, "two": {"overrides": "method=byol"}}, "budget": "full"}
    found = rows("data=cifar10", **two)
    assert [row.config.experiment for row in found.values()] == ["cifar10/simsiam", "cifar10/byol"]
    overrides = ("data=imagefolder", "data.train=photos")
    assert {row.config.experiment for row in rows(*overrides, **two).values()} == {None}
    on = {"cifar10": "monitor.samples=77", "imagefolder": "monitor.samples=88"}
    found = rows(*overrides, experiments="cifar10", overrides_by_data=on, **two)
    assert [row.config.experiment for row in found.values()] == ["cifar10/simsiam", "cifar10/byol"]
    for row in found.values():
        assert (row.config.data.name, row.config.data.train) == ("imagefolder", "photos")
        assert (row.config.augment.size, row.config.backbone.name) == (32, "resnet18")
        assert row.config.monitor.samples == 77, "the suite's overrides for that data come along"
    # ImageNet's say what the methods' defaults say, but for lengths that differ between papers.
    assert rows("data=imagenet", budget="full")["one"].config.experiment is None
    named = rows("data=cifar10", "experiment=cifar10/byol", "method=byol", budget="full")
    assert named["one"].config.experiment == "cifar10/byol"
    with pytest.raises(UserError, match="experiments must be one of cifar10, imagenet; received 'digits'"):
        rows(experiments="digits")


def test_the_data_of_a_suite_of_ones_own(rows: Any) -> None:
    found = rows(base="method=simsiam data=cifar10")["one"].config
    assert (found.data.name, found.recipe) == ("cifar10", "small/simsiam")
    assert rows("data=digits", base="method=simsiam data=cifar10")["one"].config.data.name == "digits"


def test_only_some_rows(rows: Any) -> None:
    changes = {
        "rows": {"one": {}, "two": {"only_data": ["cifar10"]}, "three": {"only_data": ["cifar10", "digits"]}},
        "quick": {"rows": ["three", "two"]},
    }
    assert list(rows(budget="full", **changes)) == ["one", "three"]
    assert list(rows(budget="full", **changes)) == ["one", "three"]
    assert list(rows("data=cifar10", budget="full", **changes)) == ["one", "two", "three"]
    assert list(rows(**changes)) == ["three"]
    with pytest.raises(UserError, match="has no row for data=digits; choose other data"):
        rows(rows={"two": {"only_data": ["cifar10"]}})


SWITCHES = {
    "flip": {"on": "augment.flip=0.25", "off": "augment.flip=0.0"},
    "grey": {"off": ["augment.grayscale=0.0"]},
    "blur": {"on": "augment.blur.p=0.75"},
    "jitter": {"on": "augment.jitter.p=0.5", "off": "augment.jitter.p=0.0"},
}


def test_pairs(rows: Any, tmp_path: Path) -> None:
    """Each switch alone and each two of them: n + n (n - 1) / 2 rows, with the overrides of the others off."""
    base = "method=simsiam augment.flip=0.9 augment.grayscale=0.8 augment.blur.p=0.0 augment.jitter.p=0.7"
    found = rows(rows=None, base=base, pairs=SWITCHES, budget="full")
    names = list(SWITCHES)
    expected = [(name,) for name in names] + list(itertools.combinations(names, 2))
    assert list(found) == ["+".join(pair) for pair in expected]
    assert len(found) == 4 + 4 * 3 // 2
    for pair in expected:
        view = found["+".join(pair)].config.augment
        assert (view.flip, view.grayscale, view.blur.p, view.jitter.p) == (
            0.25 if "flip" in pair else 0.0,
            0.8 if "grey" in pair else 0.0,
            0.75 if "blur" in pair else 0.0,
            0.5 if "jitter" in pair else 0.0,
        )
    few = {"switches": ["blur", "flip"]}
    assert list(rows(rows=None, base=base, pairs=SWITCHES, quick=few)) == ["flip", "blur", "flip+blur"]


def test_one_configuration_is_one_run(rows: Any) -> None:
    """However it is written; a run's folder is named by what it computes."""
    found = rows(
        threads=1,
        rows={
            "one": {},
            "same": {"overrides": "optimizer.lr=3.2 epochs=30"},  # the recipe's
            "other": {"overrides": "optimizer.lr=1.5"},
            "there": {"overrides": "data.cache_mb=0 trainer.log_every_steps=7"},  # another way to the same
        },
    )
    trials = {name: row.trial(0) for name, row in found.items()}
    assert trials["one"].name == trials["same"].name == trials["there"].name
    assert trials["one"].name != trials["other"].name
    assert trials["one"].name == f"digits-simsiam-s0-{config_hash(found['one'].config)}"


def test_seeds(rows: Any) -> None:
    """The same overrides but for the seed, which the configuration has too."""
    row = rows(threads=2)["one"]
    assert row.config.trainer.threads == 2
    trials = [row.trial(seed) for seed in range(3)]
    assert len({trial.name for trial in trials}) == 3
    for seed, trial in enumerate(trials):
        assert trial.overrides == (*row.overrides, f"seed={seed}")
        config = compose(trial.overrides)
        assert (config.seed, config_hash(config)) == (seed, trial.hash)
        assert trial.overrides_in(Path("rows")) == list(trial.overrides)


def test_a_row_before_its_training(rows: Any) -> None:
    found = rows(evaluate=["knn", "few_labels"], rows={"scratch": {"weights": "random"}, "trained": {}})
    protocols = [["protocol=knn", "knn.k=5"], ["protocol=few_labels"]]
    scratch, trained = (found[name].trial(0, protocols) for name in ("scratch", "trained"))
    assert scratch.name == trained.name
    assert scratch.evaluations == (
        ("protocol=knn", "knn.k=5", "weights=random"),
        ("protocol=few_labels", "weights=random"),
    )
    assert trained.evaluations == (("protocol=knn", "knn.k=5"), ("protocol=few_labels",))


def test_repeated_overrides_are_dropped_unless_their_order_counts() -> None:
    overrides = ["epochs=1", "seed=2", "epochs=3", "method=byol", "method=moco"]
    assert without_repetition(overrides) == ["epochs=3", "seed=2", "method=moco"]
    blocks = ["augment.blur.p=1.0", "augment.blur={p:0.5}", "augment.blur.p=0.25", "epochs=1", "epochs=2"]
    assert without_repetition(blocks) == blocks
    assert compose(blocks).augment.blur.p == 0.25


def test_the_overrides_of_the_command() -> None:
    config, evaluation, rest = read_bench(
        [
            "suite=methods", "evaluate=knn,few_labels", "eval.knn.k=[5]", "slurm.cpus=4", "slurm.extra={qos:long}",
            "epochs=3", "data.limit=10", "workers=2", "eval.data=cifar10", "progress=false",
        ]
    )  # fmt: skip
    assert (config.suite, config.seeds, config.budget, config.workers) == ("methods", "auto", "quick", 2)
    assert config.evaluate == ("knn", "few_labels")
    assert read_bench(["suite=methods", "evaluate=knn"])[0].evaluate == ("knn",)
    assert (config.slurm.cpus, config.slurm.gpus, config.slurm.extra) == (4, 1, {"qos": "long"})
    assert evaluation == ["knn.k=[5]", "data=cifar10"]
    assert rest == ["epochs=3", "data.limit=10"]
