"""What stands on the sections of a map and in the line below them, and pictures put side by side."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtGui import QImage, QPainter

from core.images.pyramid import Pyramid
from core.volumes.slices import PLANES
from core.volumes.volume import KINDS, Volume

_MARGIN = 8  # pixels between pictures


def caption(volume: Volume, name: str, mode: str, look: str) -> str:
    """What a picture is when it is more than a section of the map itself; `look`: a filter for looking."""
    return ", ".join(labels_of(volume, name, mode, look))


def labels_of(volume: Volume, name: str, mode: str, look: str) -> tuple[str, ...]:
    """The same, part by part: each is a label of a picture that is saved."""
    kind = KINDS[volume.kind] if volume.kind != "map" else ""
    how = {"sum": f"sum along {name}", "max": f"maximum along {name}"}.get(mode, "")
    return tuple(part for part in (kind, how, volume.provenance, look) if part)


def named_labels(volumes: Sequence[Volume]) -> tuple[str, ...]:
    """How each map was made; with its name, where several are shown, so that no label is taken for another's."""
    named = len(volumes) > 1 or any(v.kind != "map" for v in volumes)
    return tuple(f"{KINDS[v.kind]}: {v.provenance}" if named else v.provenance for v in volumes if v.provenance)


def flat_words(volume: Volume, name: str, picture: Pyramid, at: tuple[int, int]) -> list[str]:
    """Place and value in a projection or a live picture; `at`: its column and row."""
    plane, unit = PLANES[name], f" {volume.unit}" if volume.unit else ""
    return [f"{'zyx'[plane.right]} {at[0]}, {'zyx'[plane.down]} {at[1]}", f"value {picture.value(*at):.5g}{unit}"]


def voxel_words(volumes: Sequence[Volume], name: str, position: tuple[int, int, int], at: tuple[int, int]) -> list[str]:
    """Voxel, place in Å and the value of every map there; `position` (z, y, x) is the cross-hair."""
    plane, place = PLANES[name], list(position)
    place[plane.right], place[plane.down] = at
    z, y, x = place
    parts = [f"x {x}, y {y}, z {z}"]
    if volumes and volumes[0].pixel_size_a:
        parts.append("{:.1f}, {:.1f}, {:.1f} Å from the middle".format(*volumes[0].position_a(z, y, x)))
    for volume in volumes:
        unit = f" {volume.unit}" if volume.unit else ""
        parts.append(f"{KINDS[volume.kind].lower()} {volume.value(z, y, x):.5g}{unit}")
    return parts


def side_by_side(pictures: Sequence[QImage]) -> QImage:
    """One picture of several, on white."""
    width = sum(picture.width() for picture in pictures) + _MARGIN * (len(pictures) - 1)
    whole = QImage(width, max(picture.height() for picture in pictures), QImage.Format.Format_RGB32)
    whole.fill(0xFFFFFFFF)
    painter, left = QPainter(whole), 0
    for picture in pictures:
        painter.drawImage(left, 0, picture)
        left += picture.width() + _MARGIN
    painter.end()
    return whole
