"""Two pictures of one field with one view: side by side, swipe, blink, difference.

Each picture has its own grey levels, because denoising narrows the range. Labels say which is which.
"""

from __future__ import annotations

from typing import Literal

from PySide6.QtCore import QPointF, QRect, QRectF, Qt
from PySide6.QtGui import QColor, QFontMetricsF, QPainter

from app.viewer.decorations import draw_caption, draw_message, draw_scale_bar
from app.viewer.gate_overlay import GateOverlay
from app.viewer.legend import draw_legend
from app.viewer.linked_cursor import LinkedCursor
from app.viewer.scene import Picture, Scene, Style
from app.viewer.tiles import difference_range
from app.viewer.view_model import ViewModel
from core.images.colour import Look
from core.images.pyramid import Pyramid

Mode = Literal["side", "swipe", "blink", "difference"]
MODES: tuple[Mode, ...] = ("side", "swipe", "blink", "difference")
DIFFERENCE_LUT = "diverging"  # zero is its middle
_LINE = QColor("#ffd24a")
_GAP = 2  # device pixels between the panels


class CompareScene(Scene):
    """The pair; `divider` is the swipe position, 0 (left) to 1."""

    def __init__(self, model: ViewModel) -> None:
        super().__init__(model)
        self.mode: Mode = "side"
        self.divider = 0.5
        self.show_raw = False  # in blink mode
        self.labels: tuple[str, str] = ("raw", "denoised")
        self.filtered = ""  # what the view filter does to both: "low-pass 20 Å"
        self.difference_means = ": what was removed"
        self.nothing = ""  # in place of a second picture that is not there
        self.gate: GateOverlay | None = None  # over the second picture
        self.cursor = LinkedCursor()
        self.pyramids: tuple[Pyramid | None, Pyramid | None] = (None, None)
        self.pixel_sizes: tuple[float | None, float | None] = (None, None)
        self._fixed: dict[int, list[QRect]] = {}  # of each panel: what does not move with the picture
        self._range: tuple[object, tuple[float, float]] = (None, (0.0, 1.0))

    @property
    def same_size(self) -> bool:
        """Whether both are there and can be subtracted."""
        raw, denoised = self.pyramids
        return raw is not None and denoised is not None and raw.shape == denoised.shape

    def set_pair(self, raw: Pyramid | None, denoised: Pyramid | None, pixel_size_a: float | None) -> None:
        """Show another pair; either may be missing. `pixel_size_a`: of both; None: each has its own."""
        sizes = [pixel_size_a or (picture.pixel_size_a if picture else None) for picture in (raw, denoised)]
        self.pixel_sizes = (sizes[0], sizes[1])
        self.pixel_size_a = sizes[0] if raw else sizes[1]
        self.show_instead(raw, denoised)

    def show_instead(self, raw: Pyramid | None, denoised: Pyramid | None) -> None:
        """Filtered or other pictures of the same images."""
        self.pyramids = (raw, denoised)
        first = raw or denoised
        self.model.set_image_shape(first.shape if first else None)
        self.changed()

    def common_pixel_size(self) -> float | None:
        """Angstrom per pixel of both; None when they differ."""
        first, second = self.pixel_sizes
        if not all(self.pyramids):
            return self.pixel_size_a
        return first if first and second and abs(first / second - 1) < 1e-3 else None

    def set_mode(self, mode: Mode) -> None:
        """Change the way of comparing; the view stays on the same place."""
        self.mode, self.show_raw = mode, False
        self.changed()

    def set_show_raw(self, on: bool) -> None:
        """In blink mode: the raw picture instead of the other."""
        self.show_raw = on
        self.changed()

    def set_gate(self, gate: GateOverlay | None) -> None:
        """Colour the second picture where the gate is open."""
        if gate is not self.gate:
            self.gate = gate
            self.changed()

    def set_labels(self, raw: str, denoised: str, nothing: str) -> None:
        """What is written in the corners, and in place of a second picture that is not there."""
        self.labels, self.nothing = (raw, denoised), nothing
        self.changed()

    def put_cursor(self, side: int, x: float, y: float, device: QRect, ratio: float) -> list[QRect]:
        """The mouse is at an image position in a panel (nan: nowhere); what is to be painted for it."""
        panels = self.panels(device) if self.mode == "side" else []
        before = self.cursor.area(self.model, panels, ratio)
        if not self.cursor.put(side, x, y):
            return []
        after = self.cursor.area(self.model, panels, ratio)
        if before.intersects(after):  # one paint instead of two
            return [before.united(after)]
        return [area for area in (before, after) if not area.isEmpty()]

    def names(self) -> tuple[str, str]:
        """What the pictures are, in short: labels up to their colon."""
        first, second = (label.split(":")[0] for label in self.labels)
        return first, second

    def captions(self) -> list[str]:
        """What is written on the picture now: it says what the pixels are."""
        if self.mode == "difference":
            first, second = self.names()
            return [self._filtered(f"{first} minus {second}{self.difference_means}")]
        if self.mode == "blink":
            return [self.caption(0 if self.show_raw else 1)]
        return [self.caption(which) for which in (0, 1) if self.pyramids[which] is not None]

    def caption(self, which: int) -> str:
        """The label of one picture, with the view filter."""
        return self._filtered(self.labels[which])

    def _filtered(self, label: str) -> str:
        if not self.filtered:
            return label
        name, colon, rest = label.partition(":")
        return f"{name}, {self.filtered}{colon}{rest}"

    # -- geometry -----------------------------------------------------------------------------------------

    def panels(self, device: QRect) -> list[QRect]:
        if self.mode != "side":
            return [device]
        width = max(1, (device.width() - _GAP) // 2)
        return [QRect(0, 0, width, device.height()), QRect(width + _GAP, 0, width, device.height())]

    def scrolls(self) -> bool:
        return self.mode != "swipe"  # its line stays while the pictures move

    def divider_x(self, device: QRect) -> int:
        """Position of the swipe line in device pixels."""
        return round(self.divider * device.width())

    def set_divider(self, place: float) -> None:
        """Move the swipe line; 0 is the left edge, 1 the right."""
        self.divider = min(max(place, 0.0), 1.0)
        self.changed()

    # -- pictures -----------------------------------------------------------------------------------------

    def look_of(self, which: int) -> Look:
        """Colours of the first (0) or the second (1) picture at the present zoom."""
        pyramid = self.pyramids[which]
        low, high = pyramid.grey_range(self.model.contrast_zoom) if pyramid else (0.0, 1.0)
        return self.model.contrast.look(low, high)

    def _difference_look(self, first: Pyramid, second: Pyramid) -> Look:
        key = (id(first), id(second), self.model.contrast_zoom)
        if self._range[0] != key:
            self._range = (key, difference_range(first, second, self.model.contrast_zoom))
        return self.model.contrast.look(*self._range[1], lut=DIFFERENCE_LUT)

    def _parts(self, device: QRect) -> list[tuple[int, QRect, QRect]]:
        """(which picture, its panel, its clip) of what is shown."""
        if self.mode == "side":
            return [(which, panel, panel) for which, panel in enumerate(self.panels(device))]
        if self.mode == "swipe":
            x = self.divider_x(device)
            clips = (QRect(0, 0, x, device.height()), QRect(x, 0, device.width() - x, device.height()))
            return [(which, device, clip) for which, clip in enumerate(clips) if clip.width() > 0]
        return [(0 if self.show_raw else 1, device, device)]

    def pictures(self, device: QRect) -> list[Picture]:
        raw, denoised = self.pyramids
        if self.mode == "difference":
            if raw is None or denoised is None or not self.same_size:
                return []
            return [Picture(raw, self._difference_look(raw, denoised), device, device, denoised)]
        found = []
        for which, panel, clip in self._parts(device):
            pyramid = self.pyramids[which]
            if pyramid is not None:
                found.append(Picture(pyramid, self.look_of(which), panel, clip))
        return found

    def sources(self) -> list[tuple[Pyramid, Pyramid | None]]:
        there: list[tuple[Pyramid, Pyramid | None]] = [(pyramid, None) for pyramid in self.pyramids if pyramid]
        raw, denoised = self.pyramids
        return [*there, (raw, denoised)] if raw is not None and self.same_size else there

    # -- over the pictures --------------------------------------------------------------------------------

    def draw_over(self, painter: QPainter, device: QRect, style: Style) -> list[QRect]:
        if self.mode == "difference":
            fixed = self._over_difference(painter, device, style)
        else:
            fixed = []
            for which, panel, clip in self._parts(device):
                if which not in self._fixed or _exposes(painter, clip):
                    self._fixed[which] = self._over_panel(painter, which, panel, clip, style)
                fixed += self._fixed[which]
        if self.mode == "swipe":
            self._draw_line(painter, device, style)
        there = any(self.pyramids)
        low = device.adjusted(0, round(device.height() * 0.7), 0, 0)  # the pictures stay to be seen
        return fixed + self.draw_words(painter, low if there else device, style, there)

    def _over_panel(self, painter: QPainter, which: int, panel: QRect, clip: QRect, style: Style) -> list[QRect]:
        fixed = []
        painter.save()
        painter.setClipRect(clip, Qt.ClipOperation.IntersectClip)
        if self.pyramids[which] is not None:
            if which == 1 and self.gate is not None:
                self._draw_gate(painter, self.gate, panel)
            self.draw_marks(painter, panel, clip, style)
            fixed.append(self._bar(painter, self.pixel_sizes[which], panel, style))
            if self.mode == "side" and which != self.cursor.side:
                self.cursor.draw(painter, self.model, panel, style.ratio)
        elif any(self.pyramids) and not self.message:
            text = (which == 1 and self.nothing) or f"No {self.labels[which]} picture"
            fixed.append(draw_message(painter, text, clip, style.scaled(), False))
        right = which == 1 and self.mode == "swipe"
        fixed.append(self._label(painter, self.caption(which), clip, style, right))
        if which == 1 and self.gate is not None and self.pyramids[1] is not None:
            fixed.append(self.gate.draw_legend(painter, fixed[-1], right, style.scaled(), style.ratio))
        painter.restore()
        return fixed

    def _draw_gate(self, painter: QPainter, gate: GateOverlay, panel: QRect) -> None:
        painter.save()
        painter.translate(panel.topLeft())
        gate.draw(painter, self.model)
        painter.restore()

    def _bar(self, painter: QPainter, pixel_size_a: float | None, panel: QRect, style: Style) -> QRect:
        painter.setRenderHint(QPainter.RenderHint.Antialiasing, False)
        return draw_scale_bar(painter, self.model, pixel_size_a, panel, style.scaled(), style.ratio)

    def _label(self, painter: QPainter, text: str, clip: QRect, style: Style, right: bool = False) -> QRect:
        margin = 8 * style.ratio
        x = clip.left() + margin
        if right:
            x = clip.right() - 2.5 * margin - QFontMetricsF(style.scaled()).horizontalAdvance(text)
        return draw_caption(painter, text, QPointF(x, clip.top() + margin), style.scaled(), style.ratio)

    def _draw_line(self, painter: QPainter, device: QRect, style: Style) -> None:
        x = self.divider_x(device)
        width = max(1, round(2 * style.ratio))
        painter.fillRect(QRect(x - width // 2, 0, width, device.height()), _LINE)
        grip = max(2, round(5 * style.ratio))
        painter.fillRect(QRect(x - grip, device.height() // 2 - 4 * grip, 2 * grip, 8 * grip), _LINE)

    def _over_difference(self, painter: QPainter, device: QRect, style: Style) -> list[QRect]:
        if not self.same_size:
            if self.message:
                return []
            text = "The difference needs both pictures, of the same size"
            return [draw_message(painter, text, device, style.scaled(), False)]
        self.draw_marks(painter, device, device, style)
        bar = self._bar(painter, self.common_pixel_size(), device, style)
        fixed = [bar, self._label(painter, self.captions()[0], device, style)]
        raw, denoised = self.pyramids
        if raw is not None and denoised is not None:
            look = self._difference_look(raw, denoised)
            fixed.append(draw_legend(painter, look, device, style.scaled(), style.ratio))
        return fixed


def _exposes(painter: QPainter, clip: QRect) -> bool:
    """Whether some of `clip` is painted now."""
    return not painter.hasClipping() or painter.clipBoundingRect().intersects(QRectF(clip))
