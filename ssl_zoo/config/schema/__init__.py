"""The typed configuration of a run: a file per block, and here all of their names.

Every key that a user can set is declared once, with its type, range, default and meaning. `ssl-zoo config --describe
KEY` shows them, docs/keys.md lists them. YAML files and the command line (`ssl_zoo.config.compose`) only fill these
classes in; nothing downstream sees an untyped mapping. Values are checked strictly: an unknown key, a string where a
number belongs or a value out of range is refused.
"""

from ssl_zoo.config.schema.backbone import BackboneConfig
from ssl_zoo.config.schema.criterion import CRITERIA, CriterionConfig, JointEmbeddingConfig
from ssl_zoo.config.schema.data import DataConfig, DatasetConfig, HuggingFaceConfig, WebDatasetConfig
from ssl_zoo.config.schema.fitted import DirectConfig, OptimalConfig, UnifiedConfig
from ssl_zoo.config.schema.gradient import DecorrelationConfig, ExtraGradientConfig
from ssl_zoo.config.schema.imported import ImportedConfig
from ssl_zoo.config.schema.method import (
    MemoryConfig,
    MethodConfig,
    MomentumConfig,
    PredictorConfig,
    ProjectorConfig,
    PrototypesConfig,
    QueueConfig,
    SiameseConfig,
    SinkhornConfig,
)
from ssl_zoo.config.schema.monitor import KnnMonitorConfig, MonitorConfig, ProbeConfig
from ssl_zoo.config.schema.optimizer import OptimizerConfig
from ssl_zoo.config.schema.run import RunConfig, RunSettings
from ssl_zoo.config.schema.supervised import LabelsConfig
from ssl_zoo.config.schema.targets import CenteringConfig, SharpeningConfig
from ssl_zoo.config.schema.trainer import FORMER, RECORDS, LoggingConfig, TrainerConfig
from ssl_zoo.config.schema.types import (
    Count,
    Folder,
    Fraction,
    Index,
    NonNegative,
    Positive,
    Probability,
    Seed,
    extended,
    section,
)
from ssl_zoo.config.schema.views import (
    AffineConfig,
    AugmentConfig,
    BlurConfig,
    CropConfig,
    CutoutConfig,
    JitterConfig,
    NamedViewConfig,
    NoiseConfig,
    SolarizeConfig,
    ViewConfig,
)

__all__ = [
    "CRITERIA",
    "FORMER",
    "RECORDS",
    "AffineConfig",
    "AugmentConfig",
    "BackboneConfig",
    "BlurConfig",
    "CenteringConfig",
    "Count",
    "CriterionConfig",
    "CropConfig",
    "CutoutConfig",
    "DataConfig",
    "DatasetConfig",
    "DecorrelationConfig",
    "DirectConfig",
    "ExtraGradientConfig",
    "Folder",
    "Fraction",
    "HuggingFaceConfig",
    "ImportedConfig",
    "Index",
    "JitterConfig",
    "JointEmbeddingConfig",
    "KnnMonitorConfig",
    "LabelsConfig",
    "LoggingConfig",
    "MemoryConfig",
    "MethodConfig",
    "MomentumConfig",
    "MonitorConfig",
    "NamedViewConfig",
    "NoiseConfig",
    "NonNegative",
    "OptimalConfig",
    "OptimizerConfig",
    "Positive",
    "PredictorConfig",
    "Probability",
    "ProbeConfig",
    "ProjectorConfig",
    "PrototypesConfig",
    "QueueConfig",
    "RunConfig",
    "RunSettings",
    "Seed",
    "SharpeningConfig",
    "SiameseConfig",
    "SinkhornConfig",
    "SolarizeConfig",
    "TrainerConfig",
    "UnifiedConfig",
    "ViewConfig",
    "WebDatasetConfig",
    "extended",
    "section",
]  # fmt: skip
