"""Pictures for a page: each chart drawn twice, in light and in dark colours, and once more as a PNG file."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable
from dataclasses import dataclass

import matplotlib as mpl
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_hex, to_rgb
from matplotlib.figure import Figure
from PIL import Image

__all__ = ["DARK", "FONT", "LIGHT", "Paint", "Picture", "Theme", "chart", "photo"]

# Ten colours that differ for any colour vision: Petroff, 2021, https://arxiv.org/abs/2107.02270
PETROFF = (
    "#3f90da", "#ffa90e", "#bd1f01", "#94a4a2", "#832db6", "#a96b59", "#e76300", "#b9ac70", "#717581", "#92dadd",
)  # fmt: skip
FONT = "DejaVu Sans"  # comes with matplotlib; letters become outlines, so that a reader needs no font
CONTRAST = {"light": 1.9, "dark": 3.0}  # of a mark against the page; more would make the colours alike


@dataclass(frozen=True)
class Theme:
    """The colours of a page, light or dark."""

    name: str
    ground: str
    ink: str
    muted: str
    rule: str
    trained: str
    random: str
    third: str

    @property
    def classes(self) -> tuple[str, ...]:
        """Ten colours, moved towards the ink as far as they need to be seen."""
        return tuple(_legible(colour, self) for colour in PETROFF)


LIGHT = Theme("light", "#ffffff", "#1c1e21", "#5f646b", "#dcdcd7", "#1d5fa7", "#8a6d1d", "#6c757d")
DARK = Theme("dark", "#15171a", "#e8e8e5", "#a3a8af", "#34383e", "#7db4ee", "#e0bb5a", "#98a1aa")

Paint = Callable[[Figure, Theme], None]


@dataclass(frozen=True)
class Picture:
    """A picture of a page.

    Attributes:
        name: name of the PNG file, without the suffix.
        light, dark: data URIs; the same where the picture has one version.
        png: the file.
        width, height: pixels that it takes at its natural size.
        alt: what it shows, for those who don't see it.
        caption: below it; plain text.
    """

    name: str
    light: str
    dark: str
    png: bytes
    width: int
    height: int
    alt: str
    caption: str = ""
    kind: str = "picture"


def chart(
    name: str, paint: Paint, *, alt: str, caption: str = "", size: tuple[float, float] = (3.6, 2.6)
) -> Picture:
    """Draws a chart.

    Args:
        name: name of the file.
        paint: draws on an empty figure in the colours of a theme.
        alt: the text alternative, with the figures that the chart shows.
        caption: the text below.
        size: inches, of 96 pixels on the page.
    """
    svg, png = _drawn(paint, LIGHT, size, "svg", "png")
    (night,) = _drawn(paint, DARK, size, "svg")
    light, dark = _data_uri("svg+xml", svg), _data_uri("svg+xml", night)
    return Picture(name, light, dark, png, round(96 * size[0]), round(96 * size[1]), alt, caption)


def photo(name: str, image: Image.Image, *, alt: str, caption: str = "") -> Picture:
    """Makes a picture of photographs, which is the same on light and dark pages."""
    file = io.BytesIO()
    image.save(file, "PNG", optimize=True)
    png = file.getvalue()
    uri = _data_uri("png", png)
    return Picture(name, uri, uri, png, image.width, image.height, alt, caption)


def _drawn(paint: Paint, theme: Theme, size: tuple[float, float], *forms: str) -> list[bytes]:
    drawn = []
    with mpl.rc_context(_settings(theme)):  # type: ignore[arg-type]
        figure = Figure(figsize=size, layout="constrained")
        FigureCanvasAgg(figure)
        paint(figure, theme)
        for form in forms:
            file = io.BytesIO()
            # Without the date a report of the same run is the same to the byte.
            metadata = {"Date": None, "Creator": None} if form == "svg" else {"Software": None}
            figure.savefig(file, format=form, dpi=200, transparent=form == "svg", metadata=metadata)
            figure.set_layout_engine("none")  # it has been laid out, which takes half the time
            drawn.append(file.getvalue())
    return drawn


def _settings(theme: Theme) -> dict[str, object]:
    return {
        "font.family": FONT,
        "text.parse_math": False,  # a name with two dollar signs is a name
        "font.size": 8,
        "svg.fonttype": "path",
        "svg.hashsalt": "ssl-zoo",
        "figure.facecolor": theme.ground,
        "axes.facecolor": "none",
        "axes.edgecolor": theme.muted,
        "axes.labelcolor": theme.muted,
        "axes.titlecolor": theme.ink,
        "axes.titlesize": 9,
        "axes.titlelocation": "left",
        "axes.linewidth": 0.6,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "text.color": theme.ink,
        "xtick.color": theme.muted,
        "ytick.color": theme.muted,
        "xtick.major.width": 0.6,
        "ytick.major.width": 0.6,
        "grid.color": theme.rule,
        "grid.linewidth": 0.6,
        "axes.grid": True,
        "axes.axisbelow": True,
        "legend.frameon": False,
        "legend.fontsize": 7.5,
        "lines.linewidth": 1.6,
    }


def _data_uri(form: str, contents: bytes) -> str:
    return f"data:image/{form};base64,{base64.b64encode(contents).decode()}"


def _luminance(colour: str) -> float:
    """Returns the relative luminance of an sRGB colour, as WCAG 2 defines it."""
    parts = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in to_rgb(colour)]
    return 0.2126 * parts[0] + 0.7152 * parts[1] + 0.0722 * parts[2]


def _contrast(colour: str, ground: str) -> float:
    low, high = sorted((_luminance(colour), _luminance(ground)))
    return (high + 0.05) / (low + 0.05)


def _legible(colour: str, theme: Theme) -> str:
    mixed = colour
    for step in range(1, 21):
        if _contrast(mixed, theme.ground) >= CONTRAST[theme.name]:
            break
        weight = step / 20
        r, g, b = (
            (1 - weight) * c + weight * i for c, i in zip(to_rgb(colour), to_rgb(theme.ink), strict=True)
        )
        mixed = to_hex((r, g, b))
    return mixed
