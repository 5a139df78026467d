"""What stands on the page, from which images, and what is refused."""

from __future__ import annotations

import csv
import dataclasses
import itertools
import json
import re
import shutil
import xml.etree.ElementTree as ET
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from helpers.exports import make
from PIL import Image

from ssl_zoo.config.compose import compose
from ssl_zoo.data import reader
from ssl_zoo.errors import UserError
from ssl_zoo.pages import drawing
from ssl_zoo.pages.image_strips import tile
from ssl_zoo.reports.compare import compare
from ssl_zoo.reports.image_sample import load_images, views_of
from ssl_zoo.reports.options import read_report
from ssl_zoo.reports.report import report

pytestmark = pytest.mark.slow


class Reader(HTMLParser):
    """The visible text, the tags with their attributes, and the levels of the headings."""

    def __init__(self, page: Any) -> None:
        super().__init__()
        self.tags: list[Any] = []
        self.overrides: list[Any] = []
        self.inside: Any = None
        self.feed(page.read_text())

    def handle_starttag(self, tag: Any, attrs: Any) -> None:
        self.tags.append((tag, dict(attrs)))
        self.inside = tag

    def handle_endtag(self, tag: Any) -> None:
        self.inside = None

    def handle_data(self, data: Any) -> None:
        if self.inside not in ("style", "script"):
            self.overrides.append(data)

    @property
    def text(self) -> Any:
        return re.sub(r"\s+", " ", " ".join(self.overrides))

    def all(self, tag: Any) -> Any:
        return [attrs for name, attrs in self.tags if name == tag]


@pytest.fixture(autouse=True)
def undrawn(monkeypatch: pytest.MonkeyPatch, labelled: Any, unlabelled: Any) -> None:
    """Drawing is most of the time of a report, and is looked at in those of the two fixtures."""
    monkeypatch.setattr(drawing, "_drawn", lambda paint, theme, size, *forms: [b"drawn"] * len(forms))


@pytest.fixture(scope="module")
def page(labelled: Any) -> Any:
    return Reader(labelled / "report" / "report.html")


def test_the_figures_of_the_run_are_on_the_page(labelled: Any, page: Any) -> None:
    result = json.loads((labelled / "result.json").read_text())
    reason = result["verdict_reason"]
    for expected in (
        result["verdict"],
        reason[0].upper() + reason[1:],
        f"Likely cause: {result['cause']}. To try: {result['remedy']}",
        f"{100 * result['linear_top1']:.1f} ± {100 * result['linear_top1_std']:.1f} %",
        f"{100 * result['knn_top1']:.1f} %",
        f"{100 * result['baselines']['pixels_linear_top1']:.1f} %",
        f"{100 * result['baselines']['random_encoder_knn_top1']:.1f} %",
        result["linear_protocol"],
        result["config_hash"],
        f"torch {result['versions']['torch']}",
        "weighted kNN, k=5 & T=0.1",
        "43.2 %",
        "stop gradient no",
        "stop_gradient: false",
        f"ssl-zoo report run={labelled}".replace("run=", ""),
        "60 of the 160 training images of digits",
    ):
        assert re.sub(r"\s+", " ", expected) in page.text


def test_the_curves_tell_their_last_values(labelled: Any, page: Any) -> None:
    with (labelled / "metrics.csv").open() as file:
        rows = list(csv.DictReader(file))
    pattern = (
        r"over (\d+) epochs: (\S+) at epoch (\d+), (\S+) at the last; lowest (\S+), highest ([^\s;.]+[.]?\d*)"
    )
    for heading, column in (
        ("Training loss", "loss"),
        ("Learning rate", "lr"),
        ("Effective rank of", "effective_rank"),
    ):
        (alt,) = (image["alt"] for image in page.all("img") if image["alt"].startswith(heading))
        stated = [float(number.replace("−", "-")) for number in re.search(pattern, alt).groups()]
        known = [(float(row["epoch"]), float(row[column])) for row in rows if row[column]]
        values = [value for _, value in known]
        expected = [known[-1][0], values[0], known[0][0], values[-1], min(values), max(values)]
        assert stated == pytest.approx(expected, rel=5.1e-3)  # three digits


def test_the_page_is_whole_in_itself(labelled: Any, page: Any) -> None:
    html = (labelled / "report" / "report.html").read_text()
    for attrs in (attrs for _, attrs in page.tags):
        for key in ("src", "srcset", "href"):
            assert attrs.get(key, "data:").startswith(("data:", "#"))
    assert "url(" not in html
    assert "@import" not in html
    assert not page.all("script")


def test_the_page_is_well_formed_for_all_readers(page: Any) -> None:
    assert page.all("html")[0]["lang"] == "en"
    assert any(meta.get("name") == "viewport" for meta in page.all("meta"))
    assert page.all("title")
    levels = [int(tag[1]) for tag, _ in page.tags if re.fullmatch("h[1-6]", tag)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(later <= earlier + 1 for earlier, later in itertools.pairwise(levels))
    assert page.all("img")
    assert all(image["alt"].strip() for image in page.all("img"))
    ids = [attrs["id"] for _, attrs in page.tags if "id" in attrs]
    assert len(ids) == len(set(ids))
    assert all(link["href"][1:] in ids for link in page.all("a"))


def test_each_picture_lies_beside_the_page(labelled: Any) -> None:
    folder = labelled / "report"
    names = {file.name for file in folder.glob("*.png")}
    charts = (
        "curve-loss",
        "curve-knn-top1",
        "map-trained",
        "map-untrained",
        "spectrum-features",
        "spectrum-embeddings",
    )
    grids = ("neighbours-trained", "neighbours-untrained", "views")
    assert {f"{name}.png" for name in (*charts, *grids)} <= names
    for name in names:
        assert np.asarray(Image.open(folder / name).convert("RGB")).std() > 1
    assert set(json.loads((folder / "report.json").read_text())["files"]) == {
        f.name for f in folder.iterdir()
    }


def test_without_labels_there_are_clusters_and_no_accuracies(unlabelled: Any) -> None:
    page = Reader(unlabelled / "report" / "report.html")
    assert "the data has no labels" in page.text
    assert "k-means clusters" in page.text
    assert "20 of the 30 training images of imagefolder" in page.text
    assert "linear probe" not in page.text.lower()
    assert "blue bar" not in page.text
    assert "of its class" not in " ".join(image["alt"] for image in page.all("img"))


def test_many_classes_with_odd_names(unlabelled: Any, photos: Any, tmp_path: Path) -> None:
    names = ["_first", "$a$b", "猫", *(f"class{number:02}" for number in range(22))]
    for name, file in zip(names, sorted(photos.glob("*.png")), strict=False):
        (tmp_path / "sorted" / name).mkdir(parents=True)
        shutil.copy(file, tmp_path / "sorted" / name)
    other = ["data=imagefolder", f"data.train={tmp_path / 'sorted'}", f"out={tmp_path / 'out'}"]
    page = Reader(report([str(unlabelled), *other], silent=True))
    maps = [image["alt"] for image in page.all("img") if image["alt"].startswith("t-SNE")]
    assert len(maps) == 2
    assert all("20 of 25 classes coloured" in alt for alt in maps)
    assert "10 of the 25 classes, drawn at random" in page.text
    few = tmp_path / "few"
    for name in ("猫", "_first"):
        shutil.copytree(tmp_path / "sorted" / name, few / name)
    for number, file in enumerate(sorted(photos.glob("*.png"))[:12]):
        shutil.copy(file, few / ("猫", "_first")[number % 2] / f"more{number}.png")
    other = ["data=imagefolder", f"data.train={few}", f"out={tmp_path / 'other'}"]
    page = Reader(report([str(unlabelled), *other], silent=True))
    assert (
        "Numbers stand for classes whose letters the pictures' font lacks: 1 = _first, 2 = 猫." in page.text
    )


def test_only_the_drawn_images_are_read(
    unlabelled: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = []
    read = reader.read_image  # type: ignore[attr-defined]
    monkeypatch.setattr(reader, "read_image", lambda path, *how: opened.append(path) or read(path, *how))
    report([str(unlabelled), "samples=12", f"out={tmp_path / 'out'}"], silent=True)
    assert len(set(opened)) == 12


@pytest.mark.slow
def test_images_of_many_channels_and_16_bits_are_shown_stretched(tmp_path: Path) -> None:
    images = np.random.default_rng(0).integers(0, 4000, (12, 5, 12, 12), np.uint16)  # of 65535
    folder = tmp_path / "images"
    folder.mkdir()
    for number, image in enumerate(images):
        np.save(folder / f"{number:02d}.npy", image)
    run = make(tmp_path / "run", "data=imagefolder", f"data.train={folder}", "backbone.name=test_resnet")
    report([str(run)], silent=True)
    shown = np.asarray(Image.open(run / "report" / "views.png"))
    assert shown.shape[2] == 3
    first = tile(torch.from_numpy(images[0]), stretch=True)
    lowest = images[0, :3].min()
    wanted = (images[0, :3].astype(float) - lowest) / (images[0, :3].max() - lowest)
    side = first.width // 12
    assert np.abs(np.asarray(first)[::side, ::side].transpose(2, 0, 1) / 255 - wanted).max() < 1 / 255


def test_views_are_those_of_the_run_and_of_the_images_named() -> None:
    run_config = compose(["method=simclr", "data=digits", "augment.size=8", "augment.crop.scale=[1,1]",
                          "augment.crop.ratio=[1,1]", "augment.affine.p=0", "augment.jitter.p=0"])  # fmt: skip
    images = load_images(run_config.data, 50, seed=0)

    @dataclasses.dataclass
    class Run:
        config: object

    views = views_of(images, [4, 2, 9], Run(run_config), run_config.data, seed=1)
    plain = images.pixels([4, 2, 9], 8).float() / 255
    assert len(views) == len(run_config.views)
    for view in views:  # nothing is left that changes an image
        torch.testing.assert_close(view, plain, atol=1e-3, rtol=0)


def test_an_unfinished_run_says_so(copy: Any, tmp_path: Path) -> None:
    (copy / "result.json").unlink()
    (copy / "metrics.csv").unlink()
    page = Reader(report([str(copy), "samples=20", f"out={tmp_path / 'out'}"], silent=True))
    assert "unfinished" in page.text
    assert "no result.json" in page.text
    assert "There is no metrics.csv" in page.text
    assert "Nearest neighbours" in page.text


def test_a_diverged_run_has_a_page(copy: Any, tmp_path: Path) -> None:
    checkpoint = copy / "checkpoints" / "last.ckpt"
    contents = torch.load(checkpoint, weights_only=True)
    for weight in contents["state_dict"].values():
        if weight.is_floating_point():
            weight.fill_(torch.nan)
    torch.save(contents, checkpoint)
    page = Reader(report([str(copy), "samples=20", f"out={tmp_path / 'out'}"], silent=True))
    alts = [image["alt"] for image in page.all("img")]
    assert any(alt.startswith("t-SNE") and "untrained encoder" in alt for alt in alts)
    assert not any("by the trained encoder" in alt for alt in alts)
    spectra = [alt for alt in alts if alt.startswith("Eigenvalues")]
    assert len(spectra) == 2
    assert not any(re.search(r"(?<!un)trained:", alt) for alt in spectra)
    assert "map-trained.png" not in {file.name for file in (tmp_path / "out").iterdir()}
    assert page.text.count("Nothing of the trained encoder is shown: its outputs are not finite.") == 3


def spoil(folder: Any, verdict: Any) -> None:
    result = json.loads((folder / "result.json").read_text())
    (folder / "result.json").write_text(json.dumps({**result, "verdict": verdict, "linear_top1": 0.5}))


def test_a_comparison_never_prefers_a_collapsed_run(
    labelled: Any, copy: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    spoil(copy, "collapsed")
    healthy = shutil.copytree(copy, tmp_path / "healthy")
    spoil(healthy, "healthy")
    written = report([str(copy), str(healthy), "samples=40"])
    shown = "".join(capsys.readouterr())
    assert "healthy is the only one not ruled out by its verdict; its score decides nothing." in shown
    assert re.search(r"  copy: participation ratio \S+ ± \S+ · linear probe 50.0 % · collapsed\n", shown)
    assert written.parent.parent == tmp_path
    assert written.parent.name.startswith("comparison-of-2-")
    record = json.loads((written.parent / "report.json").read_text())
    assert record["best"] == "healthy"
    assert [one["name"] for one in record["runs_scored"]] == ["healthy", "copy"]
    page = Reader(written)
    assert "healthy is the only one not ruled out by its verdict; its score decides nothing." in page.text
    assert "0.79, and 0.53" in page.text
    assert "The configurations are the same" in page.text
    assert "a rank correlation takes four" in page.text
    spoil(healthy, "diverged")
    record = json.loads(
        (report([f"run=[{copy},{healthy}]", "samples=40"], silent=True).parent / "report.json").read_text()
    )
    assert record["best"] is None


def test_a_comparison_is_an_object_too(labelled: Any, copy: Any, tmp_path: Path) -> None:
    file = copy / "config.yaml"
    file.write_text(file.read_text().replace("seed: 0", "seed: 7"))
    comparison = compare([str(labelled), str(copy), "samples=20", f"out={tmp_path / 'out'}"], silent=True)
    assert comparison.page == tmp_path / "out" / "report.html"
    assert comparison.page.is_file()
    assert comparison.lead in comparison.page.read_text()
    assert comparison.differences is not None
    assert comparison.differences.keys == {"seed": (0, 7)}
    assert {run["name"] for run in comparison.values["runs_scored"]} == {"run", "copy"}
    page = comparison._repr_html_()
    headings = [["".join(cell.itertext()) for cell in row] for row in ET.fromstring(page).iter("thead")]
    assert headings[1] == ["runcopy"]
    assert comparison.lead in repr(comparison)


def test_runs_of_different_data_are_scored_on_the_first_ones(
    labelled: Any, unlabelled: Any, tmp_path: Path
) -> None:
    spoken = [str(unlabelled), str(labelled), "samples=20", f"out={tmp_path / 'out'}"]
    page = Reader(report(spoken, silent=True))
    assert "20 of the 30 training images of imagefolder" in page.text
    assert "data.name" in page.text


def test_an_earlier_report_is_replaced_and_nothing_else(copy: Any, unlabelled: Any, tmp_path: Path) -> None:
    first = report([str(copy), "samples=10"], silent=True)
    assert first == copy / "report" / "report.html"
    (first.parent / "map-trained.png").unlink()
    assert report([str(copy), "samples=11"], silent=True) == first
    assert (first.parent / "map-trained.png").is_file()
    with pytest.raises(UserError, match="earlier report of the same runs"):
        report([str(unlabelled), f"out={first.parent}"], silent=True)
    (first.parent / "mine.txt").write_text("kept")
    with pytest.raises(UserError, match="holds other files"):
        report([str(copy), "samples=10"], silent=True)
    assert (first.parent / "mine.txt").read_text() == "kept"


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ([], "report needs a run"),
        (["run=nowhere"], "takes a run directory"),
        (["RUN", "samples=3"], "samples must be at least 10"),
        (["RUN", "colour=red"], "unknown key 'colour'"),
        (["RUN", "RUN"], "each run is compared once"),
        (["RUN", "data=imagefolder", "data.train=nowhere"], "data.train"),
        (["RUN", "out=FILE"], "is a file"),
        (["RUN", "out=FULL"], "out must be new"),
    ],
)
def test_wrong_input_creates_nothing(copy: Any, tmp_path: Path, overrides: Any, message: str) -> None:
    (tmp_path / "FILE").write_text("")
    (tmp_path / "FULL").mkdir()
    (tmp_path / "FULL" / "kept").write_text("")
    before = sorted(tmp_path.rglob("*"))
    spoken = [w.replace("RUN", str(copy)) for w in overrides]
    spoken = [
        w.replace(name, str(tmp_path / name)) for w in spoken for name in ["FILE" if "FILE" in w else "FULL"]
    ]
    with pytest.raises(UserError, match=message):
        report(spoken, silent=True)
    assert sorted(tmp_path.rglob("*")) == before


def test_a_damaged_checkpoint_is_refused(copy: Any) -> None:
    (copy / "checkpoints" / "last.ckpt").write_bytes(b"cut off")
    with pytest.raises(UserError, match="cannot be read"):
        report([str(copy)], silent=True)
    assert not (copy / "report").exists()


def test_data_that_has_moved_is_named_anew(unlabelled: Any, photos: Any, tmp_path: Path) -> None:
    away = tmp_path / "away"
    away.mkdir()
    hidden = photos.rename(photos.with_name("hidden"))
    try:
        with pytest.raises(UserError, match=r"no longer there.*data.train=FOLDER"):
            report([str(unlabelled), f"out={away}"], silent=True)
        assert list(away.iterdir()) == []
        report([str(unlabelled), f"out={away}", f"data.train={hidden}", "samples=12"], silent=True)
        assert (away / "report.html").is_file()
    finally:
        hidden.rename(photos)


def test_bare_words_are_runs(tmp_path: Path) -> None:
    odd = tmp_path / "lr=0.1"
    odd.mkdir()
    config, about_data = read_report(["a", str(odd), "run=[b,c]", "data.limit=5", "seed=3"])
    assert config.run == ("a", str(odd), "b", "c")
    assert config.seed == 3
    assert about_data == ["data.limit=5"]
