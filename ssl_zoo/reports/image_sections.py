"""Sections of a run's report that show images: a map of them, the nearest to some, and their augmented views."""

from __future__ import annotations

import io

import numpy as np
import torch
from PIL import Image

from ssl_zoo.pages.drawing import Picture, chart, photo
from ssl_zoo.pages.image_strips import stack, strip, tile
from ssl_zoo.pages.legend import drawable
from ssl_zoo.pages.maps import map_size, scatter
from ssl_zoo.pages.numbers import percent
from ssl_zoo.pages.page import Block, Gallery, Prose, Section, Strips
from ssl_zoo.reports.encoded_images import EncodedImages
from ssl_zoo.reports.image_sample import views_of
from ssl_zoo.reports.structure import LEAST, agreement, chance, choose_queries, embed_in_2d, nearest

__all__ = ["feature_map", "neighbours", "training_views"]

NEIGHBOURS = 8
QUERIES = 10
SHOWN_VIEWS = 6  # images whose views are shown
COLOURED = 20  # classes at most that a map tells apart
PLURAL = {"class": "classes", "cluster": "clusters"}


def feature_map(encoded: EncodedImages) -> Section:
    """Maps the images by t-SNE of their features, for each encoder."""
    heading = "Map of the features"
    if len(encoded.images) < LEAST:
        return Section("map", heading, [Prose(f"No map: there are fewer than {LEAST} images.")])
    if encoded.groups is None or not encoded.usable:
        return Section("map", heading, [Prose("No map: the features are not finite.")])
    groups, names = encoded.groups
    sizes = torch.bincount(groups, minlength=len(names))
    shown = sizes.argsort(descending=True, stable=True)[:COLOURED].sort().values
    colour_of = torch.full((len(names),), -1)
    colour_of[shown] = torch.arange(len(shown))
    labelled, not_all = encoded.images.labels is not None, len(shown) < len(names)
    how = f"coloured by {len(names)} k-means clusters of the trained features"
    if labelled:
        how = f"{len(shown)} of {len(names)} classes coloured" if not_all else "coloured by class"
    coloured = [names[i] for i in shown.tolist()]
    written = drawable(coloured)
    pictures = []
    for name, outputs in encoded.usable.items():
        xy = embed_in_2d(outputs.features, encoded.config.seed)
        paint = scatter(f"{name} encoder", xy, colour_of[groups].numpy().astype(np.int64), written)
        alt = f"t-SNE map of {len(xy)} images by the {name} encoder's features, {how}."
        if labelled:
            k = min(NEIGHBOURS, len(xy) - 1)
            same = agreement(outputs.features, groups, k)
            alt += f" Of the {k} nearest features of an image {percent(same)} are of its class."
        pictures.append(chart(f"map-{name}", paint, alt=alt, size=map_size(written)))
    blocks: list[Block] = [
        Prose(
            f"t-SNE of the backbone's features, after PCA to 50 dimensions: {encoded.images.in_words}, {how}. Near "
            "points are alike; distances between groups and their sizes mean little."
        )
    ]
    if not labelled:
        blocks.append(
            Prose(
                "These images have no labels. The clusters are found in the trained features themselves, so that they "
                "lie apart in their map says nothing about right or wrong."
            )
        )
    elif not_all:
        blocks.append(
            Prose(
                f"The {len(shown)} most frequent of {len(names)} classes have a colour, the others are grey."
            )
        )
    if written != coloured:
        numbered = ", ".join(f"{number} = {name}" for number, name in zip(written, coloured, strict=True))
        blocks.append(Prose(f"Numbers stand for classes whose letters the pictures' font lacks: {numbered}."))
    return Section("map", heading, [*blocks, *encoded.left_out, Gallery(pictures, wide=True)])


def neighbours(encoded: EncodedImages) -> Section:
    """Shows a few images with those that each encoder takes for the most similar."""
    heading, k = "Nearest neighbours", min(NEIGHBOURS, len(encoded.images) - 1)
    if encoded.groups is None or not encoded.usable:
        return Section("neighbours", heading, [Prose("No neighbours: the features are not finite.")])
    groups, names = encoded.groups
    labelled = encoded.images.labels is not None
    queries = choose_queries(groups, QUERIES, encoded.config.seed)
    nearest_by = {name: nearest(outputs.features, queries, k) for name, outputs in encoded.usable.items()}
    needed = sorted(
        {*queries.tolist(), *(i for near in nearest_by.values() for i in near.index.flatten().tolist())}
    )
    size, deep = encoded.run.config.augment.size, encoded.data.bit_depth == 16
    pixels = encoded.images.pixels(needed, min(size, 64))
    tiles = dict(zip(needed, (tile(image, stretch=deep) for image in pixels), strict=True))
    rows: list[tuple[str, list[Picture]]] = []
    lines: dict[str, list[Image.Image]] = {name: [] for name in nearest_by}
    for row, query in enumerate(queries.tolist()):
        group = names[int(groups[query])] if labelled else f"cluster {names[int(groups[query])]}"
        pictures = []
        for name, near in nearest_by.items():
            index = near.index[row].tolist()
            same = [bool(groups[i] == groups[query]) if labelled else None for i in index]
            line = strip([tiles[i] for i in (query, *index)], [None, *same])
            lines[name].append(line)
            alt = f"An image of {group} and its {k} nearest by the {name} encoder"
            if labelled:
                alt += f": {', '.join(names[int(groups[i])] for i in index)}; {same.count(True)} of {k} of its class"
            alt += f". Cosines {near.similarity[row, 0]:.3f} to {near.similarity[row, -1]:.3f}."
            pictures.append(photo(f"neighbours-{name}-{row}", line, alt=alt))
        rows.append((group, pictures))
    sheets = {f"neighbours-{name}.png": _png(stack(images)) for name, images in lines.items()}
    kind, number = "class" if labelled else "cluster", len(set(groups.tolist()))
    each = (
        f"each {kind}"
        if len(queries) == number
        else f"{len(queries)} of the {number} {PLURAL[kind]}, drawn at random"
    )
    text = (
        f"Each row begins with a query, chosen by seed {encoded.config.seed} from {each}; then its {k} nearest of the "
        "images by the cosine of the backbone's features, the nearest first."
    )
    blocks: list[Block] = [Prose(text), *encoded.left_out]
    if labelled:
        same_class = {
            name: agreement(outputs.features, groups, k) for name, outputs in encoded.usable.items()
        }
        fractions = ", ".join(f"{percent(same)} for the {name} encoder" for name, same in same_class.items())
        blocks.append(
            Prose(
                f"A blue bar marks a neighbour of the query's class, an orange cross one of another. Over all images, "
                f"the {k} nearest are of the image's class in {fractions}; by chance {percent(chance(groups))}."
            )
        )
    columns = [f"{name} encoder" for name in nearest_by]
    return Section("neighbours", heading, [*blocks, Strips(columns, rows, sheets)])


def training_views(encoded: EncodedImages) -> Section:
    """Shows a few images with their augmented views."""
    number_shown, size = min(SHOWN_VIEWS, len(encoded.images)), encoded.run.config.augment.size
    chosen = np.sort(
        np.random.default_rng(encoded.config.seed).permutation(len(encoded.images))[:number_shown]
    ).tolist()
    views = views_of(
        encoded.images, chosen, encoded.run, encoded.data, encoded.config.seed
    )  # (n, C, size, size) each
    originals, deep = encoded.images.pixels(chosen, size), encoded.data.bit_depth == 16
    sizes = ", ".join(dict.fromkeys(f"{view.shape[-1]}" for view in views))
    rows, lines = [], []
    for row in range(number_shown):
        shown = [tile(image[row], stretch=deep) for image in (originals, *views)]
        line = strip(shown, [None] * (1 + len(views)))
        alt = f"Training image {row + 1}: the original and {len(views)} augmented views of it."
        lines.append(line)
        rows.append((f"image {row + 1}", [photo(f"views-{row}", line, alt=alt)]))
    text = (
        f"First the image at {size} pixels, then the {len(views)} views that training makes of it, {sizes} pixels "
        "wide, with the run's own augmentation; normalisation is undone. Drawn anew for this page."
    )
    files = {"views.png": _png(stack(lines))}
    return Section("views", "What the model saw", [Prose(text), Strips([], rows, files)])


def _png(image: Image.Image) -> bytes:
    file = io.BytesIO()
    image.save(file, "PNG", optimize=True)
    return file.getvalue()
