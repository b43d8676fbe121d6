"""Choosing an image of a stack: slider, number, play. Which stack, and loading its images, is decided elsewhere.

Keys (on the bar, and on every widget given to `add_keys`): [ and ] or Ctrl+Left and Ctrl+Right. The wheel over
the bar steps too. Numbers are 0-based here and 1-based for people.
"""

from __future__ import annotations

from PySide6.QtCore import QEvent, QObject, QSignalBlocker, Qt, QTimer, Signal
from PySide6.QtGui import QHideEvent, QKeyEvent, QKeySequence, QShortcut, QWheelEvent
from PySide6.QtWidgets import QComboBox, QHBoxLayout, QSizePolicy, QSlider, QSpinBox, QToolButton, QWidget

SPEEDS = (1, 2, 5, 10, 20)  # images per second
_STEPS = {"[": -1, "]": 1, "Ctrl+Left": -1, "Ctrl+Right": 1}
_NOTCH = 120  # of a wheel


class FrameBar(QWidget):
    """`frame_chosen(index)` when the user, or playing, asks for another image. Hidden while there is only one.

    Call `frame_shown(index)` when an image is on the screen: playing then asks for the next only when the last
    one is there, so a slow disk plays slowly instead of showing nothing.
    """

    frame_chosen = Signal(int)
    playing_changed = Signal(bool)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._n, self._index = 1, 0
        self._stack: object = None
        self._turn = 0  # of the wheel, not yet a notch
        self._answers = False  # somebody calls frame_shown
        self._waiting = False
        self._timer = QTimer(self)
        self._timer.timeout.connect(self._play_on)
        self._build()
        self.set_frames(1)

    def _build(self) -> None:
        self.play = QToolButton()
        self.play.setText("▶")
        self.play.setCheckable(True)
        self.play.setToolTip("Play the images of this stack, again and again (space on this button)")
        self.play.setAccessibleName("Play")
        self.play.toggled.connect(self._on_play)
        self.slider = QSlider(Qt.Orientation.Horizontal)
        self.slider.setAccessibleName("Image of the stack")
        self.slider.setToolTip("Image of the stack: drag, wheel, or the keys [ and ]")
        self.slider.valueChanged.connect(self._choose)
        self.slider.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.slider.setMinimumWidth(self.fontMetrics().averageCharWidth() * 12)
        self.number = QSpinBox()
        self.number.setAccessibleName("Number of the image")
        self.number.setToolTip("Image of the stack; type a number and press Enter")
        self.number.setKeyboardTracking(False)
        self.number.lineEdit().setTextMargins(3, 0, 0, 0)
        self.number.valueChanged.connect(lambda value: self._choose(value - 1))
        self.speed = QComboBox()
        for per_second in SPEEDS:
            self.speed.addItem(f"{per_second} per s", per_second)
        self.speed.setCurrentIndex(SPEEDS.index(5))
        self.speed.setAccessibleName("Speed of playing")
        self.speed.setToolTip("Images per second while playing")
        self.speed.currentIndexChanged.connect(lambda _: self._set_pace())
        line = QHBoxLayout(self)
        line.setContentsMargins(4, 0, 4, 0)
        line.setSpacing(6)
        line.addWidget(self.play)
        line.addWidget(self.slider, 1)
        line.addWidget(self.number)
        line.addWidget(self.speed)
        for part in (self, self.play, self.slider, self.number, self.speed):
            part.installEventFilter(self)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)

    # -- state --------------------------------------------------------------------------------------------

    @property
    def index(self) -> int:
        """The image that is chosen, 0-based."""
        return self._index

    @property
    def frames(self) -> int:
        """How many images there are."""
        return self._n

    @property
    def stack(self) -> object:
        """What names the stack, as given to `set_frames`."""
        return self._stack

    @property
    def playing(self) -> bool:
        """Whether the images go on by themselves."""
        return self.play.isChecked()

    def set_frames(self, n: int, index: int = 0, stack: object = None) -> None:
        """A stack of `n` images, of which `index` is shown. No signal.

        Playing ends, unless `stack` (what names it, such as its path) is the same as before.
        """
        if stack is not None and stack == self._stack and n == self._n:
            self.set_index(index)
            return
        self.stop()
        self._stack = stack
        self._n = max(1, n)
        self._index = min(max(index, 0), self._n - 1)
        with QSignalBlocker(self.slider), QSignalBlocker(self.number):
            self.slider.setRange(0, self._n - 1)
            self.slider.setPageStep(max(1, self._n // 10))
            self.number.setRange(1, self._n)
            self.number.setPrefix("image ")
            self.number.setSuffix(f" of {self._n}")
        self._show()
        self.setVisible(self._n > 1)

    def set_index(self, index: int) -> None:
        """Another image of the same stack is shown. No signal."""
        self._index = min(max(index, 0), self._n - 1)
        self._show()

    def frame_shown(self, index: int) -> None:
        """An image has reached the screen."""
        self._answers = True
        if index == self._index:
            self._waiting = False

    def stop(self) -> None:
        """End playing: the stack was left, or an image cannot be read."""
        self.play.setChecked(False)

    def step(self, by: int) -> None:
        """Go some images on or back, to the first or the last at most."""
        self._choose(min(max(self._index + by, 0), self._n - 1))

    def add_keys(self, host: QWidget) -> None:
        """Let [ ] and Ctrl+Left, Ctrl+Right step while the focus is on `host` or inside it."""
        for key, by in _STEPS.items():
            shortcut = QShortcut(QKeySequence(key), host)
            shortcut.setContext(Qt.ShortcutContext.WidgetWithChildrenShortcut)
            shortcut.activated.connect(lambda by=by: self.step(by))

    # -- inside -------------------------------------------------------------------------------------------

    def _show(self) -> None:
        with QSignalBlocker(self.slider), QSignalBlocker(self.number):
            self.slider.setValue(self._index)
            self.number.setValue(self._index + 1)

    def _choose(self, index: int) -> None:
        if index == self._index or not 0 <= index < self._n:
            return
        self._index, self._waiting = index, True
        self._show()
        self.frame_chosen.emit(index)

    def _on_play(self, on: bool) -> None:
        self.play.setText("❚❚" if on else "▶")
        self.play.setAccessibleName("Pause" if on else "Play")
        self._waiting = False
        self._set_pace()
        if on:
            self._timer.start()
        else:
            self._timer.stop()
        self.playing_changed.emit(on)

    def _set_pace(self) -> None:
        self._timer.setInterval(round(1000 / self.speed.currentData()))

    def _play_on(self) -> None:
        if not (self._answers and self._waiting):
            self._choose((self._index + 1) % self._n)

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        if isinstance(event, QKeyEvent):
            return self._key(event)
        if not isinstance(event, QWheelEvent) or watched is self.speed:
            return False
        # One notch is one image; a slider of its own would step three.
        self._turn += event.angleDelta().y() or event.angleDelta().x()
        notches = int(self._turn / _NOTCH)
        self._turn -= notches * _NOTCH
        if notches:
            self.step(-notches)
        event.accept()
        return True

    def _key(self, event: QKeyEvent) -> bool:
        """The keys on the bar's own parts; claimed as events, or they would be ambiguous with those of `add_keys`."""
        by = _STEPS.get(QKeySequence(event.keyCombination()).toString(QKeySequence.SequenceFormat.PortableText))
        if by is None or event.type() == QEvent.Type.KeyRelease:
            return False
        event.accept()
        if event.type() == QEvent.Type.KeyPress:
            self.step(by)
        return True

    def hideEvent(self, event: QHideEvent) -> None:
        self.stop()
