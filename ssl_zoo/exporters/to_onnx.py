"""An ONNX graph with a free batch axis.

- [0] ONNX, https://onnx.ai
- [1] torch.onnx, https://docs.pytorch.org/docs/stable/onnx.html
"""

from __future__ import annotations

import contextlib
import io
import logging
import warnings
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import torch
from torch import Tensor, nn

from ssl_zoo.errors import UserError
from ssl_zoo.exporters.encoder import ExportedEncoder, ExportedFiles
from ssl_zoo.exporters.schema import OnnxConfig

__all__ = ["write"]

FILE = "model.onnx"
OPSET = 18  # what torch's exporter writes without converting, and onnxruntime reads from 1.14 (2023) on
IN_ONE_FILE = 1_500_000_000  # bytes of weights; a protobuf file ends at 2 GiB
TOLERANCE = 1e-4  # of the features' largest magnitude


class _Normalized(nn.Module):
    """Images (N, C, H, W) in [0, 1] to features (N, F)."""

    mean: Tensor
    std: Tensor

    def __init__(self, model: nn.Module, mean: tuple[float, ...], std: tuple[float, ...]) -> None:
        super().__init__()
        self.model = model
        self.register_buffer("mean", torch.tensor(mean).view(-1, 1, 1))
        self.register_buffer("std", torch.tensor(std).view(-1, 1, 1))

    def forward(self, images: Tensor) -> Tensor:
        features: Tensor = self.model((images - self.mean) / self.std)
        return features


def write(encoder: ExportedEncoder, folder: Path, config: OnnxConfig) -> ExportedFiles:
    """Writes the graph, input `images` and output `features`, and compares it with the encoder in onnxruntime.

    Raises:
        UserError: torch cannot make a graph of this model, or makes a wrong one.
    """
    import onnx

    inside, size, channels = config.include_normalization, encoder.size, encoder.channels
    data = encoder.run.config.data
    model = _Normalized(encoder.model, data.mean, data.std).eval() if inside else encoder.model
    weight_bytes = sum(weight.nbytes for weight in encoder.model.state_dict().values())
    file = folder / FILE
    try:
        with _quiet():
            torch.onnx.export(
                model,
                (torch.rand(2, channels, size, size),),  # a batch of 1 would be taken for always 1
                file,
                input_names=["images"],
                output_names=["features"],
                dynamic_shapes=({0: torch.export.Dim("batch")},),
                opset_version=OPSET,
                external_data=weight_bytes > IN_ONE_FILE,
                dynamo=True,
            )
    except OSError:
        raise  # a full disk
    except Exception as error:  # whatever the exporter meets in one of a thousand architectures
        cause = error.__cause__ or error  # the exporter's own message is advice on filing an issue
        raise UserError(
            f"torch cannot make an ONNX graph of backbone '{encoder.architecture}' ({type(cause).__name__}: "
            f"{str(cause).strip().partition(chr(10))[0]}); use format=timm or safetensors"
        ) from error
    graph = onnx.load(file, load_external_data=False)
    for node in graph.graph.node:  # torch notes there where in this machine's files each one comes from
        node.ClearField("metadata_props")
        node.ClearField("doc_string")
    onnx.helper.set_model_props(graph, {**encoder.metadata(), "include_normalization": str(inside).lower()})
    onnx.save(graph, file)
    compared = _compare(encoder, model, file)
    takes = (
        "values in [0, 1], which it normalises itself: do not normalise them before"
        if inside
        else "normalised values: subtract the mean and divide by the standard deviation before"
    )
    files = {FILE: f"the graph, opset {OPSET}, and the weights"}
    if (folder / f"{FILE}.data").is_file():
        files = {FILE: f"the graph, opset {OPSET}", f"{FILE}.data": "the weights"}
    code = [
        "import onnxruntime",
        "",
        f'session = onnxruntime.InferenceSession("{FILE}", providers=["CPUExecutionProvider"])',
        "",
        "",
        "def model(images):",
        f'    """float32 (N, {channels}, {size}, {size}), {"in [0, 1]" if inside else "normalised"} -> features '
        f'(N, {encoder.num_features}); any N."""',
        '    return session.run(["features"], {"images": images})[0]',
    ]
    return ExportedFiles(
        files=files,
        code="\n".join(code),
        notes=(f"Input `images` takes {takes}.", compared),
        normalizes=inside,
    )


def _compare(encoder: ExportedEncoder, model: nn.Module, file: Path) -> str:
    """Returns the card's sentence on the agreement with onnxruntime, on batches of 1 and 5.

    Raises:
        UserError: they disagree.
    """
    if find_spec("onnxruntime") is None:
        return "The graph was not compared with the model it was made from: onnxruntime was not installed."
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])
    worst = 0.0
    for count in (1, 5):
        images = encoder.probe(count).sigmoid()
        with torch.inference_mode():
            wanted = model(images)
        computed = torch.from_numpy(session.run(["features"], {"images": images.numpy()})[0])
        scale = max(1.0, float(wanted.abs().max()))
        worst = max(worst, float((computed - wanted).abs().max()) / scale)
    if not worst <= TOLERANCE:
        raise UserError(
            f"an ONNX graph must compute what the model does, to {TOLERANCE:g}; that of backbone "
            f"'{encoder.architecture}' is off by {worst:g} in onnxruntime; use format=timm or safetensors"
        )
    return f"In onnxruntime {onnxruntime.__version__} its features agree with the model's to {worst:.1g}."


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Silences the exporter, which prints its stages and operators without a name; an error still comes out."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)
