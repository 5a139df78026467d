"""Detectron2's fine-tuning of a backbone on Pascal VOC: its YAML, and the script that registers what the YAML names.

- [0] SimSiam, 2020, https://arxiv.org/abs/2011.10566 (Table 5)
- [1] MoCo, 2019, https://arxiv.org/abs/1911.05722 (Sec. 4.2)
- [2] its recipes, https://github.com/facebookresearch/moco (detection/configs)
"""

from __future__ import annotations

from typing import NamedTuple

from torch import nn

from ssl_zoo.exporters.encoder import ExportedEncoder

__all__ = ["TRAIN_NET", "Layout", "layout_of", "recipe_of"]

DEPTHS = {(2, 2, 2, 2): 18, (3, 4, 6, 3): 50, (3, 4, 23, 3): 101, (3, 8, 36, 3): 152}

# MoCo's extra BN after res5: what comes out of a pre-trained res5 has no scale that a detection head would expect.
TRAIN_NET = """\
from detectron2.config import get_cfg
from detectron2.engine import DefaultTrainer, default_argument_parser, default_setup, launch
from detectron2.evaluation import PascalVOCDetectionEvaluator
from detectron2.layers import get_norm
from detectron2.modeling.roi_heads import ROI_HEADS_REGISTRY, Res5ROIHeads


@ROI_HEADS_REGISTRY.register()
class Res5ROIHeadsExtraNorm(Res5ROIHeads):
    \"\"\"The C4 head with a batch normalisation after res5, as in MoCo (Sec. 4.2).\"\"\"

    def __init__(self, cfg, input_shape):
        super().__init__(cfg, input_shape)
        width = self.res5[-1].out_channels
        self.res5.add_module("norm", get_norm(cfg.MODEL.RESNETS.NORM, width))


class Trainer(DefaultTrainer):
    @classmethod
    def build_evaluator(cls, cfg, dataset_name, output_folder=None):
        return PascalVOCDetectionEvaluator(dataset_name)


def main(args):
    cfg = get_cfg()
    cfg.merge_from_file(args.config_file)
    cfg.merge_from_list(args.opts)
    cfg.freeze()
    default_setup(cfg, args)
    trainer = Trainer(cfg)
    trainer.resume_or_load(resume=args.resume)
    return trainer.train()


if __name__ == "__main__":
    args = default_argument_parser().parse_args()
    launch(main, args.num_gpus, args.num_machines, args.machine_rank, args.dist_url, args=(args,))
"""

C4 = """\
  RPN:
    PRE_NMS_TOPK_TEST: 6000
    POST_NMS_TOPK_TEST: 1000
  ROI_HEADS:
    NAME: "Res5ROIHeadsExtraNorm"  # of train_net.py
    NUM_CLASSES: 20
"""
FPN = """\
  FPN:
    IN_FEATURES: ["res2", "res3", "res4", "res5"]
    NORM: "SyncBN"
  ANCHOR_GENERATOR:
    SIZES: [[32], [64], [128], [256], [512]]
    ASPECT_RATIOS: [[0.5, 1.0, 2.0]]
  RPN:
    IN_FEATURES: ["p2", "p3", "p4", "p5", "p6"]
    PRE_NMS_TOPK_TRAIN: 2000
    PRE_NMS_TOPK_TEST: 1000
    POST_NMS_TOPK_TRAIN: 1000
    POST_NMS_TOPK_TEST: 1000
  ROI_HEADS:
    NAME: "StandardROIHeads"
    IN_FEATURES: ["p2", "p3", "p4", "p5"]
    NUM_CLASSES: 20
  ROI_BOX_HEAD:
    NAME: "FastRCNNConvFCHead"
    NUM_FC: 2
    POOLER_RESOLUTION: 7
"""
RECIPE = """\
# {architecture} of ssl-zoo, {neck}, on Pascal VOC 07+12 in 24,000 iterations, as MoCo and SimSiam fine-tune R50-C4.
# python train_net.py --config-file {file} --num-gpus 8
MODEL:
  META_ARCHITECTURE: "GeneralizedRCNN"
  WEIGHTS: "{weights}"
  MASK_ON: False
  PIXEL_MEAN: {mean}  # of values in [0, 255], as in pre-training
  PIXEL_STD: {std}
  BACKBONE:
    NAME: "{builder}"
    FREEZE_AT: 0
  RESNETS:
    DEPTH: {depth}
    NUM_GROUPS: {groups}
    WIDTH_PER_GROUP: {width}
    RES2_OUT_CHANNELS: {res2}
    OUT_FEATURES: {features}
    NORM: "SyncBN"
    STRIDE_IN_1X1: False
{head}INPUT:
  FORMAT: "RGB"
  MIN_SIZE_TRAIN: (480, 512, 544, 576, 608, 640, 672, 704, 736, 768, 800)
  MIN_SIZE_TEST: 800
DATASETS:
  TRAIN: ("voc_2007_trainval", "voc_2012_trainval")
  TEST: ("voc_2007_test",)
SOLVER:
  IMS_PER_BATCH: 16
  BASE_LR: 0.02
  STEPS: (18000, 22000)
  MAX_ITER: 24000
  WARMUP_ITERS: 100
TEST:
  PRECISE_BN:
    ENABLED: True
"""


class Layout(NamedTuple):
    """The description from which Detectron2 builds the network."""

    depth: int
    groups: int
    width: int
    res2: int
    neck: str  # C4 or FPN


def layout_of(model: nn.Module) -> Layout:
    """The layout of a ResNet of torchvision."""
    stages = [getattr(model, f"layer{stage}") for stage in (1, 2, 3, 4)]
    first = stages[0][0]
    bottleneck = hasattr(first, "conv3")
    depth = DEPTHS[tuple(map(len, stages))]  # type: ignore[index]
    if not bottleneck:
        return Layout({18: 18, 50: 34}[depth], 1, 64, 64, "FPN")
    groups = first.conv2.groups
    width = first.conv2.out_channels // groups
    return Layout(depth, groups, width, first.conv3.out_channels, "C4")


def recipe_of(encoder: ExportedEncoder, layout: Layout, file: str, weights: str) -> str:
    """The YAML, which will be called `file`, of a detector that begins with `weights`."""
    data, c4 = encoder.run.config.data, layout.neck == "C4"
    return RECIPE.format(
        architecture=encoder.architecture,
        file=file,
        weights=weights,
        mean=[round(255 * value, 4) for value in data.mean],
        std=[round(255 * value, 4) for value in data.std],
        builder="build_resnet_backbone" if c4 else "build_resnet_fpn_backbone",
        features='["res4"]' if c4 else '["res2", "res3", "res4", "res5"]',
        head=C4 if c4 else FPN,
        **layout._asdict(),
    )
