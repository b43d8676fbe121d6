"""Preferences: theme, how pictures are drawn, memory for images. Changes take effect at once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QComboBox, QDialog, QDialogButtonBox, QFormLayout, QSpinBox, QVBoxLayout

from app import theme
from app.viewer import gl_probe, renderer
from app.widgets.labels import label
from core.errors import AppError
from workers.task import run_task

if TYPE_CHECKING:
    from app.window import MainWindow

PAINTERS = {"auto": "Automatic", "raster": "Without OpenGL", "gl": "OpenGL"}
LEAST_MB, MOST_MB = 256, 1 << 17


class PreferencesDialog(QDialog):
    """What is chosen here is kept for the next start."""

    def __init__(self, window: MainWindow) -> None:
        super().__init__(window)
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self.setWindowTitle("Preferences")
        self._window = window
        settings = window.session.settings
        self.theme = QComboBox()
        self.theme.addItems([name.capitalize() for name in theme.THEMES])
        self.theme.setCurrentIndex(theme.THEMES.index(theme.current()))
        self.theme.setToolTip("Colours of the window (Ctrl+Shift+T)")
        self.painter = QComboBox()
        for name, text in PAINTERS.items():
            self.painter.addItem(text, name)
        self.painter.setCurrentIndex(max(0, self.painter.findData(settings.renderer)))
        self.painter.setToolTip("OpenGL is faster on a graphics card, slower without one and over a network")
        self.now = label("", "muted", wrap=True)
        self.memory = QSpinBox()
        self.memory.setRange(LEAST_MB, MOST_MB)
        self.memory.setSingleStep(256)
        self.memory.setSuffix(" MB")
        self.memory.setValue(settings.cache_mb)
        self.memory.setToolTip("Micrographs seen last stay in memory, up to this much: 4096 x 4096 pixels take 90 MB")
        form = QFormLayout()
        form.addRow("&Theme", self.theme)
        form.addRow("&Draw micrographs", self.painter)
        form.addRow("", self.now)
        form.addRow("&Memory for images", self.memory)
        buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Close)
        buttons.rejected.connect(self.reject)
        whole = QVBoxLayout(self)
        whole.addLayout(form)
        whole.addStretch(1)
        whole.addWidget(buttons)
        self.resize(self.fontMetrics().averageCharWidth() * 70, self.sizeHint().height())
        self.theme.currentIndexChanged.connect(lambda i: window.set_theme(theme.THEMES[i]))
        self.painter.currentIndexChanged.connect(self._choose_painter)
        self.memory.editingFinished.connect(lambda: window.set_cache_mb(self.memory.value()))
        self._show_now()

    def _show_now(self) -> None:
        choice = renderer.current()
        self.now.setText(f"Now: {renderer.NAMES[choice.name]}" + (f" ({choice.why})" if choice.why else ""))

    def _choose_painter(self) -> None:
        setting = str(self.painter.currentData())
        self._window.session.settings.renderer = setting
        self._window.session.save()
        if setting == "raster":
            self._use(renderer.Choice("raster", renderer.ASKED))
        elif setting == "auto" and renderer.is_remote():
            self._use(renderer.Choice("raster", "remote display"))
        else:
            self.now.setText("Asking the graphics driver…")

            def take(answer: dict[str, Any]) -> None:
                if self.painter.currentData() == setting:
                    self._use(renderer.decide(setting, answer))

            def fail(err: AppError) -> None:
                self.now.setText(str(err))

            run_task(gl_probe.probe, take, fail, self)

    def _use(self, choice: renderer.Choice) -> None:
        self._window.set_renderer(choice)
        self._show_now()
