"""MODEL_CARD.md says what is known of the weights, and only that; and what the verb refuses."""

from __future__ import annotations

import json
import shutil

import pytest
import yaml
from export.made import make
from runs import words

from ssl_zoo.config import compose, from_mapping
from ssl_zoo.errors import UserError
from ssl_zoo.export import run as verb
from ssl_zoo.export.run import export
from ssl_zoo.saved import open_run
from ssl_zoo.training.run import run as train


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A run of two epochs with labels, records of evaluations beside it, and its card."""
    folder = tmp_path_factory.mktemp("trained") / "run"
    changed = ("method.stop_gradient=false", "backbone.stem=small", f"run_dir={folder}")
    train(compose(words("simsiam", *changed)), silent=True)
    digest = open_run(folder).digest

    def record(name, top1, weights="trained", own=digest, **more):
        encoder = {"weights": weights, "digest": own if weights == "trained" else None}
        values = {"protocol": "knn", "kind": "knn", "in_words": "weighted kNN, k=20", "encoder": encoder}
        data = {"name": "digits"}
        values |= {"data": data, "metric": "top1", "top1": top1, "top1_std": None, **more}
        (folder / f"eval-{name}.json").write_text(json.dumps(values))

    record("knn", 0.8125)
    record("knn-random", 0.4375, weights="random")
    record("knn-before", 0.9999, own="0123456789ab")  # of another checkpoint
    record("few", 0.7, protocol="few_labels", kind="few_labels", top1_std=0.0125)
    record("free", 12.345, protocol="label_free", kind="label_free", metric="effective rank")
    (folder / "eval-broken.json").write_text("{")
    return folder


@pytest.fixture(scope="module")
def card(trained):
    return (export([f"run={trained}", "format=safetensors"], silent=True) / "MODEL_CARD.md").read_text()


def table(card):
    """The rows of the figures."""
    lines = card.split("## Figures")[1].split("\n## ")[0].splitlines()
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if line.startswith("| ")][
        1:
    ]


def percent(value):
    return f"{100 * value:.1f} %"


def test_figures_are_those_of_the_records_beside_their_baselines(trained, card):
    result = json.loads((trained / "result.json").read_text())
    base = result["baselines"]
    rows = {row[0]: row[1:] for row in table(card)}
    assert rows["kNN of the run"] == [
        "digits", "top-1", percent(result["knn_top1"]), percent(base["random_encoder_knn_top1"]),
        percent(base["pixels_knn_top1"]),
    ]  # fmt: skip
    spread = f"{percent(result['linear_top1'])} ± {100 * result['linear_top1_std']:.1f}"
    assert rows["linear probe of the run"][2] == spread
    assert rows["knn"] == ["digits", "top-1", "81.2 %", "43.8 %", "-"]
    assert rows["few_labels"][2] == "70.0 % ± 1.2"
    assert rows["label_free"] == ["digits", "effective rank", "12.35", "-", "-"]
    assert "100.0 %" not in str(rows["knn"]), "that of another checkpoint"


def test_it_says_the_verdict_the_method_and_its_deviation(trained, card):
    result = json.loads((trained / "result.json").read_text())
    assert f"Verdict: **{result['verdict']}**. {result['verdict_reason']}" in card
    assert "simsiam, stop_gradient: no" in card
    assert result["differs_from_paper"] == {"stop_gradient": False}
    assert "3x3 convolution without stride" in card
    assert "digits: 160 training images (data.limit=160), gray" in card


def test_it_names_versions_commit_and_digest(trained, card):
    result = json.loads((trained / "result.json").read_text())
    assert f"digest of the weights: {open_run(trained).digest}" in card
    assert f"torch {result['versions']['torch']}" in card
    assert (result["git_commit"] or "not recorded") in card


def test_it_says_what_was_not_measured(card):
    limits = card.split("## Limits")[1].split("\n## ")[0]
    missing = limits.split("Not measured: ")[1].split("\n")[0]
    assert "detection" in missing
    assert "transfer to other data" in missing
    assert "few labels" not in missing
    assert "No licence is claimed" in limits


def test_its_configuration_is_the_runs_without_the_machines_folders(trained, card):
    text = card.split("```yaml\n")[1].split("```")[0]
    assert from_mapping(yaml.safe_load(text)).method == open_run(trained).config.method
    assert str(trained.parent) not in card


def test_folders_of_the_machine_are_not_told(tmp_path):
    words = (
        "data=imagefolder",
        "data.train=/home/someone/private",
        "backbone.name=test_resnet",
        "augment.size=32",
    )
    card = export([f"run={make(tmp_path / 'run', *words)}", "format=timm"], silent=True) / "MODEL_CARD.md"
    assert "train: FOLDER" in card.read_text()
    assert "someone" not in card.read_text()


def test_weights_from_before_the_training_have_the_figures_of_such(trained, tmp_path):
    out = export([f"run={trained}", "format=timm", "weights=random", f"out={tmp_path / 'x'}"], silent=True)
    card = (out / "MODEL_CARD.md").read_text()
    base = json.loads((trained / "result.json").read_text())["baselines"]
    rows = {row[0]: row for row in table(card)}
    assert rows["linear probe of the run"][3] == percent(base["random_encoder_linear_top1"])
    assert rows["knn"][3] == "43.8 %"
    assert "Verdict" not in card


def test_a_checkpoint_from_within_a_run_has_no_figures_of_its_end(trained, tmp_path):
    copy = shutil.copytree(trained, tmp_path / "copy", ignore=shutil.ignore_patterns("export"))
    out = export([f"run={copy / 'checkpoints' / 'previous.ckpt'}", "format=timm"], silent=True)
    card = (out / "MODEL_CARD.md").read_text()
    assert out == copy / "export" / "timm"
    assert "Unfinished: 1 of 2 epochs are done" in card
    assert "Verdict" not in card
    assert "None was measured of these weights." in card


def test_a_run_without_a_result_is_unfinished(tmp_path):
    words = ("data=digits", "backbone.name=test_resnet", "augment.size=32")
    out = export([f"run={make(tmp_path / 'run', *words)}", "format=timm"], silent=True)
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
def test_bad_input_is_refused_and_nothing_is_created(given, said, trained, tmp_path, monkeypatch):
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


def test_a_missing_package_is_named_with_what_installs_it(trained, tmp_path, monkeypatch):
    from ssl_zoo.export import to_onnx

    monkeypatch.setattr(to_onnx, "find_spec", lambda name: None)
    with pytest.raises(UserError, match=r"missing: onnx, onnxscript; .* pip install 'ssl-zoo\[onnx\]'"):
        export([f"run={trained}", "format=[timm,onnx]", f"out={tmp_path / 'x'}"], silent=True)
    assert not list(tmp_path.iterdir())


def test_an_export_that_breaks_off_leaves_nothing(trained, tmp_path, monkeypatch):
    def broken(*_):
        raise OSError("no space left")

    monkeypatch.setattr(verb, "write_card", broken)
    with pytest.raises(OSError, match="no space left"):
        export([f"run={trained}", "format=timm", f"out={tmp_path / 'a' / 'x'}"], silent=True)
    assert not list(tmp_path.iterdir())


def test_an_empty_folder_is_filled(trained, tmp_path):
    (tmp_path / "x").mkdir()
    out = export([f"run={trained}", "format=timm", f"out={tmp_path / 'x'}"], silent=True)
    assert sorted(path.name for path in out.iterdir()) == [
        "MODEL_CARD.md",
        "config.json",
        "model.safetensors",
    ]
    assert [path.name for path in tmp_path.iterdir()] == ["x"]
