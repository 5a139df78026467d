"""The registry: built-in methods, duplicates, and a plugin that is found without being imported."""

from __future__ import annotations

import importlib
import math
import shutil
import sys
from pathlib import Path

import pytest
import torch
import yaml
from helpers.runs import TINY

import ssl_zoo
from ssl_zoo.cli.main import main
from ssl_zoo.config.compose import compose
from ssl_zoo.config.groups import group_dirs, group_file, group_names
from ssl_zoo.config.registries import METHODS, register
from ssl_zoo.errors import UserError
from ssl_zoo.method import Method

EXAMPLE = Path(__file__).parent.parent / "examples" / "ssl-zoo-barlowtwins"


@pytest.fixture
def plugin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The example package as pip installs it, for the length of a test."""
    shutil.copytree(EXAMPLE / "ssl_zoo_barlowtwins", tmp_path / "ssl_zoo_barlowtwins")
    info = tmp_path / "ssl_zoo_barlowtwins-0.1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: ssl-zoo-barlowtwins\nVersion: 0.1.0\n")
    (info / "entry_points.txt").write_text(
        "[ssl_zoo.methods]\nbarlowtwins = ssl_zoo_barlowtwins:BarlowTwins\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(METHODS, "_entries", dict(METHODS._entries))
    monkeypatch.delitem(sys.modules, "ssl_zoo_barlowtwins", raising=False)
    importlib.invalidate_caches()
    return tmp_path


def test_a_duplicate_raises() -> None:
    with pytest.raises(ValueError, match="registered twice"):

        @register("simsiam")
        class Other(Method):
            pass


def test_an_unknown_name_lists_and_suggests() -> None:
    with pytest.raises(
        UserError, match=r"there are .*byol, moco, simclr, simsiam, swav; did you mean 'byol'"
    ):
        METHODS.get("boyl")


def test_a_second_copy_from_the_root_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(Path(__file__).parent.parent))
    monkeypatch.delitem(sys.modules, "methods", raising=False)
    with pytest.raises(ImportError, match=r"installed as 'ssl_zoo.methods'"):
        importlib.import_module("methods")


def test_a_plugin_is_found_with_its_yaml(plugin: Path) -> None:
    assert "barlowtwins" in group_names("method")
    assert "ssl_zoo_barlowtwins" not in sys.modules, "finding it must not import it"
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


def test_the_readme_shows_the_examples_own_code() -> None:
    readme = (EXAMPLE.parent.parent / "README.md").read_text()
    shown = readme.partition("```python\n@section\n")[2].partition("```")[0]
    code = (EXAMPLE / "ssl_zoo_barlowtwins" / "__init__.py").read_text().partition("@section\n")[2]
    assert "def loss" in shown
    assert shown == code


def test_list_shows_own_yaml_and_survives_a_broken_plugin(
    plugin: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "own" / "method").mkdir(parents=True)
    built_in = (group_dirs()[0] / "method" / "byol.yaml").read_text()
    (tmp_path / "own" / "method" / "mine.yaml").write_text(
        built_in.replace("enabled: true", "enabled: false")
    )
    monkeypatch.setenv("SSL_ZOO_CONFIGS", str(tmp_path / "own"))
    (plugin / "ssl_zoo_barlowtwins" / "__init__.py").write_text("raise RuntimeError('broken')")
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
    shutil.rmtree(plugin / "ssl_zoo_barlowtwins" / "configs")
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


def test_a_broken_plugin_hurts_nobody_else(plugin: Path) -> None:
    (plugin / "ssl_zoo_barlowtwins" / "__init__.py").write_text("raise RuntimeError('broken')")
    assert METHODS.get("simsiam").name == "simsiam"
    with pytest.raises(UserError, match="cannot be imported: RuntimeError: broken; repair or uninstall"):
        compose(["method=barlowtwins"])
