"""A wrong override is refused before torch is imported, which takes seconds."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

pytestmark = pytest.mark.processes

CODE = """
import contextlib, io, json, sys
from ssl_zoo import registry
from ssl_zoo.cli.main import main
registry._plugins = lambda path: []  # with a plugin's data source, keys of `data.` are checked later
refused = {}
for line in json.loads(sys.argv[1]):
    with contextlib.redirect_stderr(io.StringIO()) as output:
        status = main(line)
    refused[" ".join(line)] = [status, output.getvalue(), "torch" in sys.modules]
print(json.dumps(refused))
"""
WRONG = {
    "train epochs=x": "whole number",
    "train method=simsaim": "did you mean 'simsiam'",
    "train method.stop_gradent=true": "did you mean 'method.stop_gradient'",
    "config optimizer.lr=-1": "greater than 0",
    "doctor --speed batch_size=x": "whole number",
    "list nonsense": "unknown list",
    "eval run=missing": "does not exist",
    "eval run=. knn.k=x": "knn.k must be",
    "eval run=. protocol=knnn": "did you mean 'knn'",
    "eval run=. data.limit=x": "data.limit must be",
    "eval run=. data=cifar11": "did you mean 'cifar10'",
    "export run=missing format=timm": "does not exist",
    "export run=. format=timn": "did you mean 'timm'",
    "embed run=missing out=x.npy": "does not exist",
    "embed run=. out=x.txt": "NAME.parquet or NAME.npy",
    "embed run=. out=x.npy data.limt=3": "did you mean 'data.limit'",
    "report run=. samples=x": "whole number",
    "bench suite=simsiam_table1 seeds=x": "whole number",
}


def test_before_torch_is_imported() -> None:
    lines = json.dumps([line.split() for line in WRONG])
    done = subprocess.run([sys.executable, "-c", CODE, lines], capture_output=True, text=True)
    refused = json.loads(done.stdout)
    for line, message in WRONG.items():
        status, output, has_torch = refused[line]
        assert (status, message in output) == (2, True), (line, output)
        assert not has_torch, line


def test_a_configuration_is_composed_without_torch() -> None:
    code = "import sys; from ssl_zoo.cli.main import main; main(['config', 'method=byol'])"
    code += "; print('torch' in sys.modules)"
    output = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert output.startswith("method:")
    assert output.endswith("False\n")
