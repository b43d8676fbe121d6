"""The output folder of a job tab: the one that is suggested, and a free one where that is taken."""

from __future__ import annotations

from pathlib import Path

from app.session import Session
from app.widgets.form_check import free_folder
from app.widgets.labels import Banner
from app.widgets.params_form import ParamsForm
from core.params import Params


class OutputFolder:
    """Part of JobTab, which has the form, the banner and the session."""

    job = ""
    output_name = ""  # folder name suggested below the project folder
    fresh_folder = False  # every run needs an output folder of its own
    session: Session
    form: ParamsForm
    banner: Banner
    _suggested = ""
    _offered = ""  # a free output folder that the banner's button sets

    def go_next(self) -> None:
        """The button of the next step."""

    def suggest_output(self, name: str = "", project: Path | None = None) -> None:
        """Suggest the output folder, unless the user has chosen one. `project`: instead of the one that is carried."""
        project = project or self.session.carried.get("project")
        shown = self.form.raw("output") if "output" in self.form.rows else None
        if not project or shown is None or shown not in ("", self._suggested, self.session.field(self.job, "output")):
            return
        folder = Path(project) / (name or self.output_name)
        self._suggested = str(free_folder(folder) if self.fresh_folder else folder)
        self.form.set_values({"output": self._suggested})

    def taken(self, params: Params) -> str:
        """Why the output folder cannot be used for this run; empty when it can."""
        return ""

    def _offer_folder(self, text: str, hint: str) -> None:
        """Say that the output folder is taken, with a free one on a button."""
        output = Path(str(self.form.values().get("output") or ""))
        self._offered = str(free_folder(output))
        self.banner.show_text("failed", text, hint, next_step=f"Use {Path(self._offered).name}")

    def _on_next(self) -> None:
        if self._offered:
            self.form.set_values({"output": self._offered})
            self._offered = ""
            self.banner.hide()
        else:
            self.go_next()
