"""The suites' YAML files: what they quote beside the papers' tables, and all rows composed for three kinds of data."""

from __future__ import annotations

import functools
import re
from typing import Any

import pytest

from ssl_zoo import registry
from ssl_zoo.config.compose import compose
from ssl_zoo.config.mapping import config_hash, to_mapping
from ssl_zoo.config.overrides import read_override
from ssl_zoo.suites.listing import suite_files
from ssl_zoo.suites.plan import Planner, Row
from ssl_zoo.suites.read import read_suite

NAMES = sorted(suite_files())
DATA = ("digits", "cifar10", "imagenet")

# As printed in the papers, read there; in percent, for Table 5 of SimSiam AP50. Suites without any: an empty line.
FIGURES: dict[str, dict[str, float]] = {
    "simsiam_figure2": {"with_stop_gradient": 67.7, "without_stop_gradient": 0.1},
    "unigrad": {"unigrad": 70.3, "simsiam": 68.1, "byol": 66.5, "simclr": 62.7},
    "zhang_table1": {}, "zhang_table2": {}, "zhang_table3": {}, "zhang_table4": {},
    "zhang_figure4": {}, "zhang_figure5": {}, "zhang_figure5b": {}, "zhang_bias": {},
    "vicreg_table4": {"simsiam": 67.9, "no_bn": 35.1},
    "tian_imagenet": {"linear": 68.1, "symmetric": 0.1},
    "tian_table1": {
        "trained": 74.51, "every_1": 40.67, "every_2": 35.29, "every_5": 35.63,
        "every_1-momentum": 39.45, "every_5-momentum": 32.22,
    },
    "tian_table3": {
        "linear": 74.51, "linear_symmetric": 75.09, "linear-momentum": 72.85, "linear_symmetric-momentum": 36.62,
        "mlp": 78.85, "mlp_symmetric": 71.58, "mlp-momentum": 65.98, "mlp_symmetric-momentum": 35.59,
    },
    "tian_table5": {
        "all": 74.51, "predictor_alone": 70.54, "none": 70.62,
        "symmetric-momentum_predictor_alone": 71.12, "symmetric-momentum_none": 43.04,
    },
    "tian_table6": {
        "eps_0": 76.77, "eps_0.01": 77.11, "eps_0.1": 77.86, "eps_0.5": 75.06,
        "shift_0.1": 46.57, "shift_0.05": 65.31, "shift_-0.05": 77.11, "shift_-0.1": 76.46,
        "shift_0.1_every_2": 75.01, "shift_0.05_every_2": 75.10,
        "shift_-0.05_every_2": 76.83, "shift_-0.1_every_2": 76.31,
    },
    "tian_table8": {"trained": 84.49, "direct": 85.21, "direct_every_5": 84.93},
    "simsiam_table1": {"baseline": 67.7, "no_predictor": 0.1, "fixed_predictor": 1.5, "constant_lr": 68.1},
    "simsiam_table2": {
        "batch_0.125": 66.1, "batch_0.25": 67.3, "batch_0.5": 68.1, "batch_1": 68.1,
        "batch_2": 68.0, "batch_4": 67.9, "batch_8": 64.0,
    },
    "simsiam_table3": {"none": 34.6, "hidden_only": 67.4, "default": 68.1, "no_affine": 68.2},
    "simsiam_section4_5": {"cosine": 68.1, "cross_entropy": 63.2},
    "simsiam_section4_6": {"symmetric": 68.1, "asymmetric": 64.8, "asymmetric_2x": 67.3},
    "simsiam_section5_2_multi_step": {"steps_1": 68.1, "steps_10": 68.7, "steps_100": 68.9, "an_epoch": 67.0},
    "simsiam_section5_2_moving_average": {"predictor": 68.1, "no_predictor": 0.1, "moving_average": 55.0},
    "simsiam_table4": {"simclr": 66.5, "moco": 67.4, "byol": 66.5, "swav": 66.5, "simsiam": 68.1},
    "simsiam_table5": {},
    "simsiam_section6_2_simclr": {
        "simclr": 66.5, "simclr+predictor": 66.4, "simclr+predictor+stop_gradient": 66.0,
    },
    "simsiam_section6_2_swav": {"swav": 66.5, "swav+predictor": 65.2},
    "simsiam_section6_2_byol": {"byol": 66.5, "simsiam": 68.1},
    "simsiam_appendix_b": {"d_0.125": 65.3, "d_0.25": 67.2, "d_0.5": 67.5, "d_1": 68.1},
    "simsiam_table_c1": {"simclr": 66.6, "simclr+": 68.3, "moco": 67.5, "moco+": 69.9, "swav": 70.1, "swav+": 70.7},
    "simsiam_appendix_d": {"simclr": 91.1, "simsiam": 91.8},
    "simclr_figure5": {},
    "simclr_table1": {
        "strength_0.125": 59.6, "strength_0.25": 61.0, "strength_0.5": 62.6, "strength_1": 63.2,
        "strength_1+blur": 64.5, "autoaugment": 61.1,
        "supervised_0.125": 77.0, "supervised_0.25": 76.7, "supervised_0.5": 76.5, "supervised_1": 75.7,
        "supervised_1+blur": 75.4, "supervised_autoaugment": 77.1,
    },
    "simclr_figure8": {},
    "moco_figure3": {"queue_0.0625": 59.0, "queue_1": 60.6, "memory_bank_1": 58.0},
    "moco_momentum": {"m_0.9": 55.2, "m_0.99": 57.8, "m_0.999": 59.0, "m_0.9999": 58.9},
    "byol_figure3_batch": {
        "byol_0.0625": 71.8, "byol_0.25": 72.2, "byol_1": 72.5,
        "simclr_0.0625": 64.3, "simclr_0.25": 67.4, "simclr_1": 67.9,
    },
    "byol_figure3_augmentations": {
        "byol": 72.5, "byol-flip": 71.9, "byol-blur": 71.2, "byol-grayscale": 70.3, "byol-jitter": 71.8,
        "byol-colour": 63.4, "byol_crop_colour": 70.7, "byol_crop_only": 59.4,
        "simclr": 67.9, "simclr-flip": 67.3, "simclr-blur": 65.2, "simclr-grayscale": 61.9, "simclr-jitter": 63.7,
        "simclr-colour": 45.7, "simclr_crop_colour": 64.2, "simclr_crop_only": 40.3,
    },
    "byol_table5_target": {"tau_1": 18.8, "tau_0.999": 69.8, "tau_0.99": 72.5, "tau_0.9": 68.4, "no_target": 0.3},
    "methods": {},
    "digits": {},
}  # fmt: skip

# Accuracies and their spreads that a suite may name in its text, besides those of its rows.
IN_TEXT = {
    "tian_table8": {"0.20", "0.23", "0.29"},
    "simsiam_figure2": {"0.1"},
    "vicreg_table4": {"0.1", "34.6"},
    "simsiam_table4": {"68.1"},
    "simsiam_section6_2_byol": {"0.3", "66.9"},
    "simsiam_table5": {"35.9", "74.4", "75.9", "77.1", "75.5", "77.3"},  # AP50, VOC07
    "byol_figure3_batch": {"2.1"},
    "unigrad": {"1.6", "0.4", "3.2", "75.0", "70.9", "56.6"},  # settings tried, and ours
    "byol_figure3_augmentations": {"0.7"},
    "byol_table5_target": {"0.7", "66.9"},
}
SETTINGS = {"0.5", "0.8", "0.3", "0.07", "0.999"}  # rates, temperatures, momenta

# What the rows are on ImageNet, by the papers.
ON_IMAGENET: dict[tuple[str, str], dict[str, Any]] = {
    ("simsiam_table2", "batch_size"): {
        f"batch_{factor}": size
        for factor, size in zip(
            ("0.125", "0.25", "0.5", "1", "2", "4", "8"), (64, 128, 256, 512, 1024, 2048, 4096), strict=True
        )
    },
    ("simsiam_table1", "epochs"): {"baseline": 100},
    ("simsiam_table4", "epochs"): dict.fromkeys(("simclr", "moco", "byol", "swav", "simsiam"), 100),
    ("simsiam_table5", "epochs"): dict.fromkeys(("simclr", "moco", "byol", "swav", "simsiam"), 200),
    ("simsiam_table5", "optimizer.lr"): {"simsiam": 0.05, "simsiam_optimal": 0.5},
    ("simsiam_table5", "optimizer.weight_decay"): {"simsiam": 1e-4, "simsiam_optimal": 1e-5},
    ("simsiam_appendix_b", "method.projector.output_dim"): {
        "d_0.125": 256, "d_0.25": 512, "d_0.5": 1024, "d_1": 2048, "hidden_d": 2048,
    },
    ("simsiam_appendix_b", "method.predictor.hidden_dim"): {"d_0.125": None, "d_1": None, "hidden_d": 2048},
    ("simsiam_table_c1", "epochs"): {"simclr": 200, "simclr+": 200, "moco": 200, "moco+": 200},
    ("simclr_table1", "augment.jitter.strength"): {
        "strength_0.125": 0.125, "strength_0.25": 0.25, "strength_0.5": 0.5, "strength_1": 1.0, "strength_1+blur": 1.0,
        "supervised_0.125": 0.125, "supervised_0.25": 0.25, "supervised_0.5": 0.5, "supervised_1+blur": 1.0,
    },
    ("simclr_table1", "augment.jitter.p"): {
        "strength_1": 0.8, "autoaugment": 0.0, "supervised_0.125": 0.8, "supervised_autoaugment": 0.0,
    },
    ("simclr_table1", "augment.jitter.hue"): {"strength_1": 0.2, "supervised_1": 0.2},
    ("simclr_table1", "augment.blur.p"): {
        "strength_1": 0.0, "strength_1+blur": 0.5, "autoaugment": 0.0, "supervised_1": 0.0, "supervised_1+blur": 0.5,
    },
    ("simclr_table1", "augment.autoaugment"): {
        "strength_1": "none", "autoaugment": "imagenet", "supervised_1": "none", "supervised_autoaugment": "imagenet",
    },
    ("moco_figure3", "method.queue.size"): {"queue_0.015625": 1024, "queue_0.0625": 4096, "queue_1": 65536},
    ("moco_figure3", "method.memory.negatives"): {"memory_bank_0.0625": 4096, "memory_bank_1": 65536},
    ("moco_figure3", "batch_size"): {"end_to_end_0.015625": 1024, "queue_1": 256},
    ("moco_momentum", "method.queue.size"): dict.fromkeys(("m_0", "m_0.9", "m_0.99", "m_0.999", "m_0.9999"), 4096),
    ("byol_figure3_batch", "batch_size"): {
        "byol_0.0625": 256, "byol_0.25": 1024, "byol_1": 4096, "simclr_0.0625": 256, "simclr_1": 4096,
    },
    ("byol_figure3_batch", "epochs"): {"byol_1": 300, "simclr_1": 300},
    ("byol_table5_target", "optimizer.lr"): {"tau_0.99": 0.3, "no_target": 0.3},
    ("byol_table5_target", "method.momentum_encoder.decay"): {
        "tau_1": 1.0, "tau_0.999": 0.999, "tau_0.99": 0.99, "tau_0.9": 0.9, "tau_0": 0.0,
    },
}  # fmt: skip


suite_of = functools.cache(read_suite)


@pytest.fixture(autouse=True)
def _plugins_are_looked_up_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "plugins", functools.cache(registry.plugins))


def look_up(values: Any, key: str) -> Any:
    for part in key.split("."):
        values = values[part]
    return values


@functools.cache
def rows(name: str, data: str, budget: str) -> dict[str, Row]:
    return {row.name: row for row in Planner(suite_of(name), budget, [f"data={data}"], None, 1).rows()}


def test_the_tables_are_of_all_suites() -> None:
    assert set(FIGURES) == set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_a_suite_quotes_its_paper(name: str) -> None:
    suite = suite_of(name)  # its claims are read too
    quoted = {row: config.paper for row, config in suite.rows.items() if config.paper is not None}
    assert quoted == FIGURES[name]
    texts = [suite.config.paper_setting, *suite.config.remarks, *(row.note for row in suite.rows.values())]
    decimals = {found for text in texts for found in re.findall(r"\d+\.\d+", text)}
    assert decimals <= IN_TEXT.get(name, set()) | SETTINGS
    header = suite.file.read_text().partition("title:")[0]
    assert suite.config.source in header or name in ("methods", "digits")
    assert f"\n# ssl-zoo bench suite={name}" in header
    assert 2 <= len(suite.claims) <= 7


@pytest.mark.parametrize("data", DATA)
@pytest.mark.parametrize("name", NAMES)
def test_rows_compose_and_differ(name: str, data: str) -> None:
    found = rows(name, data, "full")
    expected = {
        row
        for row, config in suite_of(name).rows.items()
        if config.only_data is None or data in config.only_data
    }
    assert set(found) == expected
    assert {row.config.data.name for row in found.values()} == {data}
    # As the overrides are written, so is the method: nothing of the data's experiment or recipe replaces it.
    for row in found.values():
        said = [str(value) for key, value in map(read_override, row.overrides) if key == "method"]
        assert row.config.method.name == said[-1]
    if data == "imagenet":
        hashes = {(config_hash(row.config), row.source.weights) for row in found.values()}
        assert len(hashes) == len(found)


@pytest.mark.parametrize("name", NAMES)
def test_the_quick_budget_on_digits(name: str) -> None:
    """It leaves out rows and shortens, and changes nothing else."""
    quick, full = rows(name, "digits", "quick"), rows(name, "digits", "full")
    assert set(quick) <= set(full)
    assert len(quick) > 1
    for row in quick:
        short, long = to_mapping(quick[row].config), to_mapping(full[row].config)
        changed = {key for key in short if short[key] != long[key]}
        assert changed <= {"monitor", "epochs"}


@pytest.mark.parametrize("name", NAMES)
def test_the_quick_budget_on_small_images(name: str) -> None:
    """Each row is trained by the small recipe of its method, whatever the row multiplies or replaces."""
    found = rows(name, "cifar10", "quick")
    assert len(found) > 1
    for row in found.values():
        method = row.config.method.name
        usual = compose([f"method={method}", "data=cifar10", "recipe=small"])
        assert (row.config.recipe, row.config.experiment) == (f"small/{method}", None)
        assert row.config.epochs in {usual.epochs // part for part in (1, 2, 10)}
        assert row.config.augment.size == usual.augment.size


@pytest.mark.parametrize(("name", "key"), ON_IMAGENET)
def test_rows_are_the_papers_on_imagenet(name: str, key: str) -> None:
    found = rows(name, "imagenet", "full")
    expected = ON_IMAGENET[name, key]
    assert {row: look_up(to_mapping(found[row].config), key) for row in expected} == expected


@pytest.mark.parametrize("data", ["digits", "cifar10"])
def test_the_predictor_alone_keeps_the_decay_of_all_weights(data: str) -> None:
    """`${optimizer.weight_decay}` would be read after the row has set it to 0, and the row be that without decay."""
    found = rows("tian_table5", data, "quick")
    decay = found["all"].config.optimizer.weight_decay
    assert decay > 0
    for name in ("predictor_alone", "symmetric-momentum_predictor_alone"):
        config = found[name].config
        assert (config.optimizer.weight_decay, config.method.predictor.weight_decay) == (0.0, decay)


def test_what_augmentations_leave_on_imagenet() -> None:
    """No view keeps what a row removes, BYOL's two kinds of views included."""
    found = rows("byol_figure3_augmentations", "imagenet", "full")
    for method in ("byol", "simclr"):
        for view in found[f"{method}-blur"].config.views:
            assert (view.blur.p, view.jitter.p, view.grayscale, view.flip) == (0.0, 0.8, 0.2, 0.5)
        for view in found[f"{method}-colour"].config.views:
            assert (view.jitter.p, view.grayscale, view.flip, view.blur.p > 0) == (0.0, 0.0, 0.5, True)
        for part in ("crop_colour", "crop_only"):
            for view in found[f"{method}_{part}"].config.views:
                colour = (0.8, 0.2) if part == "crop_colour" else (0.0, 0.0)
                assert (view.jitter.p, view.grayscale) == colour
                assert (view.flip, view.blur.p, view.solarize.p, view.affine.p) == (0.0, 0.0, 0.0, 0.0)
                assert view.crop.scale == (0.08, 1.0)
    assert [view.solarize.p for view in found["byol-colour"].config.views] == [0.0, 0.2]
    assert [view.solarize.p for view in found["byol-blur"].config.views] == [0.0, 0.2]


@pytest.mark.parametrize("data", DATA)
def test_a_pair_has_its_two_augmentations_and_no_others(data: str) -> None:
    found = rows("simclr_figure5", data, "full")
    assert len(found) == 7 + 7 * 6 // 2
    for name, row in found.items():
        plain, view = row.config.views
        assert _on(plain) == set()
        assert _on(view) == set(name.split("+"))


def _on(view: Any) -> set[str]:
    on = {name for name, probability in view.probabilities.items() if probability > 0}
    if view.jitter.brightness + view.jitter.contrast + view.jitter.saturation == 0:
        on.discard("jitter")
    if view.crop.scale[0] < 1:
        on.add("crop")
    return {"colour" if name in ("jitter", "grayscale") else name for name in on}
