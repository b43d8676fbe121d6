"""The left side of Home: micrograph list, noise boxes, particles, the way on. Widgets and values only."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from PySide6.QtCore import Qt, QTime, Signal
from PySide6.QtGui import QActionGroup
from PySide6.QtWidgets import QButtonGroup, QCheckBox, QFrame, QHBoxLayout, QMenu, QToolButton, QVBoxLayout

from app import theme
from app.viewer.schemes import DEFAULT, SCHEMES
from app.widgets.labels import ElidedLabel, button, column, label, row
from app.widgets.micrograph_list import MicrographList
from app.widgets.number_boxes import FloatBox, IntBox

TOOLS = {  # name: text, what it does, key; measuring is in the toolbar of the view
    "pick": ("Pick", "Add, move and delete noise boxes", "Q"),
    "select": ("Select", "Select boxes with a frame, to move or delete them together", "S"),
    "polygon": ("Exclude", "Draw an area without noise boxes: carbon, ice, foil", "E"),
    "hand": ("Hand", "Drag the micrograph", "G"),
}


def default_box(diameter: float) -> int:
    """Noise box for a particle diameter, both in px: small enough to fit between the particles, and even."""
    return max(16, 2 * round(0.4 * diameter))


class HomePanel(QFrame):
    """Signals say what the user wants; HomeTab does it."""

    sizes_changed = Signal()
    load_noise = Signal()
    save_noise_as = Signal()
    load_particles = Signal()
    pick_particles = Signal()
    pick = Signal()
    empty_changed = Signal(bool)  # the user ticked or unticked "no noise here"
    tool_chosen = Signal(str)
    scheme_chosen = Signal(str)
    undo = Signal()
    redo = Signal()
    forward = Signal()
    visibility_changed = Signal()

    def __init__(self, noise_count: Callable[[Path], str], particle_count: Callable[[Path], str]) -> None:
        super().__init__()
        self.setObjectName("side")
        self.box_follows = True  # the particle diameter, until somebody chooses a box
        self._following = False
        self._marked = False  # there are noise boxes
        self.list = MicrographList(
            [
                ("Noise", noise_count, "Noise boxes on this micrograph"),
                ("Particles", particle_count, "Particles on this micrograph"),
            ]
        )
        self.open_button = button("Open…", tip="Open micrographs: files or a whole folder, or drop them anywhere")
        self.count = label("", "muted")
        whole = QVBoxLayout(self)
        whole.setContentsMargins(14, 12, 14, 12)
        whole.setSpacing(8)
        whole.addLayout(row(label("Micrographs", "heading"), self.count, None, self.open_button))
        whole.addWidget(self.list, 1)
        whole.addLayout(self._noise())
        whole.addLayout(self._particles())
        self.forward_button = button("Use in Forward →", "primary", "Carry these micrographs and boxes on")
        self.forward_button.clicked.connect(self.forward)
        whole.addWidget(self.forward_button)
        self.list.setMinimumWidth(self.fontMetrics().averageCharWidth() * 38)  # the rows below may need more

    def _noise(self) -> QVBoxLayout:
        self.show_noise = QCheckBox("Noise boxes")
        self.show_noise.setChecked(True)
        self.show_noise.setToolTip("Show or hide them (X)")
        self.noise_total = label("0", "muted")
        self.box = IntBox(16, 2048, "px")
        self.box.set_value(128)
        self.box.setAccessibleName("Box size")
        self.box.setToolTip("Side of a noise box (Ctrl+wheel over the micrograph)")
        self.box_a = label("", "muted")
        self.empty_tick = QCheckBox("No noise here")
        self.empty_tick.setToolTip("This micrograph has no noise boxes on purpose: it was looked at and left out")
        self.empty_tick.clicked.connect(self.empty_changed)
        self.selected_count = label("", "muted")
        self.show_refused = QCheckBox("Refused")
        self.show_refused.setChecked(True)
        self.show_refused.setToolTip("Places that automatic picking did not take; the pointer on one tells why")
        self.show_refused.toggled.connect(self.visibility_changed)
        self.show_refused.hide()
        self.box.edited.connect(self._on_box)
        self.show_noise.toggled.connect(self.visibility_changed)
        part = column(spacing=6)
        part.addLayout(row(self.show_noise, None, self.noise_total))
        part.addLayout(self._tools())
        part.addLayout(row(label("Box size"), self.box, self.box_a, None))
        part.addLayout(row(self.empty_tick, self.show_refused, None, self.selected_count))
        part.addLayout(self._file())
        part.addLayout(self._commands())
        return part

    def _tools(self) -> QHBoxLayout:
        self._tool_group = QButtonGroup(self)
        self.tools: dict[str, QToolButton] = {}
        for name, (text, tip, key) in TOOLS.items():
            tool = QToolButton()
            tool.setText(text)
            tool.setCheckable(True)
            tool.setToolTip(f"{tip} ({key})")
            tool.setAccessibleName(f"{text}: {tip}")
            tool.clicked.connect(lambda _=False, name=name: self.tool_chosen.emit(name))
            self._tool_group.addButton(tool)
            self.tools[name] = tool
        self.tools["pick"].setChecked(True)
        self.scheme_button = self._schemes()
        return row(*self.tools.values(), None, self.scheme_button, spacing=2)

    def _file(self) -> QVBoxLayout:
        self.noise_path = ElidedLabel("", Qt.TextElideMode.ElideMiddle)
        self.noise_path.setAccessibleName("File of the noise boxes")
        self.saved_mark = label("", "good")
        file_button = button("File…", tip="Where the noise boxes are kept")
        menu = QMenu(file_button)
        menu.addAction("Load noise boxes…", self.load_noise.emit)
        menu.addAction("Save to another file…", self.save_noise_as.emit)
        file_button.setMenu(menu)
        line = row(self.noise_path, self.saved_mark, file_button)
        line.setStretch(0, 1)
        part = column()
        part.addLayout(line)
        return part

    def _commands(self) -> QVBoxLayout:
        self.pick_button = button("Pick automatically", tip="Find empty places between the particles of the STAR file")
        self.undo_button = button("Undo", tip="Ctrl+Z")
        self.redo_button = button("Redo", tip="Ctrl+Shift+Z")
        self.delete_button = button("Delete", tip="Delete many boxes or excluded areas at once (undo brings them back)")
        self.clear_menu = QMenu(self.delete_button)
        self.delete_button.setMenu(self.clear_menu)
        for widget, signal in (
            (self.pick_button, self.pick),
            (self.undo_button, self.undo),
            (self.redo_button, self.redo),
        ):
            widget.clicked.connect(signal)
        part = column(self.pick_button, spacing=6)
        part.addLayout(row(self.undo_button, self.redo_button, self.delete_button))
        return part

    def _schemes(self) -> QToolButton:
        """Which program's mouse buttons to use."""
        chooser = QToolButton()
        chooser.setText("Mouse")
        chooser.setToolTip("Use the mouse buttons of a program you know; ? shows them all")
        chooser.setAccessibleName("Scheme of the mouse buttons")
        chooser.setPopupMode(QToolButton.ToolButtonPopupMode.InstantPopup)
        menu = QMenu(chooser)
        menu.setToolTipsVisible(True)
        group = QActionGroup(menu)
        self.scheme_actions = {}
        for name, scheme in SCHEMES.items():
            action = menu.addAction(name)
            action.setCheckable(True)
            action.setToolTip(scheme.about)
            action.triggered.connect(lambda _=False, name=name: self.scheme_chosen.emit(name))
            group.addAction(action)
            self.scheme_actions[name] = action
        self.scheme_actions[DEFAULT.name].setChecked(True)
        chooser.setMenu(menu)
        return chooser

    def _particles(self) -> QVBoxLayout:
        self.show_particles = QCheckBox("Particles")
        self.show_particles.setChecked(True)
        self.show_particles.setToolTip("Show or hide them (X)")
        self.particle_total = ElidedLabel("none loaded")
        theme.set_state(self.particle_total, "role", "muted")
        self.diameter = FloatBox(1, 4096, "px")
        self.diameter.set_value(128)
        self.diameter.setAccessibleName("Particle diameter")
        self.diameter.setToolTip("Diameter of the circles; noise boxes keep clear of them")
        self.diameter_a = label("", "muted")
        self.load_button = button("Load STAR…", tip="Particle positions (RELION 3.0 to 5); or drop the file anywhere")
        self.load_button.clicked.connect(self.load_particles)
        self.diameter.edited.connect(self._on_diameter)
        self.show_particles.toggled.connect(self.visibility_changed)
        self.load_button.setAccessibleName("Load the STAR file of the particles")
        part = column(spacing=6)
        head = row(self.show_particles, self.particle_total, self.load_button)
        head.setStretch(1, 1)
        part.addLayout(head)
        self.find_button = button("Pick…", tip="Find particles on these micrographs, denoised or raw")
        self.find_button.setAccessibleName("Pick particles")
        self.find_button.clicked.connect(self.pick_particles)
        part.addLayout(row(label("Diameter"), self.diameter, self.diameter_a, None, self.find_button))
        return part

    def _on_box(self) -> None:
        self.box_follows = self._following
        self.sizes_changed.emit()

    def _on_diameter(self) -> None:
        wanted = default_box(self.diameter.value())
        if self.box_follows and (wanted < self.box.value() or not self._marked):  # boxes never grow over particles
            self._following = True
            self.box.set_value(wanted)
            self._following = False
        self.sizes_changed.emit()

    def show_counts(self, here: int, total: int, on: int, selected: int, empty: bool) -> None:
        """Boxes on this micrograph, on all, on how many; how many are selected; the tick of this micrograph."""
        self._marked = total > 0
        self.noise_total.setText(f"{here} here, {total} in all")
        self.noise_total.setToolTip(f"{total} noise boxes on {on} micrograph{'s' * (on != 1)}")
        self.selected_count.setText(f"{selected} selected" if selected else "")
        self.empty_tick.setChecked(empty)
        self.empty_tick.setEnabled(not here)

    def set_refused(self, count: int) -> None:
        """How many places automatic picking refused; 0 hides the tick."""
        self.show_refused.setText(f"Refused ({count})")
        self.show_refused.setVisible(count > 0)

    def show_tool(self, name: str) -> None:
        """Mark the tool in use; none when it is one of the view's own."""
        self._tool_group.setExclusive(name in self.tools)
        for own, tool in self.tools.items():
            tool.setChecked(own == name)
        self._tool_group.setExclusive(True)

    def show_scheme(self, name: str) -> None:
        """Mark the scheme in use."""
        self.scheme_actions[name].setChecked(True)

    def show_saved(self, path: str) -> None:
        """A tick beside the file name: what is marked is in the file."""
        self.saved_mark.setText("✓")
        self.saved_mark.setToolTip(f"Saved to {path} at {QTime.currentTime().toString('HH:mm:ss')}")

    def show_angstrom(self, pixel_size_a: float | None) -> None:
        """Write the sizes in Angstrom beside the pixels."""
        for box, text in ((self.box, self.box_a), (self.diameter, self.diameter_a)):
            text.setText(f"= {box.value() * pixel_size_a:.0f} Å" if pixel_size_a else "")
