"""What a strip of thumbnails shows: files in the order and choice of the user, small pictures, painting one item.

Making the pictures is workers/thumbnail_loader.py; the strip around this is thumbnail_strip.py.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from cachetools import LRUCache
from PySide6.QtCore import QAbstractListModel, QModelIndex, QPersistentModelIndex, QPointF, QRect, QRectF, QSize, Qt
from PySide6.QtGui import QColor, QFont, QFontMetrics, QImage, QPainter, QPen, QPixmap
from PySide6.QtWidgets import QStyle, QStyledItemDelegate, QStyleOptionViewItem

from app import theme
from app.widgets.short_names import short_names
from core.io.flags import Flags

Index = QModelIndex | QPersistentModelIndex
ROLE = Qt.ItemDataRole

PICTURE_BYTES = 32 << 20  # of pictures ready to paint; others are asked for again when they come into sight
LINES = 6  # side of a thumbnail in lines of text
# symbol, colour token, spoken word of each flag: never colour alone
SIGNS = {"keep": ("✓", "good", "kept"), "reject": ("✕", "danger", "rejected"), "star": ("★", "warning", "starred")}
FILTERS = {
    "all": "All",
    "with": "With boxes",
    "without": "Without boxes",
    "keep": "Kept",
    "reject": "Rejected",
    "star": "Starred",
    "none": "Not flagged",
}
SORTS = {"name": "By name", "count": "By boxes"}
_SHADE = QColor(0, 0, 0, 175)


class ThumbnailModel(QAbstractListModel):
    """Rows are the files that pass the filter, sorted. `count(path)` says how many boxes a micrograph has."""

    def __init__(self, flags: Flags, count: Callable[[Path], int]) -> None:
        super().__init__()
        self.flag_store, self._count = flags, count
        self.files: list[Path] = []  # all, in the order given
        self.shown: list[Path] = []
        self._rows: dict[Path, int] = {}
        self._keys: dict[Path, str] = {}
        self._owners: dict[str, list[Path]] = {}
        self._short: dict[Path, tuple[str, str]] = {}
        self._pictures: LRUCache[Path, QPixmap] = LRUCache(PICTURE_BYTES, getsizeof=_bytes_of)
        self._failed: dict[Path, str] = {}
        self.passing, self.order = "all", "name"

    def key(self, path: Path) -> str:
        """The name under which a micrograph's flag is kept."""
        return self._keys.get(path, path.name)

    def owners(self, keys: Sequence[str]) -> list[Path]:
        """The files with these keys."""
        return [file for key in keys for file in self._owners.get(key, [])]

    def flag_counts(self) -> Counter[str]:
        """How many files have each flag."""
        return Counter(self.flag_store.get(key) for key in self._keys.values())

    def flag(self, path: Path) -> str:
        """keep, reject, star or ""."""
        return self.flag_store.get(self.key(path))

    def set_files(self, files: Sequence[Path], keys: Mapping[Path, str] | None = None) -> None:
        """Other micrographs."""
        self.files, keys = list(files), keys or {}
        self._keys = {f: keys.get(f) or f.name for f in self.files}
        self._owners = {}
        for file, key in self._keys.items():
            self._owners.setdefault(key, []).append(file)
        self._short = dict(zip(self.files, short_names([_stem(f.name) for f in self.files]), strict=True))
        self._pictures.clear()
        self._failed.clear()
        self.arrange()

    def arrange(self, always: Path | None = None) -> None:
        """Filter and sort anew; `always` is shown whether it passes or not."""
        self.beginResetModel()
        self.shown = [f for f in self.files if f == always or self._passes(f)]
        if self.order == "count":
            counts = {f: self._count(f) for f in self.shown}
            self.shown.sort(key=lambda f: -counts[f])  # equal ones stay in the order given
        self._rows = {f: row for row, f in enumerate(self.shown)}
        self.endResetModel()

    def _passes(self, file: Path) -> bool:
        if self.passing == "all":
            return True
        if self.passing in ("with", "without"):
            return (self._count(file) > 0) == (self.passing == "with")
        return self.flag(file) == ("" if self.passing == "none" else self.passing)

    def row_of(self, path: Path) -> int | None:
        """The row of a file, None when the filter hides it."""
        return self._rows.get(path)

    def lacks_picture(self, path: Path) -> bool:
        """Whether a picture of the file should be made."""
        return path not in self._pictures and path not in self._failed

    def set_picture(self, path: Path, pixels: np.ndarray) -> None:
        """The small picture uint8 (h, w) of a file."""
        pixels = np.ascontiguousarray(pixels)
        h, w = pixels.shape
        self._pictures[path] = QPixmap.fromImage(QImage(pixels.data, w, h, w, QImage.Format.Format_Grayscale8))
        self.touch(path)

    def set_failed(self, path: Path, message: str) -> None:
        """The file has no picture, and why."""
        self._failed[path] = message
        self.touch(path)

    def touch(self, path: Path | None = None) -> None:
        """A file, or all (None), must be painted again."""
        row = 0 if path is None else self._rows.get(path)
        if row is not None and self.shown:
            self.dataChanged.emit(self.index(row), self.index(len(self.shown) - 1 if path is None else row))

    def picture(self, path: Path) -> QPixmap | None:
        """The picture, when it is here."""
        return self._pictures.get(path)

    def failed(self, path: Path) -> str:
        """Why a file has no picture."""
        return self._failed.get(path, "")

    def names(self, path: Path) -> list[str]:
        """The name of a file and shorter forms of it: no suffix, then nothing that the names have in common."""
        return [path.name, _stem(path.name), *self._short[path]]

    def count(self, path: Path) -> int:
        """Boxes of a micrograph."""
        return self._count(path)

    def rowCount(self, parent: Index = QModelIndex()) -> int:  # noqa: B008
        return 0 if parent.isValid() else len(self.shown)

    def data(self, index: Index, role: int = ROLE.DisplayRole) -> Any:
        path = self.shown[index.row()]
        if role == ROLE.DisplayRole:
            return path.name
        if role in (ROLE.AccessibleTextRole, ROLE.ToolTipRole):
            boxes = self._count(path)
            words = [path.name if role == ROLE.AccessibleTextRole else str(path)]
            words += [f"{boxes} box{'es' if boxes != 1 else ''}"] if boxes else []
            words += [SIGNS[flag][2]] if (flag := self.flag(path)) in SIGNS else []
            words += [self._failed[path]] if path in self._failed else []
            return ", ".join(words) if role == ROLE.AccessibleTextRole else "\n".join(words)
        return None


def _stem(name: str) -> str:
    """A file name without the suffixes of micrographs."""
    for suffixes in ((".gz", ".bz2"), (".mrc", ".mrcs", ".tif", ".tiff")):
        found = next((suffix for suffix in suffixes if name.lower().endswith(suffix)), "")
        name = name[: len(name) - len(found)]
    return name


def _bytes_of(picture: QPixmap) -> int:
    return 4 * picture.width() * picture.height()


class ThumbnailDelegate(QStyledItemDelegate):
    """Paints a thumbnail with its name, the number of boxes and the flag."""

    @staticmethod
    def side_of(metrics: QFontMetrics) -> int:
        """Side of the picture in logical pixels."""
        return LINES * metrics.height()

    @staticmethod
    def size_of(metrics: QFontMetrics) -> QSize:
        """Size of an item: picture, name, room around them."""
        side, pad = ThumbnailDelegate.side_of(metrics), metrics.height() // 3
        return QSize(side + 2 * pad, side + metrics.height() + 3 * pad)

    def sizeHint(self, option: QStyleOptionViewItem, index: Index) -> QSize:
        return self.size_of(option.fontMetrics)

    def paint(self, painter: QPainter, option: QStyleOptionViewItem, index: Index) -> None:
        model = index.model()
        if not isinstance(model, ThumbnailModel):
            return
        path = model.shown[index.row()]
        chosen = bool(option.state & QStyle.StateFlag.State_Selected)
        pad = option.fontMetrics.height() // 3
        side = self.side_of(option.fontMetrics)
        area = QRect(option.rect.left() + pad, option.rect.top() + pad, side, side)
        painter.save()
        if chosen:
            painter.fillRect(option.rect, theme.colour("selection"))
        self._paint_picture(painter, area, model, path)
        self._paint_badges(painter, area, option.font, model, path)
        if option.state & QStyle.StateFlag.State_HasFocus:
            painter.setPen(QPen(theme.colour("accent"), 2))
            painter.setBrush(Qt.BrushStyle.NoBrush)
            painter.drawRect(option.rect.adjusted(1, 1, -2, -2))
        painter.setPen(theme.colour("on_selection" if chosen else "text"))
        room = option.rect.width() - 4
        fits = [t for t in model.names(path) if option.fontMetrics.horizontalAdvance(t) <= room]
        text = fits[0] if fits else model.names(path)[-1]
        words = QRect(option.rect.left() + 2, area.bottom() + pad, room, option.fontMetrics.height())
        text = option.fontMetrics.elidedText(text, Qt.TextElideMode.ElideMiddle, room)
        painter.drawText(words, int(Qt.AlignmentFlag.AlignCenter), text)
        painter.restore()

    def _paint_picture(self, painter: QPainter, area: QRect, model: ThumbnailModel, path: Path) -> None:
        picture = model.picture(path)
        if picture is None:
            painter.fillRect(area, theme.colour("raised"))
            painter.setPen(theme.colour("muted"))
            painter.drawText(area, int(Qt.AlignmentFlag.AlignCenter), "?" if model.failed(path) else "…")
            return
        size = picture.size().scaled(area.size(), Qt.AspectRatioMode.KeepAspectRatio)
        place = QRect(0, 0, size.width(), size.height())
        place.moveCenter(area.center())
        painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform)
        painter.setOpacity(0.4 if model.flag(path) == "reject" else 1.0)
        painter.drawPixmap(place, picture)
        painter.setOpacity(1.0)

    def _paint_badges(self, painter: QPainter, area: QRect, font: QFont, model: ThumbnailModel, path: Path) -> None:
        painter.setFont(font)
        metrics = QFontMetrics(font)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        if (flag := model.flag(path)) in SIGNS:
            sign, token, _ = SIGNS[flag]
            corner = QRectF(area.left(), area.top(), metrics.height() * 1.3, metrics.height() * 1.3)
            _badge(painter, corner, sign, QColor(theme.tokens("dark")[token]))
        boxes = model.count(path)
        if boxes:
            width = metrics.horizontalAdvance(str(boxes)) + metrics.height() * 0.6
            corner = QRectF(0, 0, width, metrics.height() * 1.1)
            corner.moveBottomRight(QPointF(area.right() + 1, area.bottom() + 1))
            _badge(painter, corner, str(boxes), QColor(Qt.GlobalColor.white))


def _badge(painter: QPainter, place: QRectF, text: str, colour: QColor) -> None:
    """A word on a dark shade, readable on every picture and in both themes."""
    painter.setPen(Qt.PenStyle.NoPen)
    painter.setBrush(_SHADE)
    painter.drawRoundedRect(place, 3, 3)
    painter.setPen(colour)
    painter.drawText(place, int(Qt.AlignmentFlag.AlignCenter), text)
