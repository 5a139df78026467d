"""What the package promises about itself: its folders, its public names, its README."""

from __future__ import annotations

import itertools
import pkgutil
import pydoc
import re
import runpy
from pathlib import Path

import numpy as np
import pytest
import setuptools
from PIL import Image

import ssl_zoo
from ssl_zoo.cli.main import main
from ssl_zoo.config.compose import compose

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
ADDING = (ROOT / "docs" / "adding.md").read_text()


def test_every_folder_is_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Setuptools finds the packages; a folder of Python or YAML that it would not find is missing from the wheel."""
    taken: dict[str, list[str]] = {}
    monkeypatch.setattr(setuptools, "setup", taken.update)
    monkeypatch.chdir(ROOT)
    runpy.run_path(str(ROOT / "setup.py"))
    rooms = ("ssl_zoo", "methods", "configs", "benchmarks")
    files = (
        file
        for room in rooms
        for kind in ("*.py", "*.yaml", "*.html", "*.js")
        for file in (ROOT / room).rglob(kind)
    )
    folders = {".".join(file.parent.relative_to(ROOT).parts) for file in files}
    names = {name if name.startswith("ssl_zoo") else f"ssl_zoo.{name}" for name in folders}
    assert names <= set(taken["packages"])


def test_public_names_are_there() -> None:
    for name in ssl_zoo.__all__:
        assert getattr(ssl_zoo, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        ssl_zoo.nonsense  # noqa: B018


WRONG = {
    "bench": ["suite=nonsense"],
    "build_method": ["method=nonsense"],
    "compare": ["nowhere", "nonsense"],
    "compose": ["method=nonsense"],
    "embed": ["run=nowhere", "out=features.npy"],
    "evaluate": ["run=nowhere", "protocol=knn"],
    "export": ["run=nowhere", "format=timm"],
    "import_checkpoint": ["file=nowhere", "run_dir=run"],
    "load_backbone": "nowhere",
    "open_run": "nowhere",
    "report": ["run=nowhere"],
    "runs": "nowhere",
    "sweep": ["method=nonsense,simsiam"],
    "train": ["method=nonsense"],
}


def test_public_functions_can_be_called_after_one_another() -> None:
    """The import of a module must not take the place of a function of that name, as `report` once did."""
    for name in (one for pair in itertools.permutations(WRONG, 2) for one in pair):
        with pytest.raises(ssl_zoo.UserError, match=r"nonsense|nowhere"):
            getattr(ssl_zoo, name)(WRONG[name])


def test_no_public_name_is_that_of_a_module() -> None:
    rooms = {"methods", "configs", "benchmarks"}
    assert not (rooms | {module.name for module in pkgutil.iter_modules(ssl_zoo.__path__)}) & set(
        ssl_zoo.__all__
    )


def test_dir_and_help_know_the_public_names() -> None:
    assert set(ssl_zoo.__all__) <= set(dir(ssl_zoo))
    text = pydoc.plain(pydoc.render_doc(ssl_zoo))
    assert all(re.search(rf"^    (class )?{name}\(", text, re.M) for name in ssl_zoo.__all__)


def test_every_swap_of_the_readme_composes() -> None:
    """Its commands are followed by docs/test_commands.py."""
    swaps = re.findall(r"\| `(method=[^`]+)` \|", README)
    assert len(swaps) >= 11
    for overrides in swaps:
        compose(overrides.split())


@pytest.mark.slow
def test_the_yaml_files_that_need_no_python_train(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its steps of adding data and a method on the grid, followed to the letter but for the length of the runs."""
    monkeypatch.chdir(tmp_path)
    files = re.findall(r"`FOLDER/([\w/]+\.yaml)`:\n\n```yaml\n(.*?)```", ADDING, re.S)
    assert [name for name, _ in files] == ["data/pets.yaml", "method/mine.yaml"]
    for name, text in files:
        (tmp_path / "FOLDER" / name).parent.mkdir(parents=True)
        (tmp_path / "FOLDER" / name).write_text(text)
    for number, kind in enumerate(("train/cat", "train/dog", "test/cat", "test/dog")):
        (tmp_path / "pets" / kind).mkdir(parents=True)
        for image in range(8):
            pixels = np.random.default_rng(8 * number + image).integers(0, 255, (8, 8, 3), np.uint8)
            Image.fromarray(pixels).save(tmp_path / "pets" / kind / f"{image}.png")
    commands = re.findall(r"SSL_ZOO_CONFIGS=FOLDER ssl-zoo train (.+)", ADDING)
    assert len(commands) == 2
    monkeypatch.setenv("SSL_ZOO_CONFIGS", "FOLDER")
    pets, mine = (overrides.split() for overrides in commands)
    small = ["batch_size=8", "epochs=1", "backbone.name=test_resnet", "augment.size=8", "precision=fp32"]
    small += ["monitor.knn.k=2", "monitor.probe.draws=1", "optimizer.warmup_epochs=0", "run_dir=pets-run"]
    config = compose(mine)
    assert (config.method.predictor.kind, config.method.momentum_encoder.enabled) == ("linear", True)
    assert config.recipe == "digits/byol"
    result = ssl_zoo.train([*pets, mine[0], *small, "method.projector.hidden_dim=16"], silent=True)
    assert (result.data, result.method, result.knn_top1 is None) == ("pets", "byol", False)
    assert result.differs_from_paper
    assert main(["list", "methods", "mine"]) == 0
    assert "on byol" in capsys.readouterr().out


def test_links_of_the_documents_lead_somewhere() -> None:
    for document in (ROOT / "README.md", *(ROOT / "docs").rglob("*.md")):
        for link in re.findall(r"\]\(([^)#]+)\)", document.read_text()):
            if not link.startswith("http"):
                assert (document.parent / link).exists(), f"{document.name}: {link}"


def test_only_the_equation_detaches() -> None:
    """Stop-gradient has one place: no loss part and no method file hides another."""
    for file in [*(ROOT / "ssl_zoo" / "parts").glob("*.py"), *(ROOT / "methods").glob("*.py")]:
        code = re.sub(r'""".*?"""|#[^\n]*', "", file.read_text(), flags=re.S)
        for found in re.findall(r"\.detach\(|no_grad|\.data\b|inference_mode", code):
            allowed = {
                "assignment.py": ("no_grad", ".detach("),
                "prototypes.py": ("no_grad", ".detach("),
                "similarity.py": (".detach(",),  # of a gradient that is stated, not derived
                **dict.fromkeys(
                    (
                        "batchnorm.py",
                        "correlation.py",
                        "fifo.py",
                        "heads.py",
                        "memory.py",
                        "momentum.py",
                        "predictors.py",
                    ),
                    ("no_grad",),
                ),
            }  # weights and buffers
            assert found in allowed.get(file.name, ()), f"{file.name}: {found}"
