"""Detectors on a pretrained backbone: torchvision's Faster R-CNN and Mask R-CNN on VOC and COCO data.

The protocol that puts the parts together is `evaluation.protocols.detection`.
"""
