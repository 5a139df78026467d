"""README's table of the grid is generated from the methods' grid points.

SSL_ZOO_WRITE=1 pytest tests/test_grid_document.py     writes it anew
"""

from __future__ import annotations

import os
import typing
from pathlib import Path

from helpers.runs import SIAMESE_METHODS

from ssl_zoo.config.registries import METHODS
from ssl_zoo.config.schema import PredictorConfig, SiameseConfig
from ssl_zoo.parts.grid import GridPoint

README = Path(__file__).parent.parent / "README.md"
BEGIN, END = (
    "<!-- The grid, from the methods' grid points: see tests/test_grid_document.py -->\n",
    "<!-- end of the grid -->",
)
KEYS = {  # fields of a GridPoint, by the key under `method.`
    "stop_gradient": "stop_gradient",
    "predictor.kind": "predictor",
    "momentum_encoder.enabled": "momentum_encoder",
    "similarity": "similarity",
    "negatives": "negatives",
    "assignment": "assignment",
    "symmetric": "symmetric",
}


def render() -> str:
    rows = [["", *(f"`{key}`" for key in KEYS)], ["---"] * (1 + len(KEYS))]
    for name in SIAMESE_METHODS:
        point: GridPoint = METHODS.get(name).load().paper
        values = [getattr(point, field) for field in KEYS.values()]
        rows.append([f"`{name}`: {title(name)}", *(str(value).lower() for value in values)])
    rows.append(["all values", *(", ".join(choices(key)) for key in KEYS)])
    return "\n".join(f"| {' | '.join(row)} |" for row in rows) + "\n"


def title(name: str) -> str:
    """The method's name for a reader, with which its docstring begins: "SimCLR (Chen et al., 2020): …"."""
    return METHODS.get(name).summary.partition(" (")[0]


def choices(key: str) -> list[str]:
    """The values of a key that takes one of some words, else true and false."""
    owner = PredictorConfig if key == "predictor.kind" else SiameseConfig
    hint = typing.get_type_hints(owner).get(key.rpartition(".")[2], bool)
    return [*typing.get_args(hint)] or ["true", "false"]


def test_the_grid_is_that_of_the_methods() -> None:
    text = README.read_text()
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    expected = f"{before}{BEGIN}{render()}{END}{after}"
    if os.environ.get("SSL_ZOO_WRITE"):
        README.write_text(text := expected)
    assert text == expected, "write it anew: SSL_ZOO_WRITE=1 pytest tests/test_grid_document.py"


def test_the_table_shows_all_that_makes_a_method() -> None:
    """Two methods have one row only if something else than the table's axes tells them apart."""
    points = [METHODS.get(name).load().paper for name in SIAMESE_METHODS]
    rows = [tuple(getattr(point, field) for field in KEYS.values()) for point in points]
    assert len(set(rows)) == len(set(points))
