"""Saving a picture: what is seen, or the whole image at full resolution, as PNG or TIFF; and the clipboard.

Pixels are coloured in core/images/render.py, painted over in export_paint.py and written row by row in a task. A
denoised or filtered picture always carries its label, a map in a strip below (caption_strip.py). The dialog is
export_dialog.py.
"""

from __future__ import annotations

import dataclasses
import re
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PySide6.QtCore import QObject, QTimer, Signal
from PySide6.QtGui import QFont, QImage
from PySide6.QtWidgets import QApplication

import core
from app.viewer.boxes import BoxLayer
from app.viewer.caption_strip import caption_strip, with_strip
from app.viewer.export_paint import Overlay, level_shape, pixels_of, with_captions
from core.errors import AppError, InputError
from core.images.colour import Look
from core.images.pyramid import Cancelled, Pyramid
from workers.task import run_task

FORMATS = {"png": ".png", "tiff": ".tif", "tiff32": ".tif"}  # tiff32: the values themselves, as float32
POLL_MS = 80


@dataclass(frozen=True, eq=False)
class Exportable:
    """A picture that can be saved. `labels` say what its pixels are not ("denoised: for seeing and picking")."""

    name: str  # file name of the micrograph
    picture: Callable[[], QImage] | None = None  # what is seen, in device pixels; called in the window's thread
    zoom: float | None = None  # device pixels of `picture` per image pixel
    ratio: float = 1.0  # device pixels of `picture` per logical pixel
    pyramid: Pyramid | None = None  # for the whole image
    look: Look = dataclasses.field(default_factory=Look)
    automatic: bool = True  # the levels of `look` follow the zoom, the whole image has its own
    pixel_size_a: float | None = None
    labels: tuple[str, ...] = ()
    labelled: bool = False  # `picture` shows them already
    strip: bool = False  # words go into a strip below the picture, not over it
    layers: Sequence[BoxLayer] = ()
    source: Path | None = None


@dataclass(frozen=True)
class ExportOptions:
    """What the user chose. `scale_bar` and `marks` are for the whole image: what is seen has its own."""

    whole: bool = False
    format: str = "png"
    scale_bar: bool = True
    marks: bool = False
    caption: bool = False
    seen_levels: bool = False  # the whole image with the grey levels of the view

    @property
    def values(self) -> bool:
        """Whether the unscaled values are written: nothing can be painted over them."""
        return self.whole and self.format == "tiff32"


def default_name(exportable: Exportable, options: ExportOptions) -> str:
    """File name after the micrograph, with its label: a denoised picture says so wherever it goes."""
    from core.io.coordinates import file_stem

    words = [_short(label) for label in exportable.labels]
    kind = "values" if options.values else "picture" if options.whole else "view"
    parts = [file_stem(exportable.name) or "picture", *words, kind]
    return "_".join(re.sub(r"[^\w.+-]+", "-", part).strip("-") for part in parts) + FORMATS[options.format]


def _short(label: str) -> str:
    """The first words of a label, for a file name; a learned prior is always named."""
    first = re.split(r"[:;,(]", label)[0]
    named = "prior" in first.lower() or "prior" not in label.lower()
    return first if named else f"{first} learned prior"


def copy_to_clipboard(image: QImage, labels: Sequence[str] = (), ratio: float = 1.0, strip: bool = False) -> None:
    """Put a picture on the clipboard, with its labels: over it, or in a strip below."""
    write = with_strip if strip else with_captions
    QApplication.clipboard().setImage(write(image, labels, QApplication.font(), ratio))


class Exporter(QObject):
    """Saves one picture at a time in a task: progressed(part 0..1), then saved(path), failed(AppError) or given_up."""

    progressed = Signal(float)
    saved = Signal(object)
    failed = Signal(object)
    given_up = Signal()

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._part = 0.0  # written by the task, read by the timer: a signal could outlive this object
        self._stop = threading.Event()
        self._timer = QTimer(self, interval=POLL_MS)
        self._timer.timeout.connect(lambda: self.progressed.emit(self._part))
        self.busy = False

    def start(self, exportable: Exportable, options: ExportOptions, path: Path) -> None:
        """Begin; the picture that is seen is taken now."""
        picture = exportable.picture() if not options.whole and exportable.picture else None
        self._part, self._stop, self.busy = 0.0, threading.Event(), True
        stop, font = self._stop, QFont(QApplication.font())

        def report(done: int, total: int) -> None:
            if stop.is_set():
                raise Cancelled
            self._part = done / total

        def work() -> Path | None:
            try:
                return save(exportable, options, path, picture, font, report)
            except Cancelled:
                return None

        self._timer.start()
        self.destroyed.connect(stop.set)
        run_task(work, self._on_done, self._on_failed, self)

    def cancel(self) -> None:
        """Give up; nothing is left on the disk. `given_up` follows."""
        self._stop.set()

    def _on_done(self, path: Path | None) -> None:
        self.busy = False
        self._timer.stop()
        if path is None:
            self.given_up.emit()
        else:
            self.progressed.emit(1.0)
            self.saved.emit(path)

    def _on_failed(self, err: AppError) -> None:
        self.busy = False
        self._timer.stop()
        self.failed.emit(err)


def save(
    exportable: Exportable,
    options: ExportOptions,
    path: Path,
    picture: QImage | None,
    font: QFont,
    report: Callable[[int, int], None],
) -> Path:
    """Write the picture (in any thread): `picture` when it is what is seen, else the whole image."""
    from core.images import render
    from core.io.png import write_png
    from core.io.tiff_write import write_tiff

    if exportable.source is not None and path.exists() and path.samefile(exportable.source):
        raise InputError(f"{path.name} is the micrograph itself, which is never overwritten.", "Choose another name.")
    if options.whole:
        shape, blocks, pixel = _whole(exportable, options, font)
    else:
        shape, blocks, pixel = _seen(exportable, options, picture, font)
    height = render.block_rows((shape[0], shape[1]))
    blocks = _reporting(blocks, shape[0], report)
    texts = provenance(exportable, options)
    if options.format == "png":
        write_png(path, shape, blocks, texts)
    else:
        write_tiff(path, shape, "float32" if options.values else "uint8", blocks, height, pixel, texts)
    return path


_Rows = tuple[tuple[int, ...], Iterator[np.ndarray], float | None]  # shape, blocks, Angstrom per pixel


def _reporting(blocks: Iterator[np.ndarray], total: int, report: Callable[[int, int], None]) -> Iterator[np.ndarray]:
    done = 0
    for block in blocks:
        report(done, total)
        done += len(block)
        yield block


def _seen(exportable: Exportable, options: ExportOptions, picture: QImage | None, font: QFont) -> _Rows:
    from core.images.render import row_blocks

    if picture is None or picture.isNull():
        raise InputError("There is no picture to save.", "Open a micrograph first.")
    lines = [exportable.name] * options.caption + list(exportable.labels) * (not exportable.labelled)
    write = with_strip if exportable.strip else with_captions
    image = write(picture, lines, font, exportable.ratio)
    pixels = pixels_of(image.convertToFormat(QImage.Format.Format_Grayscale8) if image.allGray() else image)
    blocks = (pixels[top:bottom] for top, bottom in row_blocks(pixels.shape[:2]))
    pixel, zoom = exportable.pixel_size_a, exportable.zoom
    return pixels.shape, blocks, pixel / zoom if pixel and zoom else None


def _whole(exportable: Exportable, options: ExportOptions, font: QFont) -> _Rows:
    from core.images.render import is_grey, render, row_blocks

    pyramid = exportable.pyramid
    if pyramid is None:
        raise InputError("There is no picture to save.", "Open a micrograph first.")
    values = pyramid.levels[0]
    shape = level_shape(pyramid)
    pixel = exportable.pixel_size_a * 2**pyramid.finest if exportable.pixel_size_a else None
    if options.values:
        return shape, (values[top:bottom] for top, bottom in row_blocks(shape)), pixel
    look = exportable.look
    if exportable.automatic and not options.seen_levels:
        black, white = pyramid.grey_ranges[0]
        look = dataclasses.replace(look, black=black, white=white)
    lines = [exportable.name] * options.caption + list(exportable.labels)
    scale_pixel = exportable.pixel_size_a if options.scale_bar else None
    layers, over = exportable.layers if options.marks else (), [] if exportable.strip else lines
    overlay = Overlay(pyramid, layers, scale_pixel, over, font)
    grey = is_grey(look) and not overlay.layers
    blocks = (overlay.over(render(values[top:bottom], look, grey), top) for top, bottom in row_blocks(shape))
    strip = caption_strip(lines, shape[1], font, overlay.ratio) if exportable.strip else None
    if strip is not None:
        shape, blocks = (shape[0] + strip.height(), strip.width()), _above(blocks, strip, grey)
    return shape if grey else (*shape, 3), blocks, pixel


def _above(blocks: Iterator[np.ndarray], strip: QImage, grey: bool) -> Iterator[np.ndarray]:
    """Rows of a picture, white beside them where the strip is wider, then those of the strip."""
    for block in blocks:
        beside = [(0, 0), (0, strip.width() - block.shape[1])] + [(0, 0)] * (block.ndim - 2)
        yield np.pad(block, beside, constant_values=255)
    yield pixels_of(strip.convertToFormat(QImage.Format.Format_Grayscale8) if grey else strip)


def provenance(exportable: Exportable, options: ExportOptions) -> dict[str, str]:
    """Where a picture comes from and what was done to it, for the texts of its file."""
    look, pyramid = exportable.look, exportable.pyramid
    if options.whole and pyramid is not None and exportable.automatic and not options.seen_levels:
        look = dataclasses.replace(look, black=pyramid.grey_ranges[0][0], white=pyramid.grey_ranges[0][1])
    source = exportable.source.name if exportable.source else exportable.name
    lines = [f"Source: {source}", *exportable.labels]
    if pyramid is not None and pyramid.n > 1:
        lines.append(f"image {pyramid.index + 1} of {pyramid.n}")
    if options.whole:
        means = f", means of {2**pyramid.finest} x {2**pyramid.finest} px" if pyramid and pyramid.finest else ""
        lines.append(f"whole image{means}")
    else:
        lines.append("as seen" + (f" at {exportable.zoom:g} screen pixels per pixel" if exportable.zoom else ""))
    if exportable.pixel_size_a:
        lines.append(f"pixel size of the micrograph: {exportable.pixel_size_a:g} A")
    if options.values:
        lines.append("values not scaled")
    elif pyramid is not None:
        turned = ", inverted" if look.invert else ""
        lines.append(f"levels {look.black:g} to {look.white:g}, gamma {look.gamma:g}{turned}, colours: {look.lut}")
    texts = {"Software": f"Vitreous {core.__version__}", "Title": exportable.name, "Description": "\n".join(lines)}
    return texts
