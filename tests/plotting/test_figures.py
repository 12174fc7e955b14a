"""Common parts of all figures, and the figure of errors."""

import matplotlib
import pytest
from matplotlib import font_manager
from matplotlib.figure import Figure

from tfwstal.data.annotations import Segment
from tfwstal.evaluation.average_precision import Detections, Instances
from tfwstal.evaluation.average_precision.diagnosis import diagnose
from tfwstal.plotting import errors, figures, timeline
from tfwstal.plotting.rows import Bars, truth_bars


def test_names_of_other_scripts_take_an_installed_font(monkeypatch):
    for installed, expected in (
        (["DejaVu Sans", "Comic Sans MS"], ["DejaVu Sans"]),
        (["SimHei", "DejaVu Sans"], ["DejaVu Sans", "SimHei"]),
    ):
        monkeypatch.setattr(
            font_manager, "get_font_names", lambda names=installed: names
        )
        with figures.style():
            assert matplotlib.rcParams["font.family"] == expected
            assert not matplotlib.rcParams["text.parse_math"]


def test_characters_that_no_font_has_are_told_once(tmp_path):
    figure = Figure()
    with figures.style():
        figure.suptitle("jump \ue7fe\ue7ff")  # private use: in no font
    path = tmp_path / "a.png"
    assert "install Noto Sans CJK" in figures.save(figure, path)
    assert path.read_bytes().startswith(b"\x89PNG")
    figure.suptitle("jump")
    assert figures.save(figure, path) is None


@pytest.mark.parametrize("duration, end", [(9.0, 9.0), (3.0, 4.0), (0.0, 4.0)])
def test_the_axis_ends_with_the_video(duration, end):
    """A wrong duration does not cut off a segment."""
    truth = truth_bars((Segment("a", 1.0, 4.0),), duration)
    figure = timeline.draw("v", [truth, Bars("Row", (), ())])
    assert figure.axes[0].get_xlim() == (0, end)


def test_errors_without_a_true_positive_show_their_zeros():
    truth = Instances(["v", "v"], ["a", "b"], [(0, 4), (6, 9)])
    found = Detections(["v"], ["a"], [(8, 9)], [0.5])
    figure = errors.draw(diagnose(truth, found))
    profile, gains, sensitivity, _, missed, curves = figure.axes
    low, high = curves.get_ylim()
    for line in curves.lines:
        assert (low < line.get_ydata()).all()
        assert (line.get_ydata() < high).all()
    assert [text.get_text() for text in curves.texts] == ["no true positive"]
    # The only detection has tIoU 1 / 3 with b; nothing is found.
    assert profile.get_legend_handles_labels()[1] == ["confusion"]
    assert [text.get_text() for text in gains.texts] == ["0.0"] * 5
    assert gains.get_ylim()[0] == 0 and gains.get_ylim()[1] > 1
    # Instances of 4 and 3 s, two per video; other ranges have no value.
    shown = [text.get_text() for text in sensitivity.texts]
    assert shown[:5] == ["0.0", "0.0", "–", "–", "–"]
    shown = [text.get_text() for text in missed.texts]
    assert shown[:5] == ["100.0", "100.0", "–", "–", "–"]
    assert shown[-1] == "all: 100.0"
