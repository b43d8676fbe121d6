"""Other ways to show a micrograph, each as its users would write it, behind the methods of `Painter`.

Ours are here too: the same questions are asked of all.
"""

# ruff: noqa: D102 (the methods are described once, in Painter)

from __future__ import annotations

import importlib
from typing import Any, Protocol

import numpy as np

from benchmarks.stage import qt_binding
from benchmarks.viewer_scene import BLACK, WHITE, fit_zoom

OURS = ("raster", "gl")
NAMES = (*OURS, "pyqtgraph_plot", "pyqtgraph_imageview", "pixmap", "napari")


class Painter(Protocol):
    """What the benchmark asks for. Image positions are edges: 0 .. nx, 0 .. ny; sizes are device pixels."""

    window: Any  # the top-level widget
    target: Any  # the widget whose frames are counted

    def prepare(self) -> None:
        """Import everything: libraries do not count as the picture's memory or time."""

    def build(self, width: int, height: int) -> None:
        """Make and show a window whose picture area has this size."""

    def load(self, image: np.ndarray) -> None:
        """Show float32 (ny, nx), fitted."""

    def show(self, x: float, y: float, zoom: float) -> None:
        """Image position (x, y) in the middle."""

    def pan(self, dx: int, dy: int) -> None:
        """Move the picture by device pixels."""

    def contrast(self, black: float, white: float) -> None:
        """Change the grey levels."""

    def corner(self) -> tuple[int, int]:
        """(left, top) of the picture in the picture area."""
        ...


class _Rival:
    """Keeps the view for those who only know absolute positions."""

    window: Any
    target: Any
    _size = (1, 1)
    _shape = (1, 1)
    _place = (0.0, 0.0, 1.0)

    def _remember(self, image: np.ndarray) -> tuple[float, float, float]:
        ny, nx = image.shape
        self._shape = (ny, nx)
        return (nx / 2, ny / 2, fit_zoom(self._shape, self._size))

    def show(self, x: float, y: float, zoom: float) -> None:
        self._place = (x, y, zoom)
        self._go(x, y, zoom)

    def pan(self, dx: int, dy: int) -> None:
        x, y, zoom = self._place
        self.show(x - dx / zoom, y - dy / zoom, zoom)

    def corner(self) -> tuple[int, int]:
        x, y, zoom = self._place
        return (round(self._size[0] / 2 - x * zoom), round(self._size[1] / 2 - y * zoom))

    def _go(self, x: float, y: float, zoom: float) -> None:
        raise NotImplementedError


class Pyqtgraph(_Rival):
    """ImageItem in a PlotWidget without axes, or in an ImageView without its side panel."""

    def __init__(self, whole: bool) -> None:
        self._whole = whole

    def prepare(self) -> None:
        import pyqtgraph

        pyqtgraph.setConfigOptions(imageAxisOrder="row-major")

    def build(self, width: int, height: int) -> None:
        import pyqtgraph

        self._size = (width, height)
        if self._whole:
            self.window: Any = pyqtgraph.ImageView()
            for part in (self.window.ui.histogram, self.window.ui.roiBtn, self.window.ui.menuBtn):
                part.hide()
            self._box, self._item = self.window.getView(), self.window.getImageItem()
            self.target = self.window.ui.graphicsView.viewport()
        else:
            self.window = pyqtgraph.PlotWidget()
            for side in ("left", "bottom"):
                self.window.hideAxis(side)
            self._item = pyqtgraph.ImageItem()
            self.window.addItem(self._item)
            self._box, self.target = self.window.getViewBox(), self.window.viewport()
        self._box.setAspectLocked(True)
        self._box.invertY(True)
        self._box.setDefaultPadding(0)
        self.window.resize(width, height)
        self.window.show()

    def load(self, image: np.ndarray) -> None:
        if self._whole:
            self.window.setImage(image, levels=(BLACK, WHITE), autoHistogramRange=False)
        else:
            self._item.setImage(image, levels=(BLACK, WHITE))
        self.show(*self._remember(image))

    def _go(self, x: float, y: float, zoom: float) -> None:
        from PySide6.QtCore import QRectF

        width, height = self._size[0] / zoom, self._size[1] / zoom
        area = QRectF(x - width / 2, y - height / 2, width, height)
        self._box.setRange(area, padding=0, disableAutoRange=True)

    def contrast(self, black: float, white: float) -> None:
        self._item.setLevels((black, white))


class Pixmap(_Rival):
    """QGraphicsView with one 8-bit QPixmap of the whole image, made anew when the contrast changes."""

    def prepare(self) -> None:
        importlib.import_module("PySide6.QtWidgets")

    def build(self, width: int, height: int) -> None:
        from PySide6.QtCore import Qt
        from PySide6.QtGui import QPainter
        from PySide6.QtWidgets import QGraphicsPixmapItem, QGraphicsScene, QGraphicsView

        self._size = (width, height)
        self._item = QGraphicsPixmapItem()
        self._scene = QGraphicsScene()
        self._scene.addItem(self._item)
        self.window = QGraphicsView(self._scene)
        self.window.setFrameStyle(0)
        self.window.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform)
        never = Qt.ScrollBarPolicy.ScrollBarAlwaysOff
        self.window.setHorizontalScrollBarPolicy(never)
        self.window.setVerticalScrollBarPolicy(never)
        self.target = self.window.viewport()
        self.window.resize(width, height)
        self.window.show()

    def load(self, image: np.ndarray) -> None:
        self._image = image
        middle = self._remember(image)
        ny, nx = self._shape
        self._scene.setSceneRect(-nx, -ny, 3 * nx, 3 * ny)  # room, so that every position can be in the middle
        self.contrast(BLACK, WHITE)
        self.show(*middle)

    def _go(self, x: float, y: float, zoom: float) -> None:
        from PySide6.QtGui import QTransform

        self.window.setTransform(QTransform.fromScale(zoom, zoom))
        self.window.centerOn(x, y)

    def contrast(self, black: float, white: float) -> None:
        from PySide6.QtGui import QImage, QPixmap

        grey = (self._image - black) * (255 / (white - black))
        pixels = np.clip(grey, 0, 255).astype(np.uint8)
        ny, nx = self._shape
        self._item.setPixmap(QPixmap.fromImage(QImage(pixels.data, nx, ny, nx, QImage.Format.Format_Grayscale8)))


class Napari(_Rival):
    """An image layer of napari's viewer; runs in napari's own environment."""

    def prepare(self) -> None:
        self._make = importlib.import_module("napari").Viewer  # asking for it imports most of the rest

    def build(self, width: int, height: int) -> None:
        widgets = importlib.import_module(f"{qt_binding()}.QtWidgets")
        application = widgets.QApplication.instance()
        self._size = (width, height)
        self._viewer = self._make(show=False)
        self.window = self._viewer.window._qt_window
        self.target = self._viewer.window._qt_viewer.canvas.native
        for dock in self.window.findChildren(widgets.QDockWidget):
            dock.hide()
        self.window.menuBar().hide()
        self.window.statusBar().hide()
        self.window.show()
        for _ in range(4):  # its window takes a few turns to find its size
            for _ in range(10):
                application.processEvents()
            more_x, more_y = width - self.target.width(), height - self.target.height()
            self.window.resize(self.window.width() + more_x, self.window.height() + more_y)

    def load(self, image: np.ndarray) -> None:
        self._size = (self.target.width(), self.target.height())
        middle = self._remember(image)
        self._layer = self._viewer.add_image(image, contrast_limits=(BLACK, WHITE))
        self.show(*middle)

    def _go(self, x: float, y: float, zoom: float) -> None:
        # Its world has pixel centres at integers, and rows first.
        self._viewer.camera.center = (y - 0.5, x - 0.5)
        self._viewer.camera.zoom = zoom

    def contrast(self, black: float, white: float) -> None:
        self._layer.contrast_limits = (black, white)


class Ours:
    """Vitreous's ImageView with its toolbar and status line, painted without or with OpenGL."""

    def __init__(self, renderer: str) -> None:
        self._renderer = renderer

    def prepare(self) -> None:
        importlib.import_module("app.viewer.image_view")
        if self._renderer == "gl":
            importlib.import_module("app.viewer.gl_canvas")

    def build(self, width: int, height: int) -> None:
        from app.viewer.image_view import ImageView

        self.view = ImageView(painter=self._renderer)
        self.window, self.target = self.view, self.view.canvas.surface
        self.view.resize(width, height)
        self.view.show()
        around_x, around_y = width - self.view.canvas.width(), height - self.view.canvas.height()
        self.view.resize(width + around_x, height + around_y)

    def load(self, image: np.ndarray) -> None:
        from core.images.pyramid import build_pyramid

        self.view.set_pyramid(build_pyramid(image, 1.0, "benchmark"))

    def show(self, x: float, y: float, zoom: float) -> None:
        self.view.model.centre_on(x - 0.5, y - 0.5, zoom)

    def pan(self, dx: int, dy: int) -> None:
        self.view.model.pan(dx, dy)

    def corner(self) -> tuple[int, int]:
        return self.view.model.origin

    def contrast(self, black: float, white: float) -> None:
        self.view.model.set_contrast(automatic=False, black=black, white=white)

    def mark(self, count: int, shape: tuple[int, int]) -> None:
        """`count` boxes all over the picture, their side a 64th of its own."""
        from app.viewer.boxes import BoxLayer

        ny, nx = shape
        centres = np.random.default_rng(1).uniform((0, 0), (nx, ny), (count, 2))
        self.view.set_layers([BoxLayer(centres, min(shape) / 64)] if count else [])


def make(name: str) -> Painter:
    """The painter called so."""
    if name in OURS:
        return Ours(name)
    if name.startswith("pyqtgraph"):
        return Pyqtgraph(whole=name.endswith("imageview"))
    return Pixmap() if name == "pixmap" else Napari()
