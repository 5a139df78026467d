"""`to=hub`: the folder is a repository that timm, huggingface_hub and `load_backbone("hf:…")` read; and its push."""

from __future__ import annotations

import json
import re
import shutil
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import huggingface_hub
import pytest
import timm
import torch
import yaml
from helpers.exports import COLOUR, features_of, images, make
from huggingface_hub import ModelCard, constants

from ssl_zoo.config.mapping import from_mapping
from ssl_zoo.errors import Unfinished, UserError
from ssl_zoo.exporters import hub
from ssl_zoo.exporters.card import on_hub
from ssl_zoo.exporters.load_backbone import load_backbone
from ssl_zoo.exporters.run import export

REPO = "someone/birds"
COMMITS = {"main": "a" * 40, "v1": "b" * 40}
RESULT = {
    "method": "simsiam", "data": "digits", "seed": 0, "epochs": 1, "steps": 3, "verdict": "healthy",
    "verdict_reason": "it learns", "knn_top1": 0.87654, "knn_protocol": "weighted kNN", "linear_top1": 0.75,
    "linear_top1_std": 0.01, "baselines": {"random_encoder_knn_top1": 0.5}, "run_dir": "/home/someone/runs/mine",
    "start_from": {"method": "byol", "checkpoint": "/home/someone/last.ckpt"}, "differs_from_paper": {},
}  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("hub")
    make(folder / "resnet", *COLOUR, "backbone.name=test_resnet", "augment.size=32")
    make(folder / "vit", *COLOUR, "backbone.name=test_vit", "backbone.num_heads=4", "augment.size=48")
    make(
        folder / "small", "data=digits", "backbone.name=test_resnet", "backbone.stem=small", "augment.size=8"
    )
    (folder / "resnet" / "result.json").write_text(json.dumps(RESULT))
    for name in ("resnet", "vit", "small"):
        export([f"run={folder / name}", "format=timm", "to=hub", f"repo={REPO}", "license=mit"], silent=True)
    return folder


def _repository(folder: Path, name: str) -> Path:
    return folder / name / "export" / "hub"


@pytest.mark.parametrize("name", ["resnet", "vit"])
def test_timm_loads_the_folder_and_the_cached_repository_offline(
    name: str, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both by the client's own cache and HF_HUB_OFFLINE, and `hf:` as well."""
    place = tmp_path / f"models--{REPO.replace('/', '--')}"
    (place / "refs").mkdir(parents=True)
    (place / "refs" / "main").write_text(COMMITS["main"])
    shutil.copytree(_repository(folder, name), place / "snapshots" / COMMITS["main"])
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    models = [
        timm.create_model(f"local-dir:{_repository(folder, name)}", pretrained=True),
        timm.create_model(f"hf-hub:{REPO}", pretrained=True),
        load_backbone(f"hf:{REPO}").model,
        load_backbone(_repository(folder, name)).model,
    ]
    batch = images(3, 48 if name == "vit" else 32)
    wanted = features_of(folder / name, batch)
    for model in models:
        with torch.inference_mode():
            torch.testing.assert_close(model.eval()(batch), wanted, atol=1e-6, rtol=1e-6)
    with pytest.raises(
        UserError, match=r"'hf:someone/fish' must be a repository .* its config.json cannot be had"
    ):
        load_backbone("hf:someone/fish")


class Hub(BaseHTTPRequestHandler):
    """Serves two revisions of a repository as the hub does."""

    folders: dict[str, Path]

    def do_GET(self) -> None:
        found = re.fullmatch(rf"/{REPO}/resolve/([^/]+)/(.+)", self.path)
        commit = COMMITS.get(found[1], found[1]) if found else ""
        file = self.folders.get(commit, Path("none")) / (found[2] if found else "")
        if not found or not file.is_file():
            self.send_response(404)
            self.send_header("X-Error-Code", "EntryNotFound" if found else "RepoNotFound")
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        contents = file.read_bytes()
        self.send_response(200)
        self.send_header("X-Repo-Commit", commit)
        self.send_header("ETag", f'"{hash(contents) & 0xFFFFFFFF:08x}"')
        self.send_header("Content-Length", str(len(contents)))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(contents)

    do_HEAD = do_GET

    def log_message(self, *arguments: Any) -> None:
        pass


@pytest.fixture
def served(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    Hub.folders = {
        COMMITS["main"]: _repository(folder, "resnet"),
        COMMITS["v1"]: _repository(folder, "small"),
        "c" * 40: folder,  # holds neither file
    }
    server = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    address = f"http://127.0.0.1:{server.server_port}"
    monkeypatch.setattr(constants, "ENDPOINT", address)
    pattern = constants.HUGGINGFACE_CO_URL_TEMPLATE.replace("https://huggingface.co", address)
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", pattern)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
    yield
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_repository_and_its_revisions_are_downloaded(served: None, folder: Path) -> None:
    assert load_backbone(f"hf:{REPO}").preprocess == load_backbone(folder / "resnet").preprocess
    model, preprocess = load_backbone(f"hf:{REPO}@v1")
    assert preprocess == load_backbone(folder / "small").preprocess
    batch = images(1, 8)
    with torch.inference_mode():
        torch.testing.assert_close(model(batch), features_of(folder / "small", batch), atol=1e-6, rtol=1e-6)
    with pytest.raises(UserError, match=r"config.json cannot be had \(.*EntryNotFoundError"):
        load_backbone(f"hf:{REPO}@{'c' * 40}")
    with pytest.raises(UserError, match=r"hf:OWNER/NAME@REVISION .* received 'hf:birds'"):
        load_backbone("hf:birds")
    for revision in ("../../x", "/etc", "main\n", "-x"):
        with pytest.raises(UserError, match="OWNER/NAME@REVISION"):
            load_backbone(f"hf:{REPO}@{revision}")


@pytest.mark.parametrize(
    ("block", "key", "value"),
    [
        ("pretrained_cfg", None, None),
        ("model_args", "pretrained", True),
        ("ssl_zoo", "architecture", "hf-hub:someone/else"),
        ("ssl_zoo", "size", float("inf")),
        ("ssl_zoo", "std", [0, 0, 0]),
        ("ssl_zoo", "mean", [0.5]),
        ("ssl_zoo", "bit_depth", 12),
    ],
)
def test_a_description_that_somebody_has_changed_is_refused_or_changes_nothing(
    block: str, key: str | None, value: Any, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(_repository(folder, "resnet"), tmp_path / "copy")
    described = json.loads((tmp_path / "copy" / "config.json").read_text())
    if key is None:
        described[block] = value
    else:
        described.setdefault(block, {})[key] = value
    (tmp_path / "copy" / "config.json").write_text(json.dumps(described))
    if key == "pretrained":  # which would download another's weights first
        monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
        load_backbone(tmp_path / "copy")
        return
    with pytest.raises(UserError, match=r"cannot be read as one|unknown backbone"):
        load_backbone(tmp_path / "copy")


def test_the_card_carries_what_was_measured(folder: Path) -> None:
    card = ModelCard.load(_repository(folder, "resnet") / "README.md")
    data = card.data
    assert (data.library_name, data.pipeline_tag, data.license) == ("timm", "image-feature-extraction", "mit")
    assert {"self-supervised-learning", "simsiam", "timm"} <= set(data.tags)
    figures = {
        result.metric_name: (result.metric_value, result.dataset_name, result.metric_type)
        for result in data.eval_results
    }
    assert figures == {
        "top-1, kNN of the run": (0.8765, "digits", "accuracy"),
        "top-1, linear probe of the run": (0.75, "digits", "accuracy"),
    }
    assert "87.7 %" in card.text
    assert f'timm.create_model("hf-hub:{REPO}", pretrained=True)' in card.text
    assert "The licence of the weights is mit" in card.text
    assert "1 epoch, batches" in card.text
    assert "yaml" not in card.text.replace("config.yaml", ""), "the configuration is a file of its own"


def test_a_card_without_figures_claims_none_and_timm_is_not_named_where_it_cannot_load(folder: Path) -> None:
    card = ModelCard.load(_repository(folder, "small") / "README.md")
    assert card.data.library_name == "ssl-zoo"
    assert "model" not in card.data.to_yaml(), "neither figures nor a name for them"
    assert f'file = hf_hub_download("{REPO}", "model.safetensors")' in card.text
    assert "load_file(file)" in card.text
    assert "model.maxpool = nn.Identity()" in card.text


def test_no_folder_of_the_machine_is_published(folder: Path) -> None:
    for name in ("resnet", "vit", "small"):
        for file in _repository(folder, name).glob("*"):
            assert str(folder).encode() not in file.read_bytes(), file
    written = json.loads((_repository(folder, "resnet") / "result.json").read_text())
    assert written["knn_top1"] == RESULT["knn_top1"]
    assert "/home" not in json.dumps(written)
    values = yaml.safe_load((_repository(folder, "resnet") / "config.yaml").read_text())
    assert from_mapping(values).backbone.name == "test_resnet"
    assert not (_repository(folder, "vit") / "result.json").exists(), "nothing was measured"


def test_a_folder_of_parquet_files_is_not_published_and_a_name_on_the_hub_is(tmp_path: Path) -> None:
    (tmp_path / "private").mkdir()
    assert not on_hub(str(tmp_path / "private"))
    assert not on_hub("private/*.parquet")
    assert on_hub("uoft-cs/cifar10")


def test_a_push_creates_and_uploads_and_a_failing_one_loses_nothing(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Against a double of huggingface_hub's HfApi."""
    calls = list[tuple[str, Any]]()

    class Api:
        def __init__(self, **settings: Any) -> None:
            pass

        def create_repo(self, repo_id: str, **settings: Any) -> str:
            calls.append((repo_id, settings))
            return f"https://huggingface.co/{repo_id}"

        def upload_folder(self, *, repo_id: str, folder_path: Path, commit_message: str) -> None:
            if tmp_path / "away" == folder_path:
                raise ConnectionError("no route to host")
            calls.append((repo_id, sorted(file.name for file in folder_path.iterdir())))

    monkeypatch.setattr(huggingface_hub, "HfApi", Api)
    monkeypatch.setattr(huggingface_hub, "get_token", lambda: "a token")
    command = [f"run={folder / 'vit'}", "format=timm", "to=hub", f"repo={REPO}", "push=true", "private=true"]
    export([*command, f"out={tmp_path / 'out'}"])
    files = [".gitattributes", "README.md", "config.json", "config.yaml", "model.safetensors"]
    assert calls == [(REPO, {"private": True, "exist_ok": True}), (REPO, files)]
    assert "https://huggingface.co/someone/birds" in capsys.readouterr().out
    with pytest.raises(
        Unfinished, match=r"is written, and was not pushed .* no route .*: hf upload someone/birds"
    ):
        export([*command, f"out={tmp_path / 'away'}"], silent=True)
    assert sorted(file.name for file in (tmp_path / "away").iterdir()) == files


def test_what_cannot_be_pushed_is_refused_before_anything_is_written(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = [f"run={folder / 'vit'}", f"out={tmp_path / 'out'}"]
    monkeypatch.setattr(huggingface_hub, "get_token", lambda: None)
    for overrides, message in {
        ("format=timm", "to=hub"): "to=hub needs repo=OWNER/NAME",
        ("format=timm", "to=hub", "repo=birds"): "received 'birds'",
        ("format=onnx", "to=hub", f"repo={REPO}"): "received format=onnx; set format=timm",
        ("format=timm", f"repo={REPO}"): "repo is read with to=hub only",
        ("format=timm", "to=hub", f"repo={REPO}", "private=true"): "private is read with push=true only",
        ("format=timm", "to=hub", f"repo={REPO}", "push=true"): "there is no token; run 'hf auth login'",
    }.items():
        with pytest.raises(UserError, match=re.escape(message)):
            export([*run, *overrides], silent=True)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(UserError, match="received HF_HUB_OFFLINE"):
        hub.check_login()
    assert not (tmp_path / "out").exists()
