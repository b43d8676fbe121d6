"""What the single picture and the comparison connect alike: gestures, toolbar, panels, look, saving.

A view has the parts named below; what it does with its own signals stays with it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from app.viewer.compare_view import CompareView
    from app.viewer.image_view import ImageView

CONTRAST_STEP = 1.1  # per notch of the wheel or press of a key


def wire(view: ImageView | CompareView) -> None:
    """Connect the shared parts of a view."""
    gestures, toolbar, model = view.gestures, view.toolbar, view.model
    gestures.hovered.connect(view._on_hover)
    gestures.auto_contrast.connect(view.auto_contrast)
    gestures.invert.connect(lambda: model.set_contrast(invert=not model.contrast.invert))
    gestures.contrast_step.connect(lambda by: model.widen_contrast(CONTRAST_STEP**-by))
    toolbar.fit_requested.connect(view.fit)
    toolbar.one_to_one_requested.connect(view.one_to_one)
    toolbar.look_requested.connect(view.look.open_popup)
    toolbar.measure_toggled.connect(view.measure.toggle)
    toolbar.measure_toggled.connect(lambda _on: view.canvas.setFocus())
    panels = view.panels
    toolbar.panel_toggled.connect(lambda name, on: (panels.show_panel if on else panels.hide_panel)(name))
    toolbar.save_requested.connect(view.saving.save)
    toolbar.copy_requested.connect(view.saving.copy)
    panels.closed.connect(lambda name: toolbar.panels[name].setChecked(False))
    view.frames.frame_chosen.connect(view.frame_chosen)
    view.look.filtered.connect(view._on_filtered)
    view.look.reset.connect(view.fit)
    for part in (view.look, view.saving):
        part.said.connect(view.said)
    model.subscribe(view._on_view_changed)
