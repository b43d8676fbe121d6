"""Excluded areas, the tick "no noise here", deleting in bulk, and the menus that offer all that on Home."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from PySide6.QtCore import QObject, QPoint
from PySide6.QtWidgets import QMenu

from app.tabs.home_marks import Marks
from app.tabs.home_refusal import outside
from app.viewer.areas import SketchLayer
from app.viewer.pick_state import is_area
from core.images.polygon import inside, touched

STALE = "The marks have changed since the menu was opened: open it again."
NO_AREA = "That is no area: it needs three corners, and some of it on the micrograph."


class Areas(QObject):
    """Belongs to the marks of Home."""

    def __init__(self, marks: Marks) -> None:
        super().__init__(marks)
        self._marks = marks
        self.menu: QMenu | None = None
        panel, gestures = marks.panel, marks.gestures
        gestures.polygon.changed.connect(lambda corners, at: marks.sketch(SketchLayer(corners, at)))
        gestures.polygon.closed.connect(self._closed)
        gestures.menu_requested.connect(self._show_menu)
        panel.empty_changed.connect(self.set_empty)
        panel.clear_menu.aboutToShow.connect(lambda: self.fill_clear(panel.clear_menu))

    # -- areas and the tick -------------------------------------------------------------------------------

    def _closed(self, corners: list[tuple[float, float]]) -> None:
        """A polygon is drawn: exclude it, and take the boxes away that lie in it, in one step."""
        marks, key = self._marks, self._marks.key()
        marks.gestures.set_tool("pick")
        if wait := marks.not_ready():
            marks.said.emit(wait)
            return
        polygon = np.round(np.array(corners, dtype=float), 1)
        ny, nx = marks.shape
        beside = (polygon.max(axis=0) < 0).any() or (polygon.min(axis=0) > (nx - 1, ny - 1)).any()
        if beside or not is_area(polygon):
            marks.said.emit(NO_AREA)
            return
        there = touched(marks.picks.view(key), marks.panel.box.value(), polygon)
        with marks.picks.step():
            marks.picks.set_areas(key, [*marks.picks.areas(key), polygon])
            gone = marks.picks.remove(key, np.flatnonzero(there))
        if gone:
            marks.said.emit(f"{_boxes(gone)} in the excluded area deleted. Ctrl+Z brings them back.")

    def area_at(self, x: float, y: float) -> int | None:
        """Which excluded area holds the position."""
        for index, polygon in enumerate(self._marks.picks.areas(self._marks.key())):
            if inside(np.array([[x, y]]), polygon)[0]:
                return index
        return None

    def remove_area(self, index: int) -> None:
        """Allow noise boxes there again."""
        picks, key = self._marks.picks, self._marks.key()
        picks.set_areas(key, [p for i, p in enumerate(picks.areas(key)) if i != index])

    def delete_by_area(self, index: int, within: bool) -> None:
        """Delete the boxes whose centres are inside (or outside) an area."""
        picks, key = self._marks.picks, self._marks.key()
        there = inside(picks.view(key), picks.areas(key)[index])
        picks.remove(key, np.flatnonzero(there if within else ~there))

    def set_empty(self, empty: bool) -> None:
        """Tick or untick "no noise here" on this micrograph."""
        marks = self._marks
        if wait := marks.not_ready():
            marks.said.emit(wait)
            marks.panel.empty_tick.setChecked(marks.picks.is_empty(marks.key()))
        else:
            marks.picks.set_empty(marks.key(), empty)

    # -- in bulk ------------------------------------------------------------------------------------------

    def _outside(self) -> np.ndarray:
        """Rows of the boxes that leave the micrograph."""
        marks = self._marks
        pyramid = marks.view.pyramid
        if pyramid is None or not marks.displayed:
            return np.zeros(0, dtype=np.int64)
        return np.flatnonzero(outside(marks.picks.view(marks.key()), marks.panel.box.value(), pyramid.shape))

    def fill_clear(self, menu: QMenu) -> None:
        """What can be deleted at once, with numbers; all of it comes back by undo."""
        marks, picks, key = self._marks, self._marks.picks, self._marks.key()
        menu.clear()
        shown, total = marks.displayed, picks.total()  # what belongs to a picture that is not there stays
        beyond, here, areas = len(self._outside()), picks.count(key) * shown, len(picks.areas(key)) * shown
        selected = len(marks.selection) * shown

        def here_only(slot: Callable[[], object]) -> Callable[[], object]:
            """Another micrograph may have come while the menu was open."""
            return lambda: slot() if marks.displayed and marks.key() == key else marks.said.emit(STALE)

        entries = (
            (f"Selected boxes ({selected})\tDel", marks.delete_selected, selected),
            (f"All boxes of this micrograph ({here})", here_only(lambda: picks.clear(key)), here),
            (
                f"Boxes that leave the micrograph ({beyond})",
                here_only(lambda: picks.remove(key, self._outside())),
                beyond,
            ),
            (f"Excluded areas of this micrograph ({areas})", here_only(lambda: picks.set_areas(key, ())), areas),
            (f"All boxes of all micrographs ({total})", picks.clear_all, total),
        )
        for text, slot, count in entries:
            action = menu.addAction(text)
            action.triggered.connect(lambda _=False, slot=slot: slot())
            action.setEnabled(bool(count))

    def _show_menu(self, x: float, y: float, place: QPoint) -> None:
        """The menu of the right button."""
        marks = self._marks
        if marks.not_ready():
            return
        if self.menu is not None:
            self.menu.deleteLater()
        self.menu = self._context(x, y)
        self.menu.popup(place)

    def _context(self, x: float, y: float) -> QMenu:
        marks, picks, key = self._marks, self._marks.picks, self._marks.key()
        menu = QMenu(marks.view)
        revision = picks.revision

        def same(slot: Callable[[], object]) -> Callable[[], object]:
            """What the menu means by a number is only there while nothing has changed."""

            def run() -> None:
                fits = picks.revision == revision and marks.displayed and marks.key() == key
                slot() if fits else marks.said.emit(STALE)

            return run

        def add(text: str, slot: Callable[[], object], enabled: bool = True) -> None:
            action = menu.addAction(text)
            action.triggered.connect(lambda _checked=False: slot())
            action.setEnabled(enabled)

        index = picks.nearest(key, x, y, marks.panel.box.value() / 2)
        if index is not None:
            add("Delete this box", same(lambda: picks.remove(key, [index])))
        add("Select all boxes\tCtrl+A", marks.select_all, picks.count(key) > 0)
        add("Delete the selected boxes\tDel", marks.delete_selected, len(marks.selection) > 0)
        area = self.area_at(x, y)
        menu.addSeparator()
        if area is not None:
            add("Remove this excluded area", same(lambda: self.remove_area(area)))
            add("Delete the boxes inside this area", same(lambda: self.delete_by_area(area, True)))
            add("Delete the boxes outside this area", same(lambda: self.delete_by_area(area, False)))
        else:
            add("Exclude an area…\tE", lambda: marks.gestures.set_tool("polygon"))
        if not picks.count(key):
            tick = menu.addAction("No noise on this micrograph")
            tick.setCheckable(True)
            tick.setChecked(picks.is_empty(key))
            tick.toggled.connect(self.set_empty)
        menu.addSeparator()
        add("Undo\tCtrl+Z", marks.undo, picks.can_undo)
        add("Redo\tCtrl+Shift+Z", marks.redo, picks.can_redo)
        self.fill_clear(menu.addMenu("Delete"))
        add("Hide or show the marks\tX", marks.toggle)
        add("Fit\tF", marks.view.fit)
        return menu


def _boxes(count: int) -> str:
    return f"{count} box" if count == 1 else f"{count} boxes"
