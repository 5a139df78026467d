"""MODEL_CARD.md says what is known of the weights, and only that; and what the verb refuses."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from helpers.exports import make
from helpers.runs import overrides
from PIL import Image
from safetensors import safe_open

import ssl_zoo
from ssl_zoo.config.compose import compose
from ssl_zoo.config.mapping import from_mapping
from ssl_zoo.errors import UserError
from ssl_zoo.exporters import run as verb
from ssl_zoo.exporters.run import export
from ssl_zoo.metrics import computed
from ssl_zoo.run_dir.saved_run import open_run
from ssl_zoo.training.run import run as train


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A run of two epochs with labels, and evaluations beside it: of its end, of before, of an epoch between."""
    folder = tmp_path_factory.mktemp("trained") / "run"
    changed = ("method.stop_gradient=false", "backbone.stem=small", f"run_dir={folder}")
    train(compose(overrides("simsiam", *changed)), silent=True)
    evaluated(folder, "trained", "protocol=knn,linear_cached,few_labels,label_free", *LINEAR, *FEW)
    # On other machines and to other places it is the same evaluation still.
    free = (f"out={folder}", "threads=1", "data.workers=0", "data.cache_mb=1")
    evaluated(folder, "random", "protocol=knn,linear_cached,label_free", *LINEAR, *free)
    for weights in ("trained", "random"):
        evaluated(folder, weights, "protocol=linear_cached", *LINEAR, "seed=1")
    evaluated(folder, "random", "protocol=knn", "knn.k=[7]")
    evaluated(folder, "trained", "protocol=knn", "seed=1", "knn.temperature=[0.5]")
    evaluated(folder / "checkpoints" / "previous.ckpt", "trained", "protocol=knn")
    (folder / "eval-broken.json").write_text("{")
    return folder


LINEAR = ("linear_cached.epochs=5", "linear_cached.lr=[0.01,0.02,0.04,0.08,0.16,0.32,0.64]")
FEW = ("few_labels.draws=2", "few_labels.labels_per_class=[2]", "few_labels.label_fraction=[]")


def evaluated(run: Any, weights: Any, *more: Any) -> None:
    ssl_zoo.evaluate([f"run={run}", f"weights={weights}", "progress=false", *more], silent=True)


def records(folder: Any, protocol: Any, weights: str = "trained") -> Any:
    """Those of the run's end, or of before its training."""
    found = [json.loads(path.read_text()) for path in sorted(folder.glob(f"eval-{protocol}-*.json"))]
    checkpoint = {"trained": "last.ckpt", "random": None}[weights]
    return [
        one
        for one in found
        if one["encoder"]["checkpoint"] == checkpoint and one["encoder"]["weights"] == weights
    ]


@pytest.fixture(scope="module")
def card(trained: Any) -> Any:
    return (export([f"run={trained}", "format=safetensors"], silent=True) / "MODEL_CARD.md").read_text()


def table(card: Any) -> Any:
    """The rows of the figures."""
    lines = card.split("## Figures")[1].split("\n## ")[0].splitlines()
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if line.startswith("| ")][
        1:
    ]


def percent(value: Any) -> Any:
    return f"{100 * value:.1f} %"


@pytest.mark.slow
def test_figures_are_those_of_the_records_beside_their_baselines(trained: Any, card: Any) -> None:
    result = json.loads((trained / "result.json").read_text())
    base = result["baselines"]
    rows = {row[0]: row[1:] for row in table(card)}
    assert rows["kNN of the run"] == [
        "digits", "top-1", percent(result["knn_top1"]), percent(base["random_encoder_knn_top1"]),
        percent(base["pixels_knn_top1"]),
    ]  # fmt: skip
    spread = f"{percent(result['linear_top1'])} ± {100 * result['linear_top1_std']:.1f}"
    assert rows["linear probe of the run"][2] == spread
    [few] = records(trained, "few_labels")
    spread = f"{percent(few['top1'])} ± {100 * few['top1_std']:.1f}"
    assert rows["few_labels"] == ["digits", "top-1", spread, "-", "-"]


@pytest.mark.slow
def test_a_baseline_is_the_same_evaluation_of_the_untrained_encoder_whatever_it_chose(
    trained: Any, card: Any
) -> None:
    of_end, of_before = (
        {one["seed"]: one for one in records(trained, "linear_cached", weights)}
        for weights in ("trained", "random")
    )
    assert any(of_end[seed]["in_words"] != of_before[seed]["in_words"] for seed in (0, 1)), (
        "choose other rates"
    )
    rows = [row[1:] for row in table(card) if row[0] == "linear_cached"]
    assert sorted(rows) == sorted(
        ["digits", "top-1", percent(of_end[seed]["top1"]), percent(of_before[seed]["top1"]), "-"]
        for seed in (0, 1)
    )


def test_other_settings_another_seed_and_another_checkpoint_are_no_baseline(trained: Any, card: Any) -> None:
    recorded = {one["seed"]: one for one in records(trained, "knn")}
    untrained = {one["settings"]["knn"]["k"] is None: one for one in records(trained, "knn", "random")}
    assert sorted(recorded) == [0, 1]
    assert sorted(untrained) == [False, True]
    rows = [row[1:] for row in table(card) if row[0] == "knn"]
    assert sorted(rows) == sorted(
        [
            ["digits", "top-1", percent(recorded[0]["top1"]), percent(untrained[True]["top1"]), "-"],
            ["digits", "top-1", percent(recorded[1]["top1"]), "-", "-"],
        ]
    )


def test_scores_without_labels_have_a_row_each(trained: Any, card: Any) -> None:
    [record], [untrained] = (records(trained, "label_free", weights) for weights in ("trained", "random"))
    found = {row[2]: row[1:] for row in table(card) if row[0] == "label_free"}
    baseline = {row["score"]: row["value"] for row in untrained["rows"]}
    assert len(record["rows"]) == 8
    assert found == {
        row["score"]: ["digits", row["score"], f"{row['value']:.4g}", f"{baseline[row['score']]:.4g}", "-"]
        for row in record["rows"]
    }
    assert card.count(f"- label_free: {record['in_words']}") == 1


def measured_metrics(result: dict[str, Any]) -> list[str]:
    """All metrics of embeddings and predictions, but for those of a predictor that SimSiam does not have."""
    measured = [name for name in computed() if result[name] is not None]
    assert set(computed()) - set(measured) == {"eigenspace_alignment", "inverse_cosine"}
    return measured


def test_the_diagnostics_stand_beside_those_of_before(trained: Any, card: Any) -> None:
    result = json.loads((trained / "result.json").read_text())
    with (trained / "metrics.csv").open(newline="") as file:
        before = next(csv.DictReader(file))
    assert [row[1:] for row in table(card) if row[0] == "diagnostics of the run"] == [
        ["digits", name, f"{result[name]:.4g}", f"{float(before[name]):.4g}", "-"]
        for name in measured_metrics(result)
    ]


def test_a_run_without_labels_has_its_diagnostics_on_its_card(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (64, 8, 8), dtype=np.uint8)
    (tmp_path / "pictures").mkdir()
    for number, image in enumerate(pixels):
        Image.fromarray(image).save(tmp_path / "pictures" / f"{number}.png")
    own = [
        override
        for override in overrides("simsiam", f"run_dir={tmp_path / 'run'}")
        if not override.startswith("data")
    ]
    data = ("data=imagefolder", f"data.train={tmp_path / 'pictures'}", "data.channels=1", "data.mean=[0.5]")
    train(compose([*own, *data, "data.std=[0.3]"]), silent=True)
    evaluated(tmp_path / "run", "trained", "protocol=label_free")
    evaluated(tmp_path / "run", "trained", "protocol=label_free", "data=digits", "data.limit=100")
    card = (export([f"run={tmp_path / 'run'}", "format=timm"], silent=True) / "MODEL_CARD.md").read_text()
    result = json.loads((tmp_path / "run" / "result.json").read_text())
    found = {row[2]: row[3] for row in table(card) if row[0] == "diagnostics of the run"}
    assert set(found) == set(measured_metrics(result))
    assert found["effective_rank"] == f"{result['effective_rank']:.4g}"
    assert [row[1] for row in table(card) if row[0] == "label_free"] == [
        *["digits"] * 8,
        *["imagefolder"] * 8,
    ]
    assert "None was measured" not in card
    assert "transfer to other data" in card.split("Not measured: ")[1].split("\n")[0], (
        "scores are no transfer"
    )
    assert result["verdict_reason"] in card


def test_it_says_the_verdict_the_method_and_its_deviation(trained: Any, card: Any) -> None:
    result = json.loads((trained / "result.json").read_text())
    assert f"Verdict: **{result['verdict']}**. {result['verdict_reason']}" in card
    assert "simsiam, stop_gradient: no" in card
    assert result["differs_from_paper"] == {"stop_gradient": False}
    assert "3x3 convolution without stride" in card
    assert "digits: 160 training images (data.limit=160), gray" in card


def test_it_names_versions_commit_and_digest(trained: Any, card: Any) -> None:
    result = json.loads((trained / "result.json").read_text())
    assert f"digest of the weights: {open_run(trained).digest}" in card
    assert f"torch {result['versions']['torch']}" in card
    assert (result["git_commit"] or "not recorded") in card


def test_it_says_what_was_not_measured(card: Any) -> None:
    limits = card.split("## Limits")[1].split("\n## ")[0]
    missing = limits.split("Not measured: ")[1].split("\n")[0]
    assert "linear classification on all labels of augmented images" in missing, "linear_cached is none"
    assert "detection" in missing
    assert "transfer to other data" in missing
    assert "few labels" not in missing
    assert "No licence is claimed" in limits


def test_its_configuration_is_the_runs_without_the_machines_folders(trained: Any, card: Any) -> None:
    text = card.split("```yaml\n")[1].split("```")[0]
    assert from_mapping(yaml.safe_load(text)).method == open_run(trained).config.method
    assert str(trained.parent) not in card


def test_folders_of_the_machine_are_not_told(tmp_path: Path) -> None:
    overrides = (
        "data=imagefolder",
        "data.train=/home/someone/private",
        "backbone.name=test_resnet",
        "augment.size=32",
    )
    card = export([f"run={make(tmp_path / 'run', *overrides)}", "format=timm"], silent=True) / "MODEL_CARD.md"
    assert "train: FOLDER" in card.read_text()
    assert "someone" not in card.read_text()


def test_weights_from_before_the_training_have_the_figures_of_such(trained: Any, tmp_path: Path) -> None:
    out = export([f"run={trained}", "format=timm", "weights=random", f"out={tmp_path / 'x'}"], silent=True)
    card = (out / "MODEL_CARD.md").read_text()
    base = json.loads((trained / "result.json").read_text())["baselines"]
    rows = {row[0]: row for row in table(card)}
    assert rows["linear probe of the run"][3] == percent(base["random_encoder_linear_top1"])
    recorded = sorted(percent(one["top1"]) for one in records(trained, "linear_cached", "random"))
    assert sorted(row[3] for row in table(card) if row[0] == "linear_cached") == recorded
    assert len([row for row in table(card) if row[0] == "knn"]) == 2
    assert "few_labels" not in rows
    with (trained / "metrics.csv").open(newline="") as file:
        before = float(next(csv.DictReader(file))["effective_rank"])
    assert ["diagnostics of the run", "digits", "effective_rank", *[f"{before:.4g}"] * 2, "-"] in table(card)
    assert "Verdict" not in card


def test_a_checkpoint_from_within_a_run_has_no_figures_of_its_end(trained: Any, tmp_path: Path) -> None:
    copy = shutil.copytree(trained, tmp_path / "copy", ignore=shutil.ignore_patterns("export"))
    out = export([f"run={copy / 'checkpoints' / 'previous.ckpt'}", "format=timm"], silent=True)
    card = (out / "MODEL_CARD.md").read_text()
    assert out == copy / "export" / "timm"
    assert "Unfinished: 1 of 2 epochs are done" in card
    assert "Verdict" not in card
    [record] = [
        json.loads(path.read_text())
        for path in trained.glob("eval-*.json")
        if "previous.ckpt" in path.read_text()
    ]
    assert [row[0] for row in table(card)] == ["knn"]
    assert table(card)[0][3] == percent(record["top1"])


def test_another_checkpoint_of_a_finished_run_has_no_figures_of_its_end(trained: Any, tmp_path: Path) -> None:
    copy = shutil.copytree(trained, tmp_path / "copy", ignore=shutil.ignore_patterns("export", "eval-*"))
    (copy / "checkpoints" / "last.ckpt").rename(copy / "checkpoints" / "kept.ckpt")
    overrides = [f"run={copy / 'checkpoints' / 'kept.ckpt'}", "format=safetensors"]
    out = export(overrides, silent=True)
    card = (out / "MODEL_CARD.md").read_text()
    assert "Not of the run's last checkpoint, but of `kept.ckpt`" in card
    assert "Verdict" not in card
    assert "None was measured of these weights." in card
    with safe_open(out / "backbone.safetensors", framework="numpy") as file:
        assert not {"verdict", "knn_top1", "linear_top1"} & set(file.metadata())


def test_a_run_without_a_result_is_unfinished(tmp_path: Path) -> None:
    overrides = ("data=digits", "backbone.name=test_resnet", "augment.size=32")
    out = export([f"run={make(tmp_path / 'run', *overrides)}", "format=timm"], silent=True)
    assert (
        "Unfinished: all epochs are done, but the run holds no result" in (out / "MODEL_CARD.md").read_text()
    )


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (["format=timm"], "'run' is missing"),
        (["run=RUN"], "'format' is missing"),
        (["run=nowhere", "format=timm"], "'nowhere', which does not exist"),
        (["run=RUN", "format=tim"], "unknown format 'tim'; .* did you mean 'timm'"),
        (["run=RUN", "format=[timm,tensorrt]"], "unknown format 'tensorrt'; there are detectron2"),
        (["run=RUN", "format=[]"], "received \\[\\]; there are timm"),
        (["run=RUN", "format=timm", "sise=8"], "unknown key 'sise'; did you mean 'size'"),
        (["run=RUN", "format=timm", "size=big"], "size must be a whole number"),
        (["run=RUN", "format=timm", "weights=best"], "weights must be one of trained, random"),
        (["run=RUN", "format=timm", "data=cifar10"], "export reads no images"),
        (["run=RUN", "format=timm", "include_normalization=false"], "read with format=onnx only"),
        (["run=RUN", "format=timm", "out=FULL"], "must be new or empty"),
        (["run=RUN", "format=[timm,safetensors]", "out=FULL"], "must be new or empty"),
        (["run=RUN", "format=timm", "out=FULL/file"], "is a file"),
        (["run=RUN", "format=onnx", "out=model.onnx"], "out names a folder"),
        (["run=RUN", "format=timm", "out=NEW/a/b", "size=0"], "size must be at least 1"),
        (
            ["run=RUN", "format=torchvision", "out=NEW/a/b"],
            "resnet18, resnet34, .* received backbone 'test_resnet'",
        ),
        (["run=DAMAGED", "format=timm", "out=NEW"], "cannot be read"),
    ],
)
def test_bad_input_is_refused_and_nothing_is_created(
    given: list[str], said: str, trained: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "FULL").mkdir()
    (tmp_path / "FULL" / "file").write_text("x")
    checkpoint = (trained / "checkpoints" / "last.ckpt").read_bytes()
    (tmp_path / "DAMAGED").write_bytes(checkpoint[: len(checkpoint) // 2])
    shutil.copytree(trained / "checkpoints", tmp_path / "RUN" / "checkpoints")
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(UserError, match=said):
        export(given, silent=True)
    assert sorted(tmp_path.rglob("*")) == before


def test_a_missing_package_is_named_with_what_installs_it(
    trained: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(verb, "find_spec", lambda name: None)
    with pytest.raises(UserError, match=r"missing: onnx, onnxscript; .* pip install 'ssl-zoo\[onnx\]'"):
        export([f"run={trained}", "format=[timm,onnx]", f"out={tmp_path / 'x'}"], silent=True)
    assert not list(tmp_path.iterdir())


def test_an_export_that_breaks_off_leaves_nothing(
    trained: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: Any) -> None:
        raise OSError("no space left")

    monkeypatch.setattr(verb, "write_card", broken)
    with pytest.raises(OSError, match="no space left"):
        export([f"run={trained}", "format=timm", f"out={tmp_path / 'a' / 'x'}"], silent=True)
    assert not list(tmp_path.iterdir())


def test_an_empty_folder_is_filled(trained: Any, tmp_path: Path) -> None:
    (tmp_path / "x").mkdir()
    out = export([f"run={trained}", "format=timm", f"out={tmp_path / 'x'}"], silent=True)
    assert sorted(path.name for path in out.iterdir()) == [
        "MODEL_CARD.md",
        "config.json",
        "model.safetensors",
    ]
    assert [path.name for path in tmp_path.iterdir()] == ["x"]
