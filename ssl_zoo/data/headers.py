"""A quick look at the header of a JPEG or PNG, for folders of a million.

Pillow opens and checks a small file in 60 microseconds or more. What is said here of an ordinary file is what Pillow
would say; all others are left to it, and so are all messages.

- [0] JPEG, ITU-T T.81, 1992, https://www.w3.org/Graphics/JPEG/itu-t81.pdf (Annex B)
- [1] PNG, 3rd edition, 2025, https://www.w3.org/TR/png-3/ (Sec. 5)
"""

from __future__ import annotations

import os
import zlib

from ssl_zoo.data.raster import Encoded

__all__ = ["is_surely_readable"]

_HEAD, _FURTHER = 4096, 1 << 17  # bytes that are read at first, and where the header of a JPEG is longer
_FLAGS = os.O_RDONLY | getattr(os, "O_BINARY", 0)
_MOST = 1 << 26  # pixels, less than what Pillow warns of
_PHOTOSHOP, _EXIF, _MPF, _ICC = b"Photoshop 3.0", b"Exif\0\0", b"MPF\0", b"ICC_PROFILE\0"
# Length of a PNG's chunks that Pillow takes as they are, whatever they hold.
_CHUNKS = {b"sRGB": 1, b"gAMA": 4, b"pHYs": 9, b"cHRM": 32, b"tIME": 7}
_SIGNATURE = b"\x89PNG\r\n\x1a\n"


def is_surely_readable(file: str | Encoded) -> bool:
    """Whether a file is a JPEG or PNG of 8 bits that passes `check_image` by its header; False: it may or may not."""
    if isinstance(file, Encoded):
        if file.data.startswith(b"\xff\xd8\xff"):
            return bool(_jpeg(file.data[: _HEAD + _FURTHER]))
        return file.data.startswith(_SIGNATURE) and _png(file.data)
    try:
        descriptor = os.open(file, _FLAGS)
    except (OSError, ValueError):
        return False
    try:
        head = os.read(descriptor, _HEAD)
        if head.startswith(b"\xff\xd8\xff"):
            found = _jpeg(head)
            if found is None and len(head) == _HEAD:
                found = _jpeg(head + os.read(descriptor, _FURTHER))
            return bool(found)
        if head.startswith(_SIGNATURE):
            rest = [head]
            while rest[-1]:
                rest.append(os.read(descriptor, 1 << 20))
            return _png(b"".join(rest))
        return False
    except OSError:
        return False
    finally:
        os.close(descriptor)


def _jpeg(head: bytes) -> bool | None:
    """Whether the segments up to the first scan are as they should be; None: the scan is not reached."""
    position, end = 2, len(head)
    framed = exif = density = False
    while position + 4 <= end:
        if head[position] != 0xFF:
            return False
        marker, size = head[position + 1], head[position + 2] << 8 | head[position + 3]
        start, position = position + 4, position + 2 + size
        if size < 2:
            return False
        if position > end:
            return None
        if marker == 0xDA:
            return framed and (density or not exif)  # else Pillow looks for the resolution in the Exif data
        if marker in (0xC0, 0xC1, 0xC2):
            if framed or not _is_frame(head[start:position]):
                return False
            framed = True
        elif marker == 0xDB:
            if not _are_tables(head, start, position):
                return False
        elif marker == 0xE0:
            if size < 14:
                return False
            density |= head.startswith(b"JFIF", start) and head[start + 7] in (1, 2)
        elif marker == 0xE1:
            exif |= head.startswith(_EXIF, start)
        elif marker == 0xE2:
            if head.startswith(_MPF, start) or (head.startswith(_ICC, start) and size < 16):
                return False
        elif marker == 0xED:
            if head.startswith(_PHOTOSHOP, start):
                return False
        elif marker == 0xEE:
            if size < 9:
                return False
        elif not (marker in (0xC4, 0xDD, 0xFE) or 0xE3 <= marker <= 0xEF):
            return False
    return None


def _is_frame(segment: bytes) -> bool:
    """Whether a start of frame is of 8 bits, of 1, 3 or 4 components, and of pixels."""
    if (
        len(segment) < 6
        or segment[0] != 8
        or segment[5] not in (1, 3, 4)
        or len(segment) != 6 + 3 * segment[5]
    ):
        return False
    height, width = segment[1] << 8 | segment[2], segment[3] << 8 | segment[4]
    return 0 < height * width < _MOST


def _are_tables(head: bytes, start: int, end: int) -> bool:
    """Whether a segment consists of whole quantization tables."""
    while start < end:
        start += 65 if head[start] < 16 else 129
    return start == end


def _png(text: bytes) -> bool:
    """Whether all chunks have the checksum that they should have, and none before the pixels takes a closer look."""
    if text[8:16] != b"\0\0\0\rIHDR" or len(text) < 33:
        return False
    width, height = int.from_bytes(text[16:20], "big"), int.from_bytes(text[20:24], "big")
    bits, colours, filtering = text[24], text[25], text[27]
    if bits != 8 or colours not in (0, 2, 4, 6) or filtering or not 0 < width * height < _MOST:
        return False
    view, position, pixels = memoryview(text), 8, False
    while position + 12 <= len(text):
        size, kind = int.from_bytes(text[position : position + 4], "big"), text[position + 4 : position + 8]
        after = position + 12 + size
        if kind == b"IEND":
            return pixels
        if after > len(text):
            return False
        if kind == b"IDAT":
            pixels = True
        elif position > 8 and _CHUNKS.get(kind) != size:
            return False
        if zlib.crc32(view[position + 4 : after - 4]) != int.from_bytes(text[after - 4 : after], "big"):
            return False
        position = after
    return False
