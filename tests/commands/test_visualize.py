"""The visualize command: what it draws, writes and refuses."""

import json

import numpy as np
import pytest
from matplotlib.image import imread

from tests.conftest import random_model
from tfwstal import visualize
from tfwstal.config import Config
from tfwstal.data.annotations import Segment
from tfwstal.errors import InputError
from tfwstal.plotting import figures, rows, timeline
from tfwstal.plotting.rows import Bars, Curves
from tfwstal.training import run_folder

_TRUTH = [("a", 0.0, 6.4), ("b", 3.0, 3.0), ("a", 12.0, 15.5)]
_FOUND = [("a", 0.2, 6.0, 0.8), ("c", 12.0, 15.0, 0.4), ("b", 1.0, 2.0, 0.1)]


@pytest.fixture
def config(tmp_path, records):
    """A function (**flags) -> Config of test_33 with all its sources."""
    database = {
        name: {
            "subset": "Test",
            "annotations": [
                {"label": label, "segment": [start, end]}
                for label, start, end in (_TRUTH if name == "test_33" else ())
            ],
        }
        for name in ("test_5", "test_33")
    }
    results = {
        "test_33": [
            {"label": label, "segment": [start, end], "score": score}
            for label, start, end, score in _FOUND
        ]
    }
    truth, found = tmp_path / "gt.json", tmp_path / "detections.json"
    truth.write_text(json.dumps({"database": database}))
    found.write_text(json.dumps({"results": results}))
    run = tmp_path / "run"
    run_folder.create(run, Config().run_flags(), ("a", "b", "c"))
    run_folder.save_model(random_model(), run)
    sources = {
        "ground_truth": str(truth),
        "detections": str(found),
        "run_dir": str(run),
        "data_dir": str(records),
        "video": "test_33",
        "picture": str(tmp_path / "picture.png"),
    }
    return lambda **flags: Config(**sources | flags)


@pytest.fixture
def truth_only(config):
    """The same with the ground truth as the only source."""
    return lambda **flags: config(
        **{"detections": "", "run_dir": "", "data_dir": ""} | flags
    )


def _rows(config):
    return visualize.read_sources(config, config.video).of_one()


def _refused(config):
    with pytest.raises(InputError) as caught:
        visualize.main(config)
    assert "\n" not in str(caught.value)
    return str(caught.value)


# === What it draws ===


def test_writes_a_png_that_is_not_blank(config, tmp_path, capsys):
    visualize.main(config())
    picture = imread(tmp_path / "picture.png")
    assert picture.shape[1] == 1500
    assert len(np.unique(picture.reshape(-1, 4), axis=0)) > 10
    assert capsys.readouterr().out.startswith("test_33: ")
    assert not list(tmp_path.glob(".*"))


def test_draws_every_segment_and_curve_of_its_sources(config):
    drawn = _rows(config(alpha=0.0))
    figure = timeline.draw("test_33", drawn)
    truth, found, attention, activation = figure.axes
    assert len(truth.patches) == len(_TRUTH)
    assert len(found.patches) == 2  # 0.1 is too small beside 0.8
    assert len(attention.patches) == len(activation.patches) == 3
    # 33 snippets of 0.64 s.
    assert truth.get_xlim() == pytest.approx((0, 21.12))


def test_a_video_is_drawn_to_its_duration(truth_only, tmp_path):
    entry = {"subset": "test", "duration": 30.0, "annotations": []}
    entry["annotations"] = [{"label": "a", "segment": [1.0, 2.0]}]
    path = tmp_path / "with_duration.json"
    path.write_text(json.dumps({"database": {"test_33": entry}}))
    figure = timeline.draw("v", _rows(truth_only(ground_truth=str(path))))
    assert figure.axes[0].get_xlim() == (0, 30.0)


def test_bars_stand_at_their_seconds_in_their_lanes():
    segments = (Segment("a", 1.0, 4.0), Segment("b", 2.0, 2.5))
    figure = timeline.draw("v", [Bars("Row", segments, (1.0, 0.5))])
    (axes,) = figure.axes
    spans = [(p.get_x(), p.get_width(), p.get_y()) for p in axes.patches]
    assert spans == [(1.0, 3.0, -0.35), (2.0, 0.5, 0.65)]
    assert [t.get_text() for t in axes.get_yticklabels()] == ["a", "b"]
    solid, pale = (p.get_facecolor()[:3] for p in axes.patches)
    assert sum(pale) > sum(solid)


def test_a_class_has_one_colour_in_all_rows():
    bars = Bars("Row", (Segment("b", 0.0, 1.0),), (1.0,))
    curves = Curves("Row", np.ones((4, 2)), ("a", "b"), 0.5)
    first, second = timeline.draw("v", [bars, curves]).axes
    colour = first.patches[0].get_facecolor()
    assert second.patches[1].get_edgecolor() == colour
    assert second.patches[0].get_edgecolor() != colour
    np.testing.assert_array_equal(
        second.patches[1].get_data().edges, [0.0, 0.5, 1.0, 1.5, 2.0]
    )


def test_no_class_has_a_colour_like_an_attentions():
    for attention in rows.ATTENTIONS.values():
        for colour in rows.COLOURS:
            distance = np.linalg.norm(np.subtract(attention, colour))
            assert distance > 0.2, (attention, colour)


def test_curves_are_those_of_the_model(config):
    model = random_model()
    attention, activation = _rows(config(alpha=0.0))[-2:]
    assert attention.values.shape == (33, 3)
    np.testing.assert_allclose(attention.values.sum(axis=1), 1.0, rtol=1e-5)
    assert attention.seconds_per_snippet == pytest.approx(0.64)
    assert sorted(activation.names) == ["a", "b", "c"]
    assert activation.values.shape == (33, model.num_classes)


def test_only_the_best_class_if_none_reaches_alpha(config):
    every = _rows(config(alpha=0.0))[-1]
    best = _rows(config(alpha=1.0))[-1]
    assert best.names == every.names[:1]


def test_a_run_without_mil_branch_has_no_activation(config, tmp_path):
    run_folder.save_model(random_model(branches="attention"), tmp_path / "run")
    *_, detections, attention = _rows(config())
    assert attention.title == "Attention"
    assert isinstance(detections, Bars)


def _scored(label, *scores):
    return [
        {"label": label, "segment": [i, i + 1.0], "score": score}
        for i, score in enumerate(scores)
    ]


def test_strongest_keeps_the_best_of_each_class():
    detections = _scored("a", *np.linspace(0.5, 0.9, 15)) + _scored("b", 1, 0.2)
    bars = rows.strongest(detections)
    labels = [segment.label for segment in bars.segments]
    assert labels == ["b"] + ["a"] * rows.TOP_K
    assert bars.intensities[:2] == pytest.approx((1.0, 0.9))
    # 0.2 is less than 30 % of 1.0; "a" has 15 detections above that.
    assert bars.title == (
        "Detections: 11 of 17, score at least 0.30, best 10 of each class; "
        "paler = lower score, highest 1.00"
    )


def test_the_title_names_only_the_rules_that_left_some_out():
    def start(detections):
        return rows.strongest(detections).title.partition(";")[0]

    assert start(_scored("a", *[0.5] * 10)) == "Detections: all 10"
    assert start(_scored("a", 1.0, 0.1)) == (
        "Detections: 1 of 2, score at least 0.30"
    )
    assert start(_scored("a", *[0.5] * 11)) == (
        "Detections: 10 of 11, best 10 of each class"
    )


@pytest.mark.parametrize("scores", [(-0.1, -0.2), (0.0, -0.2)])
def test_strongest_if_no_score_is_positive(scores):
    bars = rows.strongest(_scored("a", *scores))
    assert bars.segments == (Segment("a", 0, 1.0),)
    assert bars.intensities == (1.0,)


def test_a_video_without_detections_has_an_empty_row(config):
    drawn = _rows(config(video="test_5", ground_truth=""))
    assert drawn[0] == Bars("Detections: none", (), ())
    assert not timeline.draw("test_5", drawn).axes[0].patches


def test_names_are_not_formulas(tmp_path):
    bars = Bars("Row", (Segment("_$x^", 0.0, 1.0),), (1.0,))
    curves = Curves("Row $y^$", np.ones((2, 1)), ("_$x^",), 0.5)
    figures.save(
        timeline.draw("a_$z^$", [bars, curves]), tmp_path / "picture.svg"
    )


# === What it writes ===


def test_two_runs_write_the_same_svg(config, tmp_path):
    paths = [tmp_path / "new" / name for name in ("1.svg", "2.SVG")]
    for path in paths:
        visualize.main(config(picture=str(path)))
    first, second = (path.read_bytes() for path in paths)
    assert first == second
    assert b"<dc:date>" not in first


def test_overwrites_only_if_told(truth_only, tmp_path):
    path = tmp_path / "picture.png"
    path.write_text("mine")
    assert "--overwrite" in _refused(truth_only())
    assert path.read_text() == "mine"
    visualize.main(truth_only(overwrite=True))
    assert path.read_bytes().startswith(b"\x89PNG")


def test_leaves_nothing_if_it_cannot_write(truth_only, tmp_path):
    (tmp_path / "picture.png").mkdir()
    assert "not a regular file" in _refused(truth_only(overwrite=True))
    assert not list(tmp_path.glob(".*"))


# === What it refuses ===


@pytest.mark.parametrize("flag", ["video", "picture"])
def test_needs_video_and_picture(truth_only, flag):
    assert f"--{flag}" in _refused(truth_only(**{flag: ""}))


@pytest.mark.parametrize("name", ["picture.pdf", "picture"])
def test_unknown_suffix(truth_only, name):
    assert ".png or .svg" in _refused(truth_only(picture=name))


def test_run_needs_data(config):
    assert "--data_dir" in _refused(config(data_dir=""))


@pytest.mark.parametrize(
    "source, count, where",
    [
        ("ground_truth", 2, "subset 'test' of "),
        ("detections", 1, "detections.json"),
        ("run_dir", 4, "split 'test' of "),
    ],
)
def test_unknown_video(config, source, count, where):
    others = {"ground_truth", "detections", "run_dir"} - {source}
    message = _refused(config(video="test_3", **dict.fromkeys(others, "")))
    assert f"--video=test_3 is not among the {count} videos of" in message
    assert where in message
    assert "the nearest name is 'test_" in message


def test_nothing_to_draw(truth_only):
    for flags in ({"ground_truth": ""}, {"video": "test_5"}):
        assert "nothing to draw" in _refused(truth_only(**flags))


def test_command(truth_only, run_command, tmp_path):
    arguments = [
        f"--ground_truth={truth_only().ground_truth}",
        "--video=test_33",
        "--picture=command.svg",
    ]
    done = run_command("tfwstal.visualize", *arguments)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "command.svg").is_file()
    done = run_command("tfwstal.visualize", *arguments)
    assert done.returncode == 1
    assert done.stderr.startswith("error: --picture=command.svg exists")
