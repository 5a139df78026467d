"""`ssl-zoo eval`: words to records, on a tiny run; each protocol's figures have tests of their own."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml
from helpers.saved_runs import HARMS, train_tiny
from PIL import Image

import ssl_zoo
from ssl_zoo.cli.main import main
from ssl_zoo.config.groups import group_file, group_names
from ssl_zoo.evaluation.compose import compose_evaluations, read_eval
from ssl_zoo.evaluation.protocol import expand
from ssl_zoo.evaluation.protocols import PROTOCOLS
from ssl_zoo.features import extract

pytestmark = pytest.mark.slow

KINDS = tuple(PROTOCOLS.names())
QUICK = (
    "data=digits", "data.limit=100", "progress=false", "knn.k=[5]", "few_labels.draws=2", "linear_cached.epochs=5",
    "linear.epochs=2", "finetune.epochs=2", "label_free.samples=64",
)  # fmt: skip


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return train_tiny(tmp_path_factory.mktemp("eval") / "run")


@pytest.fixture
def copy(run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    shutil.copytree(run, "run")
    return Path("run")


def quick(*kinds: str) -> list[str]:
    """The quick settings that protocols of these kinds read."""
    return [
        override
        for override in QUICK
        if not override.startswith(KINDS) or override.partition(".")[0] in kinds
    ]


@pytest.mark.parametrize("name", group_names("protocol"))
def test_every_protocol_composes(name: str, run: Path, tmp_path: Path) -> None:
    data = ["data=cifar10"] if "protocols" in yaml.safe_load(group_file("protocol", name).read_text()) else []
    overrides = read_eval([f"run={run}", f"protocol={name}", *data])
    configs, _ = compose_evaluations(overrides, ssl_zoo.open_run(run).config)
    assert configs
    assert all(config.kind in KINDS for config in configs)


def test_records_beside_the_run(copy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    names = ["knn", "few_labels", "linear_cached", "linear_moco", "finetune", "label_free"]
    chosen = quick("knn", "few_labels", "linear_cached", "linear", "finetune", "label_free")
    assert main(["eval", "run=run", f"protocol=[{','.join(names)}]", *chosen]) == 0
    printed = capsys.readouterr().out
    files = {json.loads(file.read_text())["protocol"]: file for file in copy.glob("eval-*.json")}
    assert set(files) == set(names)
    for name, file in files.items():
        record = json.loads(file.read_text())
        assert f"{name}: {record['metric']}" in printed
        assert record["encoder"]["digest"] == ssl_zoo.open_run(copy).digest
        assert record["data"]["name"] == "digits"
        assert record["data"]["train_images"] == 100
        assert record["seconds"] > 0
        assert record["in_words"]
        assert record["rows"]
        assert set(record["settings"]) & set(KINDS) == {record["kind"]}
        assert record["versions"]["torch"]
    # Done again it is the same file; with another setting another one.
    before = {file: file.read_text() for file in copy.glob("eval-*.json")}
    ssl_zoo.evaluate(["run=run", "protocol=knn", *quick("knn")], silent=True)
    ssl_zoo.evaluate(["run=run", "protocol=knn", *quick("knn"), "knn.k=[7]"], silent=True)
    ssl_zoo.evaluate(["run=run", "protocol=knn", *quick("knn"), "weights=random"], silent=True)
    assert len(list(copy.glob("eval-*.json"))) == len(before) + 2
    assert json.loads(files["knn"].read_text())["rows"] == json.loads(before[files["knn"]])["rows"]


def test_protocols_together_and_alone_find_the_same(copy: Path) -> None:
    together = ssl_zoo.evaluate(
        ["run=run", "protocol=[few_labels,knn]", *quick("knn", "few_labels")], silent=True
    )
    alone = ssl_zoo.evaluate(["run=run", "protocol=knn", *quick("knn")], silent=True)
    assert together[1]["rows"] == alone[0]["rows"]


def test_the_runs_own_knn_is_the_protocols(copy: Path) -> None:
    result = json.loads((copy / "result.json").read_text())
    [record] = ssl_zoo.evaluate(["run=run"], silent=True)
    assert record["top1"] == result["knn_top1"]
    assert record["details"]["k"] == 5, "monitor.knn.k of the run"
    assert [row["k"] for row in record["rows"]] == [5, 5, 10, 10]


def test_a_timm_model_without_a_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    overrides = ["backbone.name=test_resnet", "protocol=knn", *quick("knn"), "out=here"]
    [record] = ssl_zoo.evaluate(overrides, silent=True)
    assert len(record["encoder"].pop("digest")) == 12
    assert record["encoder"] == {
        "title": "test_resnet (random, seed 0)", "run": None, "backbone": "test_resnet", "stem": "standard",
        "weights": "random", "seed": 0, "channels": 1, "mean": (0.3,), "std": (0.37,),
    }  # fmt: skip
    assert [file.name for file in tmp_path.iterdir()] == ["here"]


def test_a_timm_model_of_other_attention_heads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    overrides = ["backbone.name=test_vit", "backbone.num_heads=4", "size=16", "protocol=knn", *quick("knn")]
    [record] = ssl_zoo.evaluate(overrides, silent=True)
    assert (record["encoder"]["num_heads"], record["encoder"]["title"]) == (
        4,
        "test_vit-4heads (random, seed 0)",
    )
    assert [file.name for file in (tmp_path / "runs").iterdir()] == ["timm-test_vit-4heads-random"]


def test_other_channels_than_those_trained_on(copy: Path, tmp_path: Path) -> None:
    for kind in ("train", "test"):
        for number in range(8):
            file = tmp_path / "photos" / kind / f"class{number % 2}" / f"{number}.png"
            file.parent.mkdir(parents=True, exist_ok=True)
            Image.new("RGB", (20, 20), (30 * number, 255 * (number % 2), len(kind))).save(file)
    overrides = [
        "run=run",
        "data=imagefolder",
        "data.train=photos/train",
        "data.test=photos/test",
        "knn.k=[1]",
    ]
    [record] = ssl_zoo.evaluate(overrides, silent=True)
    assert record["settings"]["data"]["channels"] == 1
    assert record["settings"]["data"]["mean"] == [0.3] or record["settings"]["data"]["mean"] == (0.3,)
    assert record["top1"] == 1.0


def test_an_unfinished_run_says_so(copy: Path, tmp_path: Path) -> None:
    [record] = ssl_zoo.evaluate(["run=run/checkpoints/previous.ckpt", *quick("knn")], silent=True)
    assert record["encoder"]["title"].endswith("after 1 of 2 epochs")
    assert (record["encoder"]["epochs_trained"], record["encoder"]["verdict"]) == (1, None)
    [last] = ssl_zoo.evaluate(["run=run", *quick("knn")], silent=True)
    assert last["encoder"]["verdict"] == json.loads((copy / "result.json").read_text())["verdict"]
    assert last["encoder"]["digest"] != record["encoder"]["digest"]


def test_the_record_says_precision_and_what_was_tested_on(copy: Path) -> None:
    overrides = [
        "run=run",
        "protocol=knn,finetune",
        *quick("knn", "finetune"),
        "data.holdout=0.5",
        "precision=fp32",
    ]
    knn, finetune = ssl_zoo.evaluate(overrides, silent=True)
    assert knn["precision"] == {"features": "fp32", "training": None}
    assert finetune["precision"] == {"features": "fp32", "training": "fp32"}
    assert knn["data"]["tested_on"] == "a part held out of the training images"
    assert "a part held out of the training images" in knn["in_words"]
    assert f"{knn['data']['test_images']} test images" in knn["in_words"]
    assert knn["overrides"] == overrides


def test_features_are_extracted_once_for_all_protocols(copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from ssl_zoo.evaluation import task

    seen: list[int] = []

    def counting(*arguments: Any, **more: Any) -> Any:
        seen.append(len(arguments[1]))
        return extract(*arguments, **more)

    monkeypatch.setattr(task, "extract", counting)
    names = "protocol=knn,label_free,few_labels,linear_cached"
    chosen = quick("knn", "few_labels", "linear_cached", "label_free")
    ssl_zoo.evaluate(["run=run", names, *chosen], silent=True)
    seen.remove(64)  # of label_free, of its own
    assert seen == [100, 360]  # training images, test images


def test_two_encoders_never_share_a_file(copy: Path, tmp_path: Path) -> None:
    train_tiny(tmp_path / "other", "simsiam", "seed=1")
    for run in ("run", "other"):
        ssl_zoo.evaluate([f"run={run}", "out=here", "weights=random", *quick("knn")], silent=True)
    assert len(list(Path("here").iterdir())) == 2


def test_a_protocol_builds_on_another(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_ZOO_CONFIGS", str(tmp_path))
    (tmp_path / "protocol").mkdir()
    (tmp_path / "protocol" / "mine.yaml").write_text("defaults: [linear_moco]\nlinear: {epochs: 3}\n")
    [mine], [moco] = expand("mine"), expand("linear_moco")
    assert mine.settings == {"linear": {**moco.settings["linear"], "epochs": 3}}


def test_a_protocol_of_ones_own(copy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_ZOO_CONFIGS", str(tmp_path / "own"))
    folder = tmp_path / "own" / "protocol"
    folder.mkdir(parents=True)
    (folder / "mine.yaml").write_text("kind: knn\nknn: {k: [3], temperature: [0.1]}\n")
    (folder / "both.yaml").write_text("protocols: [mine, few_labels]\n")
    [record] = ssl_zoo.evaluate(["run=run", "protocol=mine", *quick()], silent=True)
    assert [(row["k"], row["temperature"]) for row in record["rows"]] == [(3, 0.1)]
    records = ssl_zoo.evaluate(["run=run", "protocol=both", *quick("few_labels")], silent=True)
    assert [record["protocol"] for record in records] == ["mine", "few_labels"]
    for text, reason in {
        "kind: [": "cannot be read as one",
        "knn: {}": "says neither or both",
        "kind: knnn": "did you mean 'knn'",
        "kind: knn\nseed: 3": "has 'seed' as well",
        "kind: knn\nlinear: {}": "has 'linear' as well",
        "kind: knn\nknn: {kk: 3}": "broken.yaml",
        "kind: knn\nknn: 3": "a block of keys",
        "protocols: knn": "a list of names",
        "protocols: []": "a list of names",
        "protocols: [3]": "a list of names",
        "protocols: [broken]": "comes round to 'broken'",
        "protocols: [knn]\nother_data: 'no'": "true or false",
    }.items():
        (folder / "broken.yaml").write_text(text)
        with pytest.raises(ssl_zoo.UserError, match=reason):
            ssl_zoo.evaluate(["run=run", "protocol=broken"], silent=True)


def test_an_unwritable_folder_is_refused_before_anything(
    copy: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["eval", "run=run", "out=/proc/nothing"]) == 2
    assert "set out=FOLDER" in capsys.readouterr().err


SAME = ("data=imagefolder", "data.train=same", "data.test=./same")
REFUSED = {
    "no run": (["run=nothing"], "does not exist"),
    "no encoder": (["protocol=knn", "data=digits"], "set run=DIR, or backbone.name=resnet50"),
    "no data": (["backbone.name=resnet18"], "received no data="),
    "unknown protocol": (["run=run", "protocol=kn"], "did you mean 'knn'"),
    "unknown key": (["run=run", "knn.kk=3"], "unknown key 'knn.kk'"),
    "wrong type": (["run=run", "knn.k=5"], "knn.k must be a list"),
    "section of another": (["run=run", "linear.epochs=3"], "linear.* is read by protocols of kind linear"),
    "backbone beside a run": (["run=run", "backbone.name=resnet18"], "brings its own backbone"),
    "weights without a run": (["data=digits", "backbone.name=resnet18", "weights=random"], "without a run"),
    "transfer to its own data": (["run=run", "protocol=transfer"], "protocol=transfer is about other data"),
    "k above the bank": (["run=run", "knn.k=[1000]"], "1000"),
    "data of none": (["run=run", "data=cifar1"], "did you mean"),
    "data word for boxes": (["run=run", "protocol=detection_voc", "data=digits"], "detection.train"),
    "a word": (["run", "knn"], "one run is taken; received 'run' and 'knn'"),
    "out is a file": (["run=run", "out=run/config.yaml/x"], "is a file"),
    "too large a seed": (["run=run", f"seed={2**32}"], "seed must be less than"),
    "other channels": (["run=run", "data.channels=3"], "what the encoder was trained with"),
    "one class": (["run=run", "data.limit=1"], "at least 2 classes"),
    "tested on what was learnt": (["run=run", *SAME], "must be others"),
    "threads": (["run=run", "threads=1000"], "at most the number of cores"),
    "no GPU": (["run=run", "accelerator=mps"], "not on this machine"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_wrong_input(case: str, copy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments, reason = REFUSED[case]
    if case == "tested on what was learnt":
        for number in range(8):
            (Path("same") / str(number % 2)).mkdir(parents=True, exist_ok=True)
            Image.new("L", (12, 12), 30 * number).save(f"same/{number % 2}/{number}.png")
    before = sorted(Path().rglob("*"))
    assert main(["eval", *arguments]) == 2
    error = capsys.readouterr().err
    assert error.startswith("ssl-zoo: ")
    assert reason in error
    assert "Traceback" not in error
    assert sorted(Path().rglob("*")) == before


@pytest.mark.parametrize("harm", HARMS)
def test_a_harmed_run(harm: str, copy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    act, reason = HARMS[harm]
    act(copy / "checkpoints" / "last.ckpt")
    assert main(["eval", "run=run"]) == 2
    assert reason in capsys.readouterr().err
    assert not list(copy.glob("eval-*"))
    assert not Path("boom").exists()


@pytest.mark.parametrize("protocol", ["knn", "linear_cached", "few_labels", "linear_moco", "finetune"])
def test_data_without_labels(protocol: str, copy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("flat").mkdir()
    for number in range(4):
        Image.new("L", (12, 12), 60 * number).save(f"flat/{number}.png")
    assert main(["eval", "run=run", f"protocol={protocol}", "data=imagefolder", "data.train=flat"]) == 2
    assert "has none; sort the images into a folder per class" in capsys.readouterr().err
