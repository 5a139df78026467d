"""NumPy's own file of named arrays."""

from pathlib import Path

import numpy as np

from ssl_zoo import ExportConfig, ExportedEncoder, ExportedFiles, exporter, section

FILE = "backbone.npz"


@section
class NpzConfig(ExportConfig):
    """The keys that `format=npz` takes."""

    compress: bool = False
    """Whether the file is compressed."""


@exporter("npz", config=NpzConfig)
def npz(encoder: ExportedEncoder, folder: Path, config: NpzConfig) -> ExportedFiles:
    """Writes the weights by timm's names."""
    save = np.savez_compressed if config.compress else np.savez
    save(folder / FILE, **{name: weight.numpy() for name, weight in encoder.state.items()})
    return ExportedFiles(
        files={FILE: "the weights, by timm's names"},
        code=f'import numpy as np\n\nweights = np.load("{FILE}")  # name: array',
    )
