"""The registries: what is built in, duplicates, and a plugin that is found without being imported."""

from __future__ import annotations

import importlib
import json
import math
import re
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from helpers import plugins
from helpers.example import ADDED, EXAMPLE, PACKAGE, REGISTRIES, install_example
from helpers.runs import TINY

import ssl_zoo
from ssl_zoo.cli.main import main
from ssl_zoo.config.compose import compose
from ssl_zoo.config.groups import group_dirs, group_file, group_names
from ssl_zoo.config.registries import METHODS, SOURCES, register
from ssl_zoo.errors import UserError
from ssl_zoo.method import Method
from ssl_zoo.registry import GROUPS


@pytest.fixture
def plugin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    install_example(tmp_path, monkeypatch)
    return tmp_path


def test_the_example_adds_one_to_each_registry(plugin: Path) -> None:
    assert set(ADDED) == set(REGISTRIES)
    assert tuple(registry.group for registry in REGISTRIES.values()) == GROUPS
    for group, name in ADDED.items():
        assert name in REGISTRIES[group].names()
        assert PACKAGE not in sys.modules, "its name is known without an import"
    for group, name in ADDED.items():
        assert REGISTRIES[group].get(name).summary


@pytest.fixture
def stripes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Installs another plugin, with a data source; returns its folder."""
    site = tmp_path / "site"
    (site / "zoo_stripes-1.dist-info").mkdir(parents=True)
    (site / "zoo_stripes-1.dist-info" / "METADATA").write_text("Name: zoo-stripes\nVersion: 1\n")
    (site / "zoo_stripes-1.dist-info" / "entry_points.txt").write_text(
        "[ssl_zoo.data]\nstripes = zoo_stripes\n"
    )
    (site / "zoo_stripes.py").write_text(
        "from ssl_zoo.config.registries import data_source\n"
        "@data_source('stripes')\ndef stripes(config): 'Stripes.'\n"
    )
    monkeypatch.syspath_prepend(str(site))
    monkeypatch.setattr(SOURCES, "_entries", dict(SOURCES._entries))
    monkeypatch.delitem(sys.modules, "zoo_stripes", raising=False)
    return site


def test_another_plugin_outlives_the_example(stripes: Path, tmp_path: Path) -> None:
    for number in range(2):
        with pytest.MonkeyPatch.context() as patch:
            install_example(tmp_path / str(number), patch)
            assert SOURCES.get("stripes").summary == "Stripes."
            assert SOURCES.get(ADDED["data"]).summary
    assert SOURCES.get("stripes").summary == "Stripes."


def test_tests_do_not_see_what_is_installed(stripes: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "stripes" in SOURCES.names()
    monkeypatch.setattr(plugins, "INSTALLED", (str(stripes), *plugins.INSTALLED))
    plugins.find_added.cache_clear()
    assert "stripes" not in SOURCES.names()
    assert "stripes" in plugins.installed("data"), "but the contracts do"


def test_a_duplicate_raises() -> None:
    with pytest.raises(ValueError, match="registered twice"):

        @register("simsiam")
        class Other(Method):
            pass


def test_an_unknown_name_lists_and_suggests() -> None:
    with pytest.raises(
        UserError, match=r"there are .*byol, .*moco, .*simclr, simsiam, .*swav; did you mean 'byol'"
    ):
        METHODS.get("boyl")


def test_a_second_copy_from_the_root_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(Path(__file__).parent.parent))
    monkeypatch.delitem(sys.modules, "methods", raising=False)
    with pytest.raises(ImportError, match=r"installed as 'ssl_zoo.methods'"):
        importlib.import_module("methods")


def test_a_plugin_is_found_with_its_yaml(plugin: Path) -> None:
    assert "barlowtwins" in group_names("method")
    assert PACKAGE not in sys.modules, "finding it must not import it"
    config = compose(["method=barlowtwins", "data=imagefolder", "data.train=x"])
    assert config.method.lambda_param == 5e-3
    assert config.method.projector.output_dim == 8192
    with pytest.raises(UserError, match=r"method.lambda_parm.*did you mean 'method.lambda_param'"):
        compose(["method=barlowtwins", "method.lambda_parm=1"])


def test_a_plugin_trains_like_any_method(plugin: Path, tmp_path: Path) -> None:
    run = ["method=barlowtwins", *TINY, f"run_dir={tmp_path / 'run'}"]
    result = ssl_zoo.train(run, silent=True)
    assert result.method == "barlowtwins"
    assert math.isfinite(result.metrics["output_std_ratio"])
    assert result.steps == 10


def test_barlow_twins_against_its_algorithm(plugin: Path) -> None:
    method = ssl_zoo.build_method(["method=barlowtwins", *TINY, "method.loss_scale=1.0"])
    views = [torch.randn(12, 1, 8, 8) for _ in range(2)]
    z1, z2 = (method.encoder(view) for view in views)
    z1, z2 = ((z - z.mean(0)) / z.std(0, correction=0) for z in (z1, z2))
    expected = torch.zeros(())
    for i in range(16):
        for j in range(16):
            c = (z1[:, i] * z2[:, j]).mean()
            expected = expected + ((1 - c) ** 2 if i == j else 5e-3 * c**2)
    torch.testing.assert_close(method.loss(views, torch.arange(12)).loss, expected, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("name", ADDED.values())
def test_the_docs_show_the_examples_own_code(name: str) -> None:
    shown = (EXAMPLE.parent.parent / "docs" / "adding.md").read_text()
    code = (EXAMPLE / PACKAGE / f"{name}.py").read_text().partition('"""\n\n')[2]  # all below the docstring
    assert f"```python\n{code}```" in shown
    configs = EXAMPLE / PACKAGE / "configs"
    for file in (
        configs / "data" / f"{name}.yaml",
        configs / "recipe" / name / "default.yaml",
        configs / "protocol" / f"{name}.yaml",
    ):
        assert not file.is_file() or f"```yaml\n{file.read_text()}```" in shown
    assert f"```toml\n{(EXAMPLE / 'pyproject.toml').read_text()}```" in shown


def test_list_shows_own_yaml_and_survives_a_broken_plugin(
    plugin: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "own" / "method").mkdir(parents=True)
    built_in = (group_dirs()[0] / "method" / "byol.yaml").read_text()
    (tmp_path / "own" / "method" / "mine.yaml").write_text(
        built_in.replace("enabled: true", "enabled: false")
    )
    monkeypatch.setenv("SSL_ZOO_CONFIGS", str(tmp_path / "own"))
    (plugin / PACKAGE / "barlowtwins.py").write_text("raise RuntimeError('broken')")
    for group in ("method", "data"):
        (tmp_path / "own" / group / "bytes.yaml").parent.mkdir(exist_ok=True)
        (tmp_path / "own" / group / "bytes.yaml").write_bytes(b"\xff")
        (tmp_path / "own" / group / "directory.yaml").mkdir()
    assert main(["list", "data"]) == 0
    shown = capsys.readouterr().out
    assert {"bytes", "directory"} & {line.split()[0] for line in shown.splitlines() if line.split()} == {
        "bytes"
    }
    assert main(["list", "methods"]) == 0
    printed = " ".join(capsys.readouterr().out.split())
    assert "mine" in printed
    assert "on byol" in printed
    assert "RuntimeError: broken" in printed
    assert compose(["method=mine"]).method.momentum_encoder.enabled is False


def test_a_plugin_whose_yaml_is_not_packed_is_said_to_lack_it(
    plugin: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.rmtree(plugin / PACKAGE / "configs" / "method")
    message = "configs/method/barlowtwins.yaml beside its Python file"
    with pytest.raises(UserError, match=message):
        compose(["method=barlowtwins"])
    for verb in (["list", "methods"], ["doctor"]):
        assert main(verb) == 0
        assert message.replace(" ", "") in "".join(capsys.readouterr().out.split())


def test_data_leaves_the_method_alone(plugin: Path) -> None:
    for name in group_names("data"):
        assert "method" not in yaml.safe_load(group_file("data", name).read_text()), name
    assert compose(["method=barlowtwins"]).method.projector.output_dim == 64, "by the plugin's own recipe"
    projector = compose(["method=barlowtwins", "recipe=null"]).method.projector
    assert (projector.layers, projector.hidden_dim, projector.output_dim) == (3, 8192, 8192)


def test_a_broken_metric_is_refused_before_a_run_begins(
    plugin: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (plugin / PACKAGE / "norm_mean.py").write_text("raise RuntimeError('broken')")
    assert main(["train", "data=digits", "epochs=1", f"run_dir={tmp_path / 'run'}"]) == 2
    message = " ".join(capsys.readouterr().err.split())
    assert "metric 'norm_mean' comes from the package of" in message
    assert "cannot be imported: RuntimeError: broken; repair or uninstall" in message
    assert not (tmp_path / "run").exists()


def test_a_broken_plugin_hurts_nobody_else(plugin: Path) -> None:
    (plugin / PACKAGE / "barlowtwins.py").write_text("raise RuntimeError('broken')")
    assert METHODS.get("simsiam").name == "simsiam"
    with pytest.raises(UserError, match="cannot be imported: RuntimeError: broken; repair or uninstall"):
        compose(["method=barlowtwins"])


def test_the_example_method_trains_on_the_example_data_by_a_recipe_of_its_own(plugin: Path) -> None:
    config = compose(["method=barlowtwins", "data=shapes"])
    assert config.method.projector.hidden_dim == 512  # the paper's 8192 collapse at the rate of shapes
    assert config.optimizer.lr == 0.015


@pytest.mark.slow
def test_all_that_the_example_adds_works_together(
    plugin: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    small = [override for override in TINY if not override.startswith("data")]
    run = ["method=barlowtwins", "data=shapes", "data.images=96", *small, f"run_dir={tmp_path / 'run'}"]
    ssl_zoo.train(run, silent=True)
    assert json.loads((tmp_path / "run" / "result.json").read_text())["norm_mean"] > 0
    assert "norm_mean" in (tmp_path / "run" / "metrics.csv").read_text().partition("\n")[0]
    assert ssl_zoo.open_run(tmp_path / "run").config.data.images == 96  # type: ignore[attr-defined]

    [record] = ssl_zoo.evaluate(
        [f"run={tmp_path / 'run'}", "protocol=centroid", "centroid.center=true"], silent=True
    )
    assert record["settings"]["centroid"] == {"center": True}
    assert record["data"]["train_images"] == 96
    assert record["top1"] > 1 / 3
    document = (EXAMPLE.parents[1] / "docs" / "evaluation.md").read_text()
    assert [key for key in record if f"`{key}`" not in document] == []
    [fewer] = ssl_zoo.evaluate(
        [f"run={tmp_path / 'run'}", "protocol=centroid", "data.images=30"], silent=True
    )
    assert fewer["data"]["train_images"] == 30

    export = [f"run={tmp_path / 'run'}", "format=[npz,timm]", "compress=true", f"out={tmp_path / 'out'}"]
    folder = ssl_zoo.export(export, silent=True)
    weights = np.load(folder / "npz" / "backbone.npz")
    assert set(weights) == set(ssl_zoo.open_run(tmp_path / "run").backbone().state_dict())


@pytest.mark.parametrize(
    ("verb", "message"),
    [
        ("train data=shapes data.imagse=3", "did you mean 'data.images'"),
        ("train data=shapes data.images=1", "data.images must be at least 3"),
        ("train data.source=shape", "unknown data source 'shape'.*did you mean 'shapes'"),
        ("eval run=. protocol=centroid centroid.centre=true", "did you mean 'centroid.center'"),
        ("eval run=. protocol=knn centroid.center=true", "centroid.* is read by protocols of kind centroid"),
        ("export run=. format=npz compres=true", "did you mean 'compress'"),
        ("export run=. format=npzz", "unknown format 'npzz'.*did you mean 'npz'"),
        ("export run=. format=onnx compress=true", "compress"),
    ],
)
def test_settings_of_a_plugin_are_checked_like_any(
    plugin: Path, verb: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(verb.split()) == 2
    assert re.search(message, " ".join(capsys.readouterr().err.split()))


def test_help_and_doctor_know_the_plugins(plugin: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for key, meaning in (
        ("data.images", "a third as many again"),
        ("centroid.center", "is subtracted first"),
        ("compress", "Whether the file is compressed"),
        ("method.lambda_param", "0.005"),
    ):
        assert main(["config", "--describe", key]) == 0
        assert meaning in " ".join(capsys.readouterr().out.split())
    assert main(["doctor"]) == 0
    printed = " ".join(capsys.readouterr().out.split())
    for group, name in ADDED.items():
        assert f"{REGISTRIES[group].kind} {name} (loads)" in printed
