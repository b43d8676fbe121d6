"""What part of an image is seen and how: centre, zoom, contrast. No Qt here: tested without a window.

Image coordinates: x = column, y = row, pixel centres at integers (pixel 0 covers -0.5..0.5). Screen
coordinates: device pixels of one panel, from its top left corner. Zoom is device pixels per image pixel. The
image's corner is snapped to whole device pixels, so a pan moves pixels and never resamples them.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from core.images.colour import Look
from core.images.contrast import ordered

MAX_ZOOM = 64.0
MIN_SIDE = 32  # device pixels: an image never shrinks below this
WHEEL_STEP = 1.25
CONTRAST_STEP = 1.5  # zoom by which automatic contrast lags at most: another one colours every tile anew


@dataclass(frozen=True)
class Contrast:
    """What the user wants of the colours; it stays when another micrograph is shown.

    Automatic levels follow the picture and the zoom, `spread` times as wide; otherwise `black` and `white` hold.
    """

    automatic: bool = True
    spread: float = 1.0
    black: float = 0.0
    white: float = 1.0
    gamma: float = 1.0
    invert: bool = False
    lut: str = "grey"

    def look(self, low: float, high: float, lut: str | None = None) -> Look:
        """The colours of a picture whose own automatic levels are `low` and `high`."""
        if self.automatic:
            middle, half = (low + high) / 2, (high - low) / 2 * self.spread
            black, white = ordered(middle - half, middle + half)
        else:
            black, white = ordered(self.black, self.white)
        return Look(black, white, self.gamma, self.invert, lut or self.lut)


class ViewModel:
    """One view; several panels may share it. Callbacks run after every change."""

    def __init__(self) -> None:
        self.image_shape: tuple[int, int] | None = None  # (ny, nx)
        self._last_shape: tuple[int, int] | None = None  # also while nothing is shown between two images
        self.viewport = (1, 1)  # (width, height) in device pixels
        self.centre = (0.0, 0.0)  # image coordinates in the middle of the viewport
        self.zoom = 1.0
        self.fitted = True
        self.contrast = Contrast()
        self.contrast_zoom = 1.0  # the zoom that automatic contrast is for: it follows in steps while that changes
        self._listeners: list[Callable[[], None]] = []

    def subscribe(self, callback: Callable[[], None]) -> Callable[[], None]:
        """Call `callback()` after each change; returns the function that ends this."""
        self._listeners.append(callback)
        return lambda: self._listeners.remove(callback) if callback in self._listeners else None

    def _notify(self) -> None:
        for listener in tuple(self._listeners):
            listener()

    # -- geometry -----------------------------------------------------------------------------------------

    @property
    def origin(self) -> tuple[int, int]:
        """Screen position of the image's top left corner, in whole device pixels."""
        (width, height), (x, y) = self.viewport, self.centre
        return (round(width / 2 - (x + 0.5) * self.zoom), round(height / 2 - (y + 0.5) * self.zoom))

    def to_screen(self, x: float, y: float) -> tuple[float, float]:
        """Image -> screen."""
        left, top = self.origin
        return (left + (x + 0.5) * self.zoom, top + (y + 0.5) * self.zoom)

    def to_image(self, screen_x: float, screen_y: float) -> tuple[float, float]:
        """Screen -> image."""
        left, top = self.origin
        return ((screen_x - left) / self.zoom - 0.5, (screen_y - top) / self.zoom - 0.5)

    def contains(self, x: float, y: float) -> bool:
        """Whether an image position lies on a pixel."""
        if self.image_shape is None:
            return False
        ny, nx = self.image_shape
        return -0.5 <= x < nx - 0.5 and -0.5 <= y < ny - 0.5

    def visible_rect(self) -> tuple[float, float, float, float]:
        """(x0, y0, x1, y1) of the image part on the screen, clipped to the image; empty without an image."""
        if self.image_shape is None:
            return (0.0, 0.0, 0.0, 0.0)
        ny, nx = self.image_shape
        x0, y0 = self.to_image(0, 0)
        x1, y1 = self.to_image(*self.viewport)
        return (max(x0, -0.5), max(y0, -0.5), min(x1, nx - 0.5), min(y1, ny - 0.5))

    @property
    def fit_zoom(self) -> float:
        """The zoom at which the whole image just fits."""
        if self.image_shape is None:
            return 1.0
        ny, nx = self.image_shape
        return min(self.viewport[0] / nx, self.viewport[1] / ny, MAX_ZOOM)

    @property
    def min_zoom(self) -> float:
        """Below the fit there is little to see; small images stay findable."""
        if self.image_shape is None:
            return 1.0
        return min(self.fit_zoom / 2, 1.0, max(MIN_SIDE / max(self.image_shape), self.fit_zoom / 4))

    # -- changes ------------------------------------------------------------------------------------------

    def set_contrast(self, **changes: Any) -> None:
        """Change fields of the contrast."""
        changed = replace(self.contrast, **changes)
        if changed != self.contrast:
            self.contrast = changed
            self._notify()

    def widen_contrast(self, factor: float) -> None:
        """Make the grey range `factor` times as wide about its middle."""
        contrast = self.contrast
        if contrast.automatic:
            self.set_contrast(spread=min(max(contrast.spread * factor, 1 / 64), 64.0))
        else:
            middle, half = (contrast.black + contrast.white) / 2, (contrast.white - contrast.black) / 2 * factor
            self.set_contrast(black=middle - half, white=middle + half)

    def set_image_shape(self, shape: tuple[int, int] | None) -> None:
        """Another image: the place and zoom stay when its size is the same, else it is fitted."""
        self.image_shape = shape
        if shape is None or shape == self._last_shape:
            self._notify()
            return
        self._last_shape = shape
        self.fit()

    def set_viewport(self, width: int, height: int) -> None:
        """The panel got another size, in device pixels."""
        if (width, height) == self.viewport:
            return
        self.viewport = (max(1, width), max(1, height))
        if self.fitted:
            self.fit()
        else:
            self._settle()

    def fit(self) -> None:
        """Show the whole image, and keep doing so when the panel's size changes."""
        self.fitted = True
        if self.image_shape is not None:
            ny, nx = self.image_shape
            self.zoom, self.centre = self.fit_zoom, ((nx - 1) / 2, (ny - 1) / 2)
            self.contrast_zoom = self.zoom
        self._notify()

    def zoom_at(self, factor: float, screen_x: float, screen_y: float) -> None:
        """Multiply the zoom; the image point under (screen_x, screen_y) stays there."""
        self.set_zoom(self.zoom * factor, screen_x, screen_y)

    def set_zoom(self, zoom: float, screen_x: float | None = None, screen_y: float | None = None) -> None:
        """Set the zoom (1 = one device pixel per image pixel) about a screen point, the middle by default."""
        if self.image_shape is None:
            return
        width, height = self.viewport
        at_x = width / 2 if screen_x is None else screen_x
        at_y = height / 2 if screen_y is None else screen_y
        x, y = self.to_image(at_x, at_y)
        self._put_zoom(zoom)
        self.centre = (x - (at_x - width / 2) / self.zoom, y - (at_y - height / 2) / self.zoom)
        self.fitted = False
        self._settle()

    def _put_zoom(self, zoom: float) -> None:
        self.zoom = float(min(max(zoom, self.min_zoom), MAX_ZOOM))  # Qt takes no numpy numbers
        if max(self.zoom / self.contrast_zoom, self.contrast_zoom / self.zoom) > CONTRAST_STEP:
            self.contrast_zoom = self.zoom

    def come_to_rest(self) -> None:
        """The zoom does not change any more: automatic contrast is exactly for it."""
        if self.contrast_zoom != self.zoom:
            self.contrast_zoom = self.zoom
            self._notify()

    def pan(self, dx: float, dy: float) -> None:
        """Move the picture by (dx, dy) device pixels."""
        if self.image_shape is None:
            return
        self.centre = (self.centre[0] - dx / self.zoom, self.centre[1] - dy / self.zoom)
        self.fitted = False
        self._settle()

    def centre_on(self, x: float, y: float, zoom: float | None = None) -> None:
        """Bring an image position to the middle."""
        if zoom is not None:
            self._put_zoom(zoom)
        self.centre, self.fitted = (float(x), float(y)), False
        self._settle()

    def _settle(self) -> None:
        """Keep the middle of the view on the image: it can never be lost."""
        if self.image_shape is not None:
            ny, nx = self.image_shape
            x, y = self.centre
            self.centre = (min(max(x, 0.0), nx - 1.0), min(max(y, 0.0), ny - 1.0))
        self._notify()

    # -- scale --------------------------------------------------------------------------------------------

    def scale_bar(self, pixel_size_a: float | None, max_px: float) -> tuple[float, str] | None:
        """(length in device pixels, text) of a bar no longer than `max_px`; None when the size is unknown."""
        if not pixel_size_a or pixel_size_a <= 0 or self.image_shape is None:
            return None
        per_px = pixel_size_a / self.zoom
        longest = max_px * per_px
        power = 10.0 ** math.floor(math.log10(longest))
        length = next(step * power for step in (5, 2, 1) if step * power <= longest * (1 + 1e-9))
        return (length / per_px, length_text(length))


def length_text(length_a: float) -> str:
    """An Angstrom length for people: Å below 10 nm, then nm, then µm."""
    for unit, name in ((1e4, "µm"), (10.0, "nm")):
        if length_a >= 10 * unit or (unit == 1e4 and length_a >= unit):
            return f"{length_a / unit:g} {name}"
    return f"{length_a:g} Å"
