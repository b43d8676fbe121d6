"""The cs2star tab: the preview follows the form, drawn cards are its choice, a run fills report and plots."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import numpy as np
import pytest
from cs_files import save
from PySide6.QtCore import QMimeData, QPointF, Qt, QUrl
from PySide6.QtGui import QDropEvent
from PySide6.QtWidgets import QApplication

from app import theme
from app.tabs import cs2star_look
from app.tabs.cs2star import MICROGRAPHS
from app.tabs.cs2star_result import NO_DEFOCUS, NO_VIEWS
from app.widgets.metric_plot import library
from app.widgets.star_preview import meaning
from app.window import TABS
from core.cryosparc import preview as previewing
from core.cryosparc.preview import INVERTED_Y
from core.errors import InputError
from core.io.star import read_star

DATA = Path(__file__).resolve().parents[2] / ".." / "shared" / "data" / "cs2star"
LEFT, ROLE = Qt.MouseButton.LeftButton, Qt.ItemDataRole
WAIT = 30_000
COLUMNS = [
    ("uid", "<u8"),
    ("alignments3D/pose", "<f4", 3),
    ("alignments3D/shift", "<f4", 2),
    ("alignments3D/psize_A", "<f4"),
    ("ctf/df1_A", "<f4"),
    ("ctf/df2_A", "<f4"),
    ("ctf/df_angle_rad", "<f4"),
    ("blob/path", "S40"),
    ("blob/idx", "<u4"),
    ("location/micrograph_path", "S40"),
    ("location/center_x_frac", "<f4"),
    ("location/center_y_frac", "<f4"),
    ("location/micrograph_shape", "<u4", 2),
]

LENS = {"ctf/accel_kv": 300, "ctf/cs_mm": 2.7, "ctf/amp_contrast": 0.1}


def dataset(path: Path, n: int = 40, without: tuple[str, ...] = (), lens: bool = False) -> Path:
    """Particles at y = 1000 px from CryoSPARC's edge of micrographs 4000 px high."""
    columns = [*COLUMNS, *((name, "<f4") for name in LENS if lens)]
    rows = np.zeros(n, [entry for entry in columns if not entry[0].startswith(without or ("-",))])
    values = {
        "uid": np.arange(n) + 10**15,
        "alignments3D/pose": np.random.default_rng(2).normal(size=(n, 3)),
        "alignments3D/psize_A": 1.0,
        "ctf/df1_A": np.linspace(10_000, 20_000, n),
        "ctf/df2_A": np.linspace(10_000, 20_000, n),
        "blob/path": b"J5/extract/a_particles.mrcs",
        "blob/idx": np.arange(n),
        "location/micrograph_path": b"J3/a.mrc",
        "location/center_y_frac": 0.25,
        "location/micrograph_shape": (4000, 5000),
        **LENS,
    }
    for name in rows.dtype.names or ():
        rows[name] = values.get(name, 0)
    return save(path, rows)


@pytest.fixture
def job(tmp_path: Path) -> Path:
    """A job folder with two iterations."""
    for number in (0, 1):
        dataset(tmp_path / "J24" / f"J24_{number:03d}_particles.cs")
    return tmp_path / "J24"


@pytest.fixture
def tab(qtbot, session):
    from app.tabs.cs2star import Cs2StarTab

    tab = Cs2StarTab(session)
    qtbot.addWidget(tab)
    tab.resize(1280, 800)
    tab.show()
    qtbot.waitExposed(tab)
    yield tab
    tab.close_tab()
    for worker in session.active():
        worker.request_stop()
        worker.wait(5000)


def looked(qtbot, tab, **values) -> None:
    """Change the form and wait for the preview."""
    tab.form.set_values(values)
    assert tab.looker.busy
    qtbot.waitUntil(lambda: not tab.looker.busy, timeout=WAIT)


def shown(tab) -> dict[str, list[str]]:
    """The table as it is seen, column by column."""
    model = tab.preview.table.model()
    return {
        str(model.headerData(c, Qt.Orientation.Horizontal)): [
            str(model.data(model.index(r, c))) for r in range(model.rowCount())
        ]
        for c in range(model.columnCount())
    }


def run(qtbot, tab, output: Path, **values) -> None:
    tab.form.set_values({"output": str(output), **values})
    qtbot.mouseClick(tab.run_bar.run_button, LEFT)
    ended = ("done", "failed")
    qtbot.waitUntil(lambda: tab.worker is not None and tab.worker.state in ended, timeout=WAIT)
    qtbot.waitUntil(lambda: bool(tab.result) or tab.banner.property("state") == "failed", timeout=WAIT)


def test_nothing_is_shown_but_what_to_do_until_something_is_chosen(tab) -> None:
    assert tab.preview.currentIndex() == 0
    assert tab.preview.message_title.text() == "Choose a CryoSPARC job"
    assert not tab.looker.busy


def test_the_preview_of_a_job_folder(qtbot, tab, job: Path) -> None:
    looked(qtbot, tab, project=str(job))
    assert tab.preview.heading.text() == "J24_001_particles.cs: the last of 2 iterations (number 1)"
    assert tab.preview.counts.text() == (
        "40 particles. Below: all rows of particles_relion.star.\nNo passthrough file is joined."
    )
    cells = shown(tab)
    assert cells["rlnCoordinateY"] == ["3000"] * 40
    assert cells[INVERTED_Y] == ["1000"] * 40
    assert cells["rlnImageName"][39] == "000040@J5/extract/a_particles.mrcs"
    assert any("rlnVoltage" in text for text in tab.preview.warnings.texts)
    assert "rlnVoltage" in tab.preview.warnings.box.toPlainText()
    assert tab.preview.warnings.isVisible()
    assert not tab.preview.absent.isVisible()


def test_numbers_stand_at_the_right_and_headers_tell_unit_and_meaning(qtbot, tab, job: Path) -> None:
    looked(qtbot, tab, project=str(job))
    model, across = tab.preview.model, Qt.Orientation.Horizontal
    for column, label in enumerate(shown(tab)):
        right = bool(model.data(model.index(0, column), ROLE.TextAlignmentRole) & Qt.AlignmentFlag.AlignRight)
        assert right is (label not in ("rlnImageName", "rlnMicrographName"))
        assert meaning(label) in model.headerData(column, across, ROLE.ToolTipRole)
        assert meaning(label) != label
    assert "degrees" in meaning("rlnAngleTilt")
    assert "Å" in meaning("rlnDefocusU")


def test_the_preview_is_made_beside_the_window_and_only_after_a_pause(qtbot, tab, job, monkeypatch) -> None:
    real, threads = previewing.preview, []

    def noted(*args, **kwargs):
        threads.append(threading.current_thread())
        return real(*args, **kwargs)

    monkeypatch.setattr(previewing, "preview", noted)
    for length in range(5, len(str(job)) + 1):  # typed letter by letter
        tab.form.set_values({"project": str(job)[:length]})
    qtbot.waitUntil(lambda: not tab.looker.busy, timeout=WAIT)
    assert len(threads) == 1
    assert threads[0] is not threading.main_thread()
    assert tab.preview.currentIndex() == 1


def test_the_latest_wins_and_the_window_stays_awake(qtbot, tab, job, tmp_path, monkeypatch) -> None:
    """A slow look that was overtaken is told so, and its answer is not shown."""
    real, told, began = previewing.preview, threading.Event(), threading.Event()

    def slow(project, passthrough, options, drop, cancelled, *rest):
        if project == job:
            began.set()
            while not cancelled():
                time.sleep(0.01)
            told.set()
        return real(project, passthrough, options, drop, lambda: False, *rest)

    monkeypatch.setattr(previewing, "preview", slow)
    tab.form.set_values({"project": str(job)})
    qtbot.waitUntil(began.is_set, timeout=WAIT)
    begin = time.monotonic()
    other = dataset(tmp_path / "J30" / "J30_particles.cs", 3)
    looked(qtbot, tab, project=str(other))
    assert told.wait(5)
    qtbot.wait(100)
    assert time.monotonic() - begin < 20
    assert tab.preview.heading.text() == "J30_particles.cs: as given"
    assert tab.preview.table.model().rowCount() == 3


def test_what_is_wrong_is_a_sentence_with_a_next_step(qtbot, tab, tmp_path, job) -> None:
    page = tmp_path / "web" / "page.cs"
    page.parent.mkdir()
    page.write_text("<html>")
    looked(qtbot, tab, project=str(page))
    assert "it looks like a web page" in tab.preview.message_title.text()
    assert tab.preview.message.text()
    assert tab.preview.currentIndex() == 0
    looked(qtbot, tab, project=str(tmp_path))  # the folder above the job
    assert "is a project with jobs J24" in tab.preview.message_title.text()
    assert tab.preview.message.text() == "Choose the folder of one job."
    looked(qtbot, tab, project=str(job))
    assert tab.preview.currentIndex() == 1
    looked(qtbot, tab, project=str(tmp_path / "J25"))
    assert "does not exist" in tab.preview.message_title.text()
    assert tab.preview.table.model().columnCount() == 0
    tab.form.set_values({"project": ""})
    assert tab.preview.message_title.text() == "Choose a CryoSPARC job"


def test_flags_in_messages_are_the_labels_of_the_form(qtbot, tab, job) -> None:
    tab.looker.failed.emit(InputError("3 have no partner.", "Leave them out with --drop-unmatched."))
    assert "“Leave out particles without partner”" in tab.preview.message.text()


def test_a_value_out_of_bounds_is_told_in_place_of_the_preview(qtbot, tab, job, monkeypatch) -> None:
    looked(qtbot, tab, project=str(job))
    monkeypatch.setattr(type(tab.form), "values", lambda _: {"project": str(job), "y_value": 0})
    tab.on_edited("y_value")
    assert not tab.looker.busy
    assert "“Micrograph height”" in tab.preview.message.text()


def test_cards_are_the_choice_of_the_form(qtbot, tab, job) -> None:
    looked(qtbot, tab, project=str(job))
    row, cards = tab.form.rows["micrographs_are"], tab.micrographs.cards
    assert not row.editor.isVisible()
    assert row.label.isVisible()
    assert [card.picture.isVisible() for card in cards] == [True, True]
    assert tab.micrographs.current() == tab.form.raw("micrographs_are") == "cryosparc"
    qtbot.mouseClick(cards[1], LEFT)
    assert tab.form.raw("micrographs_are") == "motioncor"
    qtbot.waitUntil(lambda: not tab.looker.busy, timeout=WAIT)
    assert shown(tab)["rlnCoordinateY"][0] == "1000"
    assert any("rlnImageName" in text for text in tab.preview.absent.texts)
    qtbot.keyClick(cards[1].radio, Qt.Key.Key_Up)
    assert tab.form.raw("micrographs_are") == "cryosparc"
    tab.form.set_values({"micrographs_are": "motioncor"})  # a run that is shown again
    assert tab.micrographs.current() == "motioncor"


def test_the_drawings_show_where_y_begins(tab) -> None:
    used, other = (card.picture for card in tab.micrographs.cards)
    assert used.particle().y() < 0.5 < other.particle().y()
    assert used.particle().y() == pytest.approx(1 - other.particle().y())
    assert used.origins() == (0.0, 1.0)  # RELION from the upper edge, CryoSPARC from the lower
    assert other.origins() == (0.0, 0.0)  # the same number in both
    y = [abs(p.particle().y() - p.origins()[0]) for p in (used, other)]
    cryosparc = [abs(p.particle().y() - p.origins()[1]) for p in (used, other)]
    assert cryosparc[0] == pytest.approx(cryosparc[1])  # its dataset does not change
    assert y == pytest.approx([1 - cryosparc[0], cryosparc[0]])
    assert used.grab().toImage() != other.grab().toImage()


def test_drawings_follow_font_and_theme(qtbot, tab, qapp) -> None:
    picture = tab.micrographs.cards[0].picture
    before, dark = picture.sizeHint(), picture.grab().toImage()
    theme.apply(qapp, "light")
    assert picture.grab().toImage() != dark
    font = picture.font()
    font.setPointSizeF(font.pointSizeF() * 2)
    picture.setFont(font)
    assert picture.sizeHint().height() > 1.6 * before.height()
    theme.apply(qapp, "dark")


def test_a_run_writes_the_files_and_fills_report_and_plots(qtbot, tab, job, tmp_path) -> None:
    library().ask()
    looked(qtbot, tab, project=str(job))
    run(qtbot, tab, tmp_path / "out")
    assert tab.banner.text.text() == (
        "40 particles written to particles_relion.star, cleaned_particles_relion.star, Invert.star."
    )
    folder = tmp_path / "out" / "class1"
    written = read_star(folder / "particles_relion.star")["particles"]
    assert written["rlnCoordinateY"].tolist() == [3000.0] * 40
    assert tab.pages.currentWidget() is tab.files
    assert tab.files.report.toPlainText() == (folder / "report.txt").read_text()
    assert tab.files.folder.text() == str(folder)
    assert not tab.files.chooser.isVisible()
    plots = tab.plots
    qtbot.waitUntil(lambda: plots.views._plot is not None and plots.defocus._plot is not None, timeout=WAIT)
    assert plots.views.counts.sum() == 40
    assert plots.views.counts.shape == (24, 48)
    assert plots.defocus.counts.sum() == 40
    assert plots.defocus.edges_um[0] == pytest.approx(1.0)
    assert plots.defocus.edges_um[-1] == pytest.approx(2.0)
    tab.pages.setCurrentWidget(plots)
    assert plots.views._plot.isVisible()
    assert not plots.views.empty.isVisible()
    image = plots.views._image
    corners = image.mapRectToView(image.boundingRect())
    assert (corners.left(), corners.right(), corners.top(), corners.bottom()) == (-180, 180, 0, 180)
    assert plots.views._bar.levels() == (0, plots.views.counts.max())


def test_particles_without_alignment_or_ctf_say_why_there_is_no_plot(qtbot, tab, tmp_path) -> None:
    picks = dataset(tmp_path / "picks.cs", without=("alignments3D", "ctf", "blob"))
    run(qtbot, tab, tmp_path / "out", project=str(picks))
    assert tab.plots.views.empty.text() == NO_VIEWS
    assert tab.plots.defocus.empty.text() == NO_DEFOCUS
    assert tab.plots.views.counts is None


def test_several_jobs_are_chosen_among(qtbot, tab, job, tmp_path) -> None:
    library().ask()
    dataset(tmp_path / "J26" / "J26_particles.cs", 7, lens=True)
    looked(qtbot, tab, project=str(job), jobs=3)
    assert tab.preview.counts.text().startswith(
        "This is J24, the first of 2 jobs: J24, J26. Not there: J25.\n40 particles."
    )
    run(qtbot, tab, tmp_path / "out")
    assert tab.banner.text.text() == "47 particles of 2 jobs written to the folders class1, class3."
    names = [tab.files.chooser.itemText(i) for i in range(tab.files.chooser.count())]
    assert names == ["J24", "J26"]
    assert not tab.banner.next.isVisible()  # J24 has no voltage
    assert tab.banner.hint.text().startswith("J24: Reconstruct cannot use them: no CTF (rlnVoltage, ")
    tab.files.chooser.setCurrentIndex(1)
    assert tab.banner.next.isVisible()
    assert "7 particles read" in tab.files.report.toPlainText()
    with qtbot.waitSignal(tab.session.handed_over) as handed:
        qtbot.mouseClick(tab.banner.next, LEFT)
    star = str(tmp_path / "out" / "class3" / "particles_relion.star")
    assert handed.args == ["reconstruct", {"particles": star}]
    assert tab.plots.views.counts.sum() == 40
    tab.plots.chooser.setCurrentIndex(1)
    assert tab.plots.views.counts.sum() == tab.plots.defocus.counts.sum() == 7


def test_a_taken_folder_is_offered_another(qtbot, tab, job, tmp_path) -> None:
    run(qtbot, tab, tmp_path / "out", project=str(job))
    before = (tmp_path / "out" / "class1" / "report.txt").stat().st_mtime_ns
    tab.banner.hide()
    run(qtbot, tab, tmp_path / "out")
    assert tab.banner.property("state") == "failed"
    assert tab.banner.next.text() == "Use out-2"
    assert (tmp_path / "out" / "class1" / "report.txt").stat().st_mtime_ns == before
    qtbot.mouseClick(tab.banner.next, LEFT)
    assert tab.form.raw("output") == str(tmp_path / "out-2")


def test_the_output_is_suggested_after_the_job_and_the_users_choice_stays(qtbot, tab, session, job, tmp_path) -> None:
    tab.form.set_values({"project": str(job)})
    assert tab.form.raw("output") == str(session.work_root / "J24" / "relion")
    other = dataset(tmp_path / "exports" / "a.cs")
    tab.form.set_values({"project": str(other)})
    assert tab.form.raw("output") == str(session.work_root / "exports" / "relion")
    tab.form.set_values({"output": str(tmp_path / "mine")})
    tab.form.set_values({"project": str(job)})
    assert tab.form.raw("output") == str(tmp_path / "mine")
    assert "project" not in session.carried  # the denoising tabs keep theirs


def test_another_dataset_takes_the_banner_of_the_last_away(qtbot, tab, job, tmp_path) -> None:
    run(qtbot, tab, tmp_path / "out", project=str(job))
    tab.form.set_values({"project": str(dataset(tmp_path / "b.cs"))})
    assert not tab.banner.isVisible()
    assert tab.pages.currentWidget() is tab.preview


@pytest.mark.parametrize(
    "values",
    [
        {"project": "nothing.cs"},
        {"passthrough": ["nothing.cs"]},
        {"micrographs_are": "motioncor"},
        {"y_value": 4092},
        {"relion": "3.0"},
    ],
)
def test_what_a_run_left_is_no_longer_offered_for_another_input(qtbot, tab, job, tmp_path, values) -> None:
    run(qtbot, tab, tmp_path / "out", project=str(job))
    bar = tab.run_bar
    assert bar.warnings.isVisible()
    assert not tab.files.mark.isVisible()
    tab.form.set_values({"overwrite": True})  # no other particles
    assert tab.banner.isVisible()
    tab.form.set_values(values)
    assert not tab.banner.isVisible()
    assert (bar.state_label.text(), bar.bar.value()) == ("Not started", 0)
    assert not bar.warnings.isVisible()
    assert not bar.open_button.isEnabled()
    assert bar.run_button.isEnabled()
    for pane in (tab.files, tab.plots):
        tab.pages.setCurrentWidget(pane)
        assert pane.mark.isVisible()
        assert pane.mark.text() == "Of the last run: J24_001_particles.cs"
    assert tab.files.report.toPlainText()
    other = dataset(tmp_path / "b.cs", 3)
    run(qtbot, tab, tmp_path / "out2", **{"project": str(other), "passthrough": [], "micrographs_are": "cryosparc"})
    assert "3 particles read" in tab.files.report.toPlainText()
    assert tab.files.mark.isHidden()
    assert tab.plots.mark.isHidden()


def test_a_job_folder_or_a_file_can_be_chosen(qtbot, tab, job, monkeypatch) -> None:
    box = tab.form.rows["project"].editor
    actions = box.button.menu().actions()
    assert [action.text() for action in actions] == ["Folder…", "File…"]
    monkeypatch.setattr("app.widgets.inputs.QFileDialog.getExistingDirectory", lambda *_: str(job))
    actions[0].trigger()
    assert tab.form.raw("project") == str(job)
    tab.form.set_values({"output": str(job.parent / "out")})
    assert tab.form.params() is not None
    file = job / "J24_000_particles.cs"
    asked = []

    def chosen(_, __, ___, pattern: str) -> tuple[str, str]:
        asked.append(pattern)
        return str(file), ""

    monkeypatch.setattr("app.widgets.inputs.QFileDialog.getOpenFileName", chosen)
    actions[1].trigger()
    assert tab.form.raw("project") == str(file)
    assert "*.csg" in asked[0]
    assert tab.form.params() is not None


def test_tab_key_goes_down_the_form(qtbot, tab) -> None:
    rows = tab.form.rows
    wanted = [
        rows["project"].editor.line,
        rows["output"].editor.line,
        tab.micrographs.cards[0].radio,
        rows["y_value"].editor,
        rows["passthrough"].editor.line,
        rows["drop_unmatched"].editor,
        rows["overwrite"].editor,
    ]
    wanted[0].setFocus()
    seen = []
    for _ in range(40):
        focus = QApplication.focusWidget()
        if focus in wanted and focus not in seen:
            seen.append(focus)
        if focus is wanted[-1]:
            break
        qtbot.keyClick(focus, Qt.Key.Key_Tab)
    assert seen == wanted


def _drop(*paths: Path) -> QDropEvent:
    mime = QMimeData()
    mime.setUrls([QUrl.fromLocalFile(str(p)) for p in paths])
    _drop.kept = mime  # type: ignore[attr-defined]  # the event only points at it
    return QDropEvent(QPointF(9, 9), Qt.DropAction.CopyAction, mime, LEFT, Qt.KeyboardModifier.NoModifier)


def test_drops_on_the_window(qtbot, window, job, micrographs, tmp_path) -> None:
    """Datasets come here from every tab, a folder while this one is shown, micrographs go to Home."""
    window.dropEvent(_drop(job / "J24_001_particles.cs"))
    assert TABS[window.rooms.currentIndex()] == "cs2star"
    form = window.page("cs2star").form
    assert form.raw("project") == str(job / "J24_001_particles.cs")
    window.dropEvent(_drop(job))
    assert form.raw("project") == str(job)
    passed = dataset(tmp_path / "x" / "J24_passthrough_particles.cs")
    window.dropEvent(_drop(passed, job / "J24_000_particles.cs"))
    assert form.raw("project") == str(job / "J24_000_particles.cs")
    assert form.raw("passthrough") == [str(passed)]
    window.dropEvent(_drop(micrographs / "a.mrc"))  # its header tells that it is no map
    qtbot.waitUntil(lambda: TABS[window.rooms.currentIndex()] == "home", timeout=WAIT)
    window.dropEvent(_drop(micrographs))
    assert TABS[window.rooms.currentIndex()] == "home"
    qtbot.waitUntil(lambda: len(window.home.files.files) == 3, timeout=WAIT)


def test_particles_are_handed_over_and_kept(qtbot, window, session, job, tmp_path) -> None:
    tab = window.show_tab("cs2star")
    run(qtbot, tab, tmp_path / "out", project=str(dataset(tmp_path / "whole.cs", lens=True)))
    assert tab.banner.next.isVisible()
    assert tab.banner.next.text() == "Use particles in Reconstruct →"
    qtbot.mouseClick(tab.banner.next, LEFT)
    assert TABS[window.rooms.currentIndex()] == "reconstruct"
    star = tmp_path / "out" / "class1" / "particles_relion.star"
    assert window.page("reconstruct").particles.form.raw("particles") == str(star)
    assert "particles" not in session.carried  # Trust and Forward keep the picks they have

    from app.session import Session
    from app.tabs.reconstruct import ReconstructTab

    again = ReconstructTab(Session())  # the next start
    qtbot.addWidget(again)
    assert again.particles.form.raw("particles") == str(star)
    again.close_tab()


@pytest.mark.parametrize("choice", ["cryosparc", "motioncor"])
def test_the_report_names_the_choice_by_flag_and_as_in_the_window(qtbot, tab, job, tmp_path, choice) -> None:
    run(qtbot, tab, tmp_path / "out", project=str(job), micrographs_are=choice)
    text = " ".join(tab.files.report.toPlainText().split())
    assert "--micrographs-are motioncor, in the window “Micrographs in RELION: others, upside-down”" in text
    assert tab.form.rows["micrographs_are"].spec.label == "Micrographs in RELION"
    assert MICROGRAPHS[1].title.startswith("Others, upside-down")


@pytest.mark.parametrize(
    ("without", "values", "told"),
    [
        ((), {"micrographs_are": "motioncor"}, "extract the particles from your micrographs first"),
        (("alignments3D", "ctf", "blob"), {}, "no poses (rlnAngleRot, rlnAngleTilt, rlnAnglePsi), no images (rlnIm"),
        (("alignments3D",), {"relion": "3.0"}, "no poses (rlnAngleRot, rlnAngleTilt, rlnAnglePsi)."),
        (("ctf",), {}, "no CTF (rlnDefocusU"),
    ],
)
def test_particles_that_reconstruct_cannot_use_are_not_offered(qtbot, tab, tmp_path, without, values, told) -> None:
    source = dataset(tmp_path / "some.cs", without=without, lens="ctf" not in without)
    run(qtbot, tab, tmp_path / "out", project=str(source), **values)
    assert not tab.banner.next.isVisible()
    assert told in tab.banner.hint.text()
    assert not tab.result["reconstructable"]
    assert told in tab.result["why_not"]


def test_a_run_is_shown_again_in_its_tab(qtbot, window, job, tmp_path) -> None:
    tab = window.show_tab("cs2star")
    run(qtbot, tab, tmp_path / "out", project=str(job))
    worker = tab.worker
    window.show_tab("home")
    tab.release()
    window.show_run(worker)
    assert TABS[window.rooms.currentIndex()] == "cs2star"
    qtbot.waitUntil(lambda: bool(tab.files.report.toPlainText()), timeout=WAIT)


def test_no_answer_comes_after_the_tab_is_closed(qtbot, tab, job) -> None:
    tab.form.set_values({"project": str(job)})
    tab.close_tab()
    assert not tab.looker.busy
    qtbot.wait(cs2star_look.WAIT_MS + 200)
    assert tab.preview.currentIndex() == 0


@pytest.mark.skipif(not DATA.is_dir(), reason="needs the shared CryoSPARC datasets")
@pytest.mark.parametrize(
    ("name", "rows", "absent"),
    [
        ("s02_exported_particles.cs", 200, ""),
        ("s05_optics_groups_aberrations_particles.cs", 200, "rlnCoordinateX"),
        ("r02_cryosparc_J2_particles_exported.cs", 22, "rlnCoordinateX"),
        ("s08_locations_only_particles.cs", 200, "rlnAngleRot"),
    ],
)
def test_real_datasets(qtbot, tab, name: str, rows: int, absent: str) -> None:
    looked(qtbot, tab, project=str(DATA / name))
    assert tab.preview.table.model().rowCount() == rows
    assert any(absent in text for text in tab.preview.absent.texts) is bool(absent)
