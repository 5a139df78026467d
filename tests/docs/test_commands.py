"""Every command that the documents show is composed, and done where that is cheap; so is their Python."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from helpers.documents import OURS, PAGES, ROOT, figures_without_command, steps_in, steps_of
from helpers.example import install_example
from helpers.followed_pages import Reader, yaml_commands
from helpers.left_out import COMPOSED, FRAGMENTS, NOT_FOLLOWED, reason_in
from helpers.page_checks import Problem

pytestmark = pytest.mark.slow
FOLLOWED = {page.relative_to(ROOT).as_posix(): steps for page in PAGES if (steps := steps_of(page))}


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of what pages suppose, made once."""
    return tmp_path_factory.mktemp("store")


@pytest.fixture
def reader(store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Reader:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "1000")
    return Reader(store)


@pytest.mark.parametrize("page", FOLLOWED)
def test_a_page_can_be_followed(
    page: str, reader: Reader, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    if re.search("barlowtwins|data=shapes", "".join(step.text for step in FOLLOWED[page])):
        install_example(tmp_path_factory.mktemp("site"), monkeypatch)
    reader.follow(FOLLOWED[page])


def test_the_headers_of_yaml_files_can_be_followed(reader: Reader) -> None:
    steps = [*yaml_commands(ROOT / "configs")]
    assert len(steps) > 60
    reader.compose(steps)


def test_each_reason_is_that_of_a_command() -> None:
    texts = [step.text for steps in FOLLOWED.values() for step in steps if step.kind == "command"]
    for pattern in (*COMPOSED, *NOT_FOLLOWED):
        assert any(reason_in({pattern: ""}, text) for text in texts), pattern
    blocks = [f"{page}\n{step.text}" for page in FOLLOWED for step in FOLLOWED[page] if step.kind == "python"]
    for pattern in FRAGMENTS:
        assert any(re.search(pattern, block) for block in blocks), pattern


FAULTS = {
    "a renamed key": ("    ssl-zoo train optimizer.lrr=1", "did you mean 'optimizer.lr'"),
    "a renamed key of another verb": ("    ssl-zoo export RUN formt=timm", "formt"),
    "a suite that there isn't": ("```bash\nssl-zoo bench suite=simsiam_table99\n```", "simsiam_table99"),
    "a list of what there isn't": ("See `ssl-zoo list suits`.", "suits"),
    "a verb within a sentence": ("See `ssl-zoo trian`.", "there is no verb 'trian'"),
    "a key within a sentence": ("Say `ssl-zoo eval RUN weight=random`.", "eval has no key 'weight'"),
    "a key to be explained": ("See `ssl-zoo config --describe optimizer.lrr`.", "optimizer.lrr"),
    "a wrong attribute": ("```python\nimport ssl_zoo\nssl_zoo.trian([])\n```", "ssl_zoo has no 'trian'"),
    "a wrong name": ("```python\nfrom ssl_zoo import trian\n```", "trian"),
    "Python that fails": ("```python\nssl_zoo.load_backbone('runs/a', layer=3)\n```", "layer"),
    "an option of a script": (
        "    python -m ssl_zoo.benchmarks.shards OUT --images DIR --imagez 3",
        "--imagez",
    ),
    "a script that there isn't": ("    python -m ssl_zoo.benchmarks.shard OUT", "there is no module"),
    "what fails when it is done": (
        "    ssl-zoo train run_dir=run\n    ssl-zoo eval run knn.k=[100000]",
        "100000",
    ),
    "a file that was written before": (
        "`FOLDER/method/mine.yaml`:\n\n```yaml\ndefaults: [byoll]\n```\n\n"
        "    SSL_ZOO_CONFIGS=FOLDER ssl-zoo train method=mine",
        "byoll",
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_planted_fault_is_found(fault: str, reader: Reader) -> None:
    text, message = FAULTS[fault]
    with pytest.raises(Problem, match=re.escape(message)):
        reader.follow(steps_in(text))


def test_commands_are_told_from_what_they_print() -> None:
    page = """
Type `ssl-zoo list`, see `ssl-zoo: unknown verb`.

    $ pip install .
    A=1 ssl-zoo train a=1 \\
        b=2   # not c=3

```console
$ ssl-zoo list
ssl-zoo train is a verb
```

```text
to continue: ssl-zoo train resume=auto
```

`F/one.yaml`:

```yaml
ssl-zoo train: 1
```
"""
    steps = steps_in(page)
    assert [(step.kind, step.words) for step in steps if step.kind != "file"] == [
        ("inline", ["ssl-zoo", "list"]),
        ("command", ["ssl-zoo", "train", "a=1", "b=2"]),
        ("command", ["ssl-zoo", "list"]),
    ]
    assert steps[1].environment == {"A": "1"}
    assert (steps[-1].name, steps[-1].text) == ("F/one.yaml", "ssl-zoo train: 1\n")
    with pytest.raises(AssertionError, match="unknown language 'pyhton'"):
        steps_in("```pyhton\nssl_zoo\n```")


# Tables whose figures are not ours to measure, or are said otherwise.
NO_COMMAND = {
    "docs/architecture.md: Layers": "numbers of layers",
    "docs/how/claims.md: Seeds until it is decided": "simulations: tests/suites/test_looks.py",
    "docs/how/verdict.md: The verdict: has it collapsed, and has it learned?": "thresholds",
    "docs/results/suites.md: ": "sums over the suites' reports, which have their commands",
    "docs/results/verdicts.md: ": "of runs in an earlier tree, which the page names",
}


def test_figures_stand_beside_a_command() -> None:
    found = {
        f"{page.relative_to(ROOT).as_posix()}: {'' if 'results' in page.parts else heading}"
        for page in [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
        if not ("results" in page.parts and OURS.search(page.read_text()))  # a page with its command
        for heading in figures_without_command(page.read_text())
    }
    assert found <= {*NO_COMMAND}


def test_a_table_without_a_command_is_found() -> None:
    table = "\n\n| a | b |\n|---|---|\n| x | 1.5 |\n| y | 2.5 ± 0.1 |\n| z | 30 % |\n| u | 4 s |\n"
    assert figures_without_command(f"# T\n\n## One{table}") == ["One"]
    assert figures_without_command(f"# T\n\n## One\n\nBy `ssl-zoo train method=byol`:{table}") == []
