"""The evaluate command: what it prints, writes and refuses."""

import dataclasses
import json
import os

import numpy as np
import pytest

from tfwstal import evaluate
from tfwstal.config import Config
from tfwstal.errors import InputError
from tfwstal.evaluation import tables
from tfwstal.evaluation.average_precision import (
    MeanAveragePrecision,
)


def _annotation(label, start, end):
    return {"label": label, "segment": [start, end]}


def _detection(label, start, end, score):
    return _annotation(label, start, end) | {"score": score}


_DATABASE = {
    "u": {
        "subset": "Test",
        "annotations": [_annotation("Jump", 0, 10), _annotation("Dive", 0, 4)],
    },
    "w": {"subset": "Test", "annotations": [_annotation("Jump", 5, 9)]},
    "t": {"subset": "training", "annotations": [_annotation("Swim", 0, 1)]},
}
# Jump: u's instance is found at rank 1 with tIoU 0.6, w's never: AP 1/2 up to
# 0.6, then 0. Dive: exact at rank 1, AP 1. mAP: 3/4 up to 0.6, then 1/2.
_RESULTS = {"u": [_detection("Jump", 0, 6, 0.9), _detection("Dive", 0, 4, 0.8)]}


@pytest.fixture
def config(tmp_path):
    """A function (database, results, **flags) -> Config; writes the files."""

    def make(database=_DATABASE, results=_RESULTS, **flags):
        truth, found = tmp_path / "gt.json", tmp_path / "det.json"
        truth.write_text(json.dumps({"database": database}))
        found.write_text(json.dumps({"results": results}))
        return Config(
            **{"ground_truth": str(truth), "detections": str(found)} | flags
        )

    return make


def _refused(config):
    with pytest.raises(InputError) as caught:
        evaluate.main(config)
    return str(caught.value)


# === What it prints and writes ===


def test_prints_the_table(config, capsys):
    evaluate.main(config(tiou_thresholds=(0.5, 0.6, 0.7)))
    assert capsys.readouterr().out.splitlines() == [
        "Subset 'test': 2 videos, 3 instances of 2 classes; 2 detections",
        "  protocol activitynet; videos: all; unit: seconds; ambiguous: 0 "
        "(count)",
        "  videos without a detection: 1",
        "",
        "tIoU        mAP %",
        "0.5         75.00",
        "0.6         75.00",
        "0.7         50.00",
    ]


def test_prints_averages_and_classes(config, capsys):
    evaluate.main(
        config(tiou_thresholds=(0.1, 0.2, 0.3, 0.4, 0.5), per_class=True)
    )
    assert capsys.readouterr().out.splitlines()[-6:] == [
        "average     mAP %",
        "0.1:0.5     75.00",
        "",
        "AP %, tIoU instances    0.1    0.2    0.3    0.4    0.5",
        "Dive               1 100.00 100.00 100.00 100.00 100.00",
        "Jump               2  50.00  50.00  50.00  50.00  50.00",
    ]


def test_default_thresholds_give_all_three_averages(config, capsys):
    evaluate.main(config())
    # 3/4 at 0.1 ... 0.6, 1/2 above. 0.1:0.7: (6 * 3/4 + 1/2) / 7 = 5/7.
    # 0.5:0.95: 0.5, 0.55, 0.6 of ten: (3 * 3/4 + 7 * 1/2) / 10 = 0.575.
    assert capsys.readouterr().out.splitlines()[-3:] == [
        "0.1:0.5     75.00",
        "0.1:0.7     71.43",
        "0.5:0.95    57.50",
    ]


def test_table_of_a_result_without_a_file():
    result = MeanAveragePrecision(
        (0.5,), ("a", "b"), np.array([1, 2]), np.array([[0.25, 0.5]])
    )
    assert tables.format_table(result).splitlines() == [
        "tIoU        mAP %",
        "0.5         37.50",
    ]


def test_report_holds_result_and_choices(config, tmp_path, capsys):
    report = tmp_path / "out" / "report.json"
    flags = config(tiou_thresholds=(0.5, 0.7), report=str(report))
    evaluate.main(flags)
    assert f"Report: {report}" in capsys.readouterr().out
    assert json.loads(report.read_text()) == {
        "protocol": "activitynet",
        "ground_truth": flags.ground_truth,
        "subset": "test",
        "videos": "all",
        "ambiguous": "",
        "ambiguous_rule": "count",
        "unit": "seconds",
        "detections": flags.detections,
        "bad_segments": "error",
        "unknown_videos": "error",
        "unknown_classes": "error",
        "ignore_unknown": False,
        "bad_detections": "error",
        "num_videos": 2,
        "num_videos_without_detections": 1,
        "num_classes": 2,
        "num_instances": 3,
        "num_instances_of_zero_length": 0,
        "num_ambiguous_segments": 0,
        "num_detections": 2,
        "num_bad_detections": 0,
        "num_unknown_detections": 0,
        "num_detections_of_unknown_videos": 0,
        "num_detections_of_unknown_classes": 0,
        "num_detections_outside_videos": 0,
        "num_detections_dropped_as_ambiguous": 0,
        "num_unscored_detections": 0,
        "num_duplicate_detections": 0,
        "first_duplicate_detection": None,
        "num_late_detections": 0,
        "first_late_detection": None,
        "bad_segments_left_out": [],
        "bad_segments_kept": [],
        "tiou_thresholds": [0.5, 0.7],
        "mAP": [0.75, 0.5],
        "average_mAP": {},
        "tie_band": {"0.5": [0.75, 0.75], "0.7": [0.5, 0.5]},
        "per_class": {
            "Dive": {"num_instances": 1, "AP": [1.0, 1.0]},
            "Jump": {"num_instances": 2, "AP": [0.5, 0.0]},
        },
    }


def test_subset_names_compare_without_case(config, capsys):
    for subset in ("test", "TEST", "Test"):
        evaluate.main(config(subset=subset))
        assert "2 videos, 3 instances" in capsys.readouterr().out


def test_bad_segments_are_counted(config, tmp_path, capsys):
    database = _DATABASE | {
        "w": {
            "subset": "Test",
            "annotations": [
                _annotation("Jump", 5, 9),
                _annotation("Jump", 9, 5),
                _annotation("Jump", -1, 2),
            ],
        },
        # Of another subset, so not evaluated.
        "t": {"subset": "train", "annotations": [_annotation("Swim", 2, 1)]},
    }
    assert "is reversed (and 2 more" in _refused(config(database))
    report = tmp_path / "report.json"
    for policy, left_out, kept in (("skip", 2, 0), ("keep", 1, 1)):
        evaluate.main(
            config(
                database,
                bad_segments=policy,
                report=str(report),
                overwrite=True,
            )
        )
        out = capsys.readouterr().out
        assert f"bad segments of the ground truth, left out: {left_out}" in out
        assert ("bad segments of the ground truth, kept: 1" in out) == kept
        written = json.loads(report.read_text())
        assert len(written["bad_segments_left_out"]) == left_out
        assert len(written["bad_segments_kept"]) == kept
        assert written["num_instances"] == 3 + kept


# === Unknown videos and classes ===


def test_video_of_no_subset_is_named_and_counted(config):
    results = _RESULTS | {"x": [_detection("Jump", 0, 1, 0.5)] * 3}
    flags = config(results=results)
    message = _refused(flags)
    assert message.startswith(
        f"{flags.detections}: video 'x' is not in {flags.ground_truth} (and 2 "
        "more detections"
    )
    assert "--ignore_unknown" in message


def test_video_of_another_subset_is_named(config):
    results = {"t": [_detection("Jump", 0, 1, 0.5)]}
    message = _refused(config(results=results))
    assert "video 't' is in subset 'training' of" in message
    assert "not in 'test';" in message


def test_unknown_class_is_named(config):
    results = {"u": [_detection("Fly", 0, 1, 0.5)]}
    message = _refused(config(results=results))
    assert "video 'u': detection 0: class 'Fly' is not in" in message


def test_ignore_unknown_ignores_and_counts(config, capsys):
    results = {
        # Scored above all others, so they would lower both APs.
        "x": [_detection("Jump", 0, 1, 9.0), _detection("Dive", 0, 1, 9.0)],
        "u": [*_RESULTS["u"], _detection("Fly", 0, 4, 9.0)],
    }
    evaluate.main(
        config(results=results, ignore_unknown=True, tiou_thresholds=(0.5,))
    )
    out = capsys.readouterr().out
    assert "detections in unknown videos, ignored: 2" in out
    assert "detections of unknown classes, ignored: 1" in out
    assert "; 2 detections\n" in out
    assert "0.5         75.00" in out


def test_class_of_another_subset_is_known_but_cannot_score(config, capsys):
    results = {"u": [*_RESULTS["u"], _detection("Swim", 0, 4, 9.0)]}
    evaluate.main(config(results=results, tiou_thresholds=(0.5,)))
    out = capsys.readouterr().out
    assert "classes that the subset lacks, no effect on mAP: 1" in out
    assert "0.5         75.00" in out


def test_unknown_video_without_detections_is_allowed(config, capsys):
    # Some tools list every video they have seen; x has no detections.
    evaluate.main(config(results=_RESULTS | {"x": [], "w": []}))
    assert "videos without a detection: 1" in capsys.readouterr().out


def test_no_detection_at_all_scores_zero(config, capsys):
    evaluate.main(config(results={"u": []}, tiou_thresholds=(0.5,)))
    out = capsys.readouterr().out
    assert "videos without a detection: 2" in out
    assert "0.5          0.00" in out


# === Choices that move numbers ===


def _facts(config):
    result, facts = evaluate.evaluate_files(config)
    return result.mean_ap.tolist(), facts


def test_protocol_is_a_flag(config, capsys):
    # u's Jump has tIoU 0.6 exactly, which does not exceed 0.6.
    for protocol, expected in (("activitynet", 0.75), ("thumos14", 0.5)):
        flags = config(protocol=protocol, tiou_thresholds=(0.6,))
        mean_ap, facts = _facts(flags)
        assert mean_ap == pytest.approx([expected])
        assert facts["protocol"] == protocol
    evaluate.main(flags)
    assert "protocol thumos14; videos: all" in capsys.readouterr().out


def test_averages_are_a_flag(config, capsys, tmp_path):
    report = tmp_path / "report.json"
    evaluate.main(
        config(
            averages=("0.1:0.3", "0.2:0.6:0.4", "0.1:0.9"),
            tiou_thresholds=(0.1, 0.2, 0.3, 0.6, 0.7),
            report=str(report),
        )
    )
    # 0.1:0.9 lacks thresholds.
    assert capsys.readouterr().out.splitlines()[-5:-2] == [
        "average     mAP %",
        "0.1:0.3     75.00",
        "0.2:0.6:0.4  75.00",
    ]
    assert list(json.loads(report.read_text())["average_mAP"]) == [
        "0.1:0.3",
        "0.2:0.6:0.4",
    ]


@pytest.mark.parametrize(
    "text", ["0.1", "a:b", "0.5:0.1", "0.1:0.95", "0.1:0.5:0", "0:inf"]
)
def test_an_average_that_is_not_a_range_is_named(config, text):
    assert f"--averages: '{text}' is not" in _refused(config(averages=(text,)))


def test_only_the_listed_videos_count(config, tmp_path, capsys):
    videos = tmp_path / "videos.txt"
    videos.write_text("u\n\n")
    results = _RESULTS | {"w": [_detection("Jump", 50, 60, 9.0)]}
    flags = config(results=results, videos=str(videos), tiou_thresholds=(0.5,))
    # Only u: both of its instances are found, and w's error does not count.
    mean_ap, facts = _facts(flags)
    assert mean_ap == pytest.approx([1.0])
    assert facts["num_videos"] == 1
    assert facts["num_detections_outside_videos"] == 1
    evaluate.main(flags)
    assert "that --videos leaves out, ignored: 1" in capsys.readouterr().out


def test_listed_videos_must_exist(config, tmp_path):
    videos = tmp_path / "videos.txt"
    videos.write_text("u\nx\n")
    flags = config(videos=str(videos))
    assert _refused(flags).startswith(
        f"{videos}: line 2: video 'x' is not in subset 'test' of"
    )
    assert "none.txt: cannot be read" in _refused(
        config(videos=str(tmp_path / "none.txt"))
    )
    videos.write_text("")
    assert "leaves no segment" in _refused(flags)


def test_named_lists_of_thumos14(shared_data, tmp_path):
    # 212 videos have 3358 instances. The list of 210 lacks the videos 270 and
    # 1496, with 29 + 18 of them. 1292 only has ambiguous segments.
    annotations = shared_data / "thumos14"
    ambiguous = annotations / "official_txt" / "thumos14-test-annotations"
    ambiguous /= "Ambiguous_test.txt"
    found = tmp_path / "det.json"
    found.write_text('{"results": {"video_test_0000004": []}}')
    flags = {
        "ground_truth": str(annotations / "acmnet_gt_412.json"),
        "detections": str(found),
        "ambiguous": str(ambiguous),
    }
    for name, videos, instances in (
        ("all", 213, 3358),
        ("thumos14_212", 212, 3358),
        ("thumos14_210", 210, 3358 - 29 - 18),
    ):
        _, facts = _facts(Config(videos=name, **flags))
        assert (facts["num_videos"], facts["num_instances"]) == (
            videos,
            instances,
        )
    assert facts["num_ambiguous_segments"] == sum(
        line.split()[0]
        not in (
            "video_test_0000270",
            "video_test_0001292",
            "video_test_0001496",
        )
        for line in ambiguous.read_text().splitlines()
    )


def test_rounding_empties_17_segments_of_thumos14(shared_data, tmp_path):
    # As in W-TALC's evaluation, which rounds seconds * 25 / 16.
    found = tmp_path / "det.json"
    found.write_text('{"results": {"video_test_0000004": []}}')
    flags = Config(
        ground_truth=str(shared_data / "thumos14" / "acmnet_gt_412.json"),
        detections=str(found),
        unit="snippets",
    )
    _, facts = _facts(flags)
    assert facts["num_instances_of_zero_length"] == 17
    assert facts["unit"] == "snippets of 16 / 25 s"


def test_unit_rounds_both_sides(config):
    # At 1 snippet a second, both (0.4, 5.6) and (0.1, 6.4) become (0, 6).
    database = {
        "u": {"subset": "test", "annotations": [_annotation("Jump", 0.4, 5.6)]}
    }
    results = {"u": [_detection("Jump", 0.1, 6.4, 0.5)]}
    for unit, expected in (("seconds", 0.0), ("snippets", 1.0)):
        mean_ap, _ = _facts(
            config(
                database,
                results,
                unit=unit,
                fps=16.0,
                tiou_thresholds=(0.99,),
            )
        )
        assert mean_ap == [expected]


@pytest.mark.parametrize("in_truth", [True, False])
@pytest.mark.parametrize(
    ("rule", "protocol", "in_force", "expected"),
    [
        # Best first: a wrong detection on the ambiguous segment, then the right
        # one.
        ("auto", "activitynet", "count", 0.5),
        ("auto", "thumos14", "neutral", 1.0),
        ("neutral", "activitynet", "neutral", 1.0),
        ("count", "thumos14", "count", 0.5),
        ("drop", "thumos14", "drop", 0.0),  # the right one overlaps it too
    ],
)
def test_ambiguous_segments(
    config, tmp_path, in_truth, rule, protocol, in_force, expected
):
    database = {
        "u": {"subset": "test", "annotations": [_annotation("Jump", 0, 10)]}
    }
    results = {
        "u": [_detection("Jump", 20, 30, 0.9), _detection("Jump", 0, 10, 0.8)]
    }
    flags = {}
    if in_truth:
        database["u"]["annotations"].append(_annotation("Ambiguous", 9, 25))
    else:
        flags["ambiguous"] = str(tmp_path / "ambiguous.txt")
        (tmp_path / "ambiguous.txt").write_text("u  9 25.0\r\n")
    mean_ap, facts = _facts(
        config(
            database,
            results,
            ambiguous_rule=rule,
            protocol=protocol,
            tiou_thresholds=(0.5,),
            **flags,
        )
    )
    assert mean_ap == pytest.approx([expected])
    assert facts["ambiguous_rule"] == in_force
    assert facts["num_ambiguous_segments"] == 1
    assert facts["num_classes"] == 1  # Ambiguous is not a class
    dropped = facts["num_detections_dropped_as_ambiguous"]
    assert dropped == (2 if in_force == "drop" else 0)


def test_video_with_only_ambiguous_segments_is_known(config, tmp_path):
    # Like 1292 of THUMOS-14: elsewhere its detections are false positives.
    ambiguous = tmp_path / "ambiguous.txt"
    ambiguous.write_text("x 0 10\n")
    for start, expected in ((0, 0.75), (10, 0.625)):
        results = _RESULTS | {"x": [_detection("Jump", start, 20, 9.0)]}
        mean_ap, facts = _facts(
            config(
                results=results,
                ambiguous=str(ambiguous),
                protocol="thumos14",
                tiou_thresholds=(0.5,),
            )
        )
        # Dive: 1. Jump: one of two found, at rank 1 or 2: 1/2 or 1/4.
        assert mean_ap == pytest.approx([expected])
        assert facts["num_videos"] == 3


@pytest.mark.parametrize(
    "line", ["u 1", "u 1 2 3", "u one 2", "u 2 1", "u nan 2", "u 1 inf"]
)
def test_malformed_ambiguous_line_is_named(config, tmp_path, line):
    path = tmp_path / "ambiguous.txt"
    path.write_text(f"u 1 2\n{line}\n")
    message = _refused(config(ambiguous=str(path)))
    assert message.startswith(f"{path}: line 2: {line!r} is not VIDEO START")


# === Analysis ===


def test_analysis_is_printed_reported_and_drawn(config, tmp_path, capsys):
    report, picture = tmp_path / "report.json", tmp_path / "errors.svg"
    flags = config(
        analysis=True,
        report=str(report),
        picture=str(picture),
    )
    evaluate.main(flags)
    lines = capsys.readouterr().out.splitlines()
    assert all(len(n) <= 80 for n in lines if str(tmp_path) not in n)
    # Jump: one of two at precision 1; Dive: its one: (1 + 1) / 2, then 1/2.
    row = lines.index(
        "Precision % at recall %, mean over the classes, tIoU 0.5"
    )
    assert lines[row + 2].split() == ["100.00"] * 5 + ["50.00"] * 5
    cells = [line.split() for line in lines]
    assert ["1G", "2", "100.00", *["0.00"] * 6] in cells
    # Dive and u's Jump are found, each at precision 1; w's Jump is missed.
    assert ["all", "3", "75.00", "33.33"] in cells
    assert "length (s) S: 3 to 6 2 50.00 50.00".split() in cells
    assert "length (s) M: 6 to 12 1 100.00 0.00".split() in cells
    assert "no coverage: the ground truth lacks the duration of a video" in (
        lines
    )
    analysis = json.loads(report.read_text())["analysis"]
    assert analysis["tiou"] == [0.5]
    assert analysis["precision_recall"]["Jump"] == {
        "recall": [0.5],
        "precision": [1.0],
    }
    assert analysis["profile"][0]["kinds"]["true positive"] == 1
    assert analysis["missed"] == pytest.approx(1 / 3)
    assert analysis["sensitivity"]["length"][0] == {
        "range": "XS: up to 3",
        "instances": 0,
        "normalized_mAP": None,
        "missed": None,
    }
    assert analysis["top_k"]["1"] == {"mAP": 0.25, "found": 1 / 3}
    assert picture.read_text().startswith("<?xml")
    assert "False positive profile" in picture.read_text()
    # Refused: an existing file, and a suffix that is not a picture's.
    assert "errors.svg exists" in _refused(config(picture=str(picture)))
    assert "must end in .png or .svg" in _refused(config(picture="x.pdf"))


def test_analysis_for_activitynet_uses_coverage_and_ten_thresholds(
    config, tmp_path, capsys
):
    database = {v: entry | {"duration": 20} for v, entry in _DATABASE.items()}
    report = tmp_path / "report.json"
    flags = config(database, analysis_for="activitynet", report=str(report))
    evaluate.main(dataclasses.replace(flags, analysis=True))
    assert "mAP_N and missed instances in %, tIoU 0.5 to 0.95;" in (
        capsys.readouterr().out
    )
    analysis = json.loads(report.read_text())["analysis"]
    assert len(analysis["tiou"]) == 10
    # Share of 20 s: Dive and w's Jump 0.2, u's Jump 0.5. Jump's detection has
    # tIoU 0.6, which 3 of 10 thresholds accept; in the other 7 it is missed.
    coverage = analysis["sensitivity"]["coverage"]
    assert [row["instances"] for row in coverage] == [2, 0, 1, 0, 0]
    assert [row["missed"] for row in coverage] == [0.5, None, 0.7, None, None]


def test_analysis_is_left_out_unless_asked(config, tmp_path, capsys):
    report = tmp_path / "report.json"
    evaluate.main(config(report=str(report)))
    assert "recall" not in capsys.readouterr().out
    assert "analysis" not in json.loads(report.read_text())


# === Bad input ===

_GOOD_TRUTH = '{"database": {"u": {"subset": "test", "annotations": [ROW]}}}'
_GOOD_FOUND = (
    '{"results": {"u": [{"label": "A", "score": 1, "segment": [0, 1]}, ROW]}}'
)
_ROW = '{"label": "A", "segment": [0, 1]}'
_FOUND_ROW = '{"label": "A", "score": 0.5, "segment": [0, 2]}'


@pytest.mark.parametrize(
    ("truth", "found", "message"),
    [
        pytest.param(_ROW[:-1], None, "gt.json: is not JSON", id="truth text"),
        pytest.param(
            '{"label": "A"}',
            None,
            "gt.json: video 'u': annotation 0: has no 'segment'",
            id="truth without a segment",
        ),
        pytest.param(
            '{"label": "A", "segment": [2, 1]}',
            None,
            "gt.json: video 'u': annotation 0: segment [2, 1] of 'A' is rev",
            id="truth reversed",
        ),
        pytest.param(
            '{"label": "A", "segment": [0, NaN]}',
            None,
            "gt.json: video 'u': annotation 0: 'segment' holds nan",
            id="truth nan",
        ),
        pytest.param(None, "{", "det.json: is not JSON", id="not JSON"),
        pytest.param(
            None,
            '{"label": "A", "segment": [0, 1]}',
            "det.json: video 'u': detection 1: has no 'score'",
            id="no score",
        ),
        pytest.param(
            None,
            '{"score": 1, "segment": [0, 1]}',
            "det.json: video 'u': detection 1: has no 'label'",
            id="no label",
        ),
        pytest.param(
            None,
            '{"label": "A", "score": 1, "segment": [3, 2]}',
            "det.json: video 'u': detection 1: segment [3, 2] is reversed",
            id="end before start",
        ),
        pytest.param(
            None,
            '{"label": "A", "score": NaN, "segment": [0, 1]}',
            "det.json: video 'u': detection 1: 'score' holds nan, not a finite",
            id="score nan",
        ),
        pytest.param(
            None,
            '{"label": "A", "score": Infinity, "segment": [0, 1]}',
            "det.json: video 'u': detection 1: 'score' holds inf, not a finite",
            id="score infinite",
        ),
        pytest.param(
            None,
            '{"label": "B", "score": 1, "segment": [0, 1]}',
            "det.json: video 'u': detection 1: class 'B' is not in",
            id="label unknown",
        ),
        pytest.param(
            None,
            _FOUND_ROW + '], "x": [' + _FOUND_ROW,
            "det.json: video 'x' is not in",
            id="video unknown",
        ),
        pytest.param(
            None,
            '{"label": "A", "score": 1.0, "segment": ["0", 1.0]}',
            "det.json: video 'u': detection 1 repeats detection 0; remove",
            id="duplicate",
        ),
    ],
)
def test_bad_input_gives_one_line(tmp_path, capsys, truth, found, message):
    truth_path, found_path = tmp_path / "gt.json", tmp_path / "det.json"
    truth_path.write_text(_GOOD_TRUTH.replace("ROW", truth or _ROW))
    found_path.write_text(_GOOD_FOUND.replace("ROW", found or _FOUND_ROW))
    config = Config(
        ground_truth=str(truth_path),
        detections=str(found_path),
        duplicates="error",
    )
    if not truth and not found:
        raise AssertionError("nothing is wrong in this case")
    text = _refused(config)
    assert text.startswith(f"{tmp_path}/{message}")
    assert "\n" not in text
    assert capsys.readouterr().out == ""


def test_the_good_rows_of_the_table_above_are_good(tmp_path):
    truth_path, found_path = tmp_path / "gt.json", tmp_path / "det.json"
    truth_path.write_text(_GOOD_TRUTH.replace("ROW", _ROW))
    # Quoted numbers are read as numbers.
    row = '{"label": "A", "score": "0.5", "segment": ["0", "2"]}'
    found_path.write_text(_GOOD_FOUND.replace("ROW", row))
    mean_ap, facts = _facts(
        Config(ground_truth=str(truth_path), detections=str(found_path))
    )
    assert facts["num_detections"] == 2
    assert set(mean_ap) == {1.0}


def test_results_without_a_video_are_refused(config):
    flags = config(results={})
    assert _refused(flags).startswith(f"{flags.detections}: 'results' is empty")


def test_duplicates_count_and_are_told(config, capsys):
    # The second Dive is a false positive after the hit, so AP stays 1.
    results = {"u": [_RESULTS["u"][1], *_RESULTS["u"], _RESULTS["u"][0]]}
    mean_ap, facts = _facts(config(results=results, tiou_thresholds=(0.5,)))
    assert mean_ap == pytest.approx([0.75])
    assert facts["num_duplicate_detections"] == 2
    first = "video 'u': detection 2 repeats detection 0"
    assert facts["first_duplicate_detection"] == first
    assert f"counted: 2 (first: {first})" in tables.format_facts(facts)
    assert f"{first} (and 1 more like it); remove" in (
        _refused(config(results=results, duplicates="error"))
    )


# === Other refusals ===


def test_files_are_needed():
    assert "--ground_truth is needed" in _refused(Config())
    assert "--detections is needed" in _refused(Config(ground_truth="gt.json"))


def test_missing_files_are_named(config, tmp_path):
    missing = str(tmp_path / "none.json")
    assert missing in _refused(config(ground_truth=missing))
    assert missing in _refused(config(detections=missing))


def test_unknown_subset_lists_the_subsets(config):
    flags = config(subset="val")
    assert _refused(flags) == (
        f"{flags.ground_truth}: subset 'val' does not exist; choose --subset "
        "from: Test (2 videos), training (1 video)"
    )


def test_subset_without_segments_lists_the_subsets(config):
    database = _DATABASE | {"h": {"subset": "testing", "annotations": []}}
    message = _refused(config(database, subset="testing"))
    assert "subset 'testing' has no segment; choose" in message
    assert "testing (1 video)" in message


def test_empty_ground_truth_is_refused(config):
    assert "none, the file is empty" in _refused(config({}))


def test_report_is_not_replaced_unless_asked(config, tmp_path, capsys):
    report = tmp_path / "report.json"
    report.write_text("mine")
    assert "give --overwrite" in _refused(config(report=str(report)))
    assert report.read_text() == "mine"
    # Refused before any work.
    assert capsys.readouterr().out == ""
    evaluate.main(config(report=str(report), overwrite=True))
    assert json.loads(report.read_text())["num_videos"] == 2


# === The real command ===


def test_command_ends_with_one_line_on_an_error(config, tmp_path, run_command):
    flags = config(results={"x": [_detection("Jump", 0, 1, 0.5)]})
    report = tmp_path / "report.json"
    done = run_command(
        "tfwstal.evaluate",
        f"--ground_truth={flags.ground_truth}",
        f"--detections={flags.detections}",
        f"--report={report}",
    )
    assert done.returncode == 1
    assert done.stdout == ""
    assert not report.exists()
    # TensorFlow may have printed lines before it.
    lines = done.stderr.splitlines()
    assert [n for n in lines if n.startswith("error:")] == [lines[-1]]
    assert "video 'x' is not in" in lines[-1]
    assert "Traceback" not in done.stderr


def test_command_parses_its_flags(config, tmp_path, run_command):
    flags = config()
    report = tmp_path / "report.json"
    done = run_command(
        "tfwstal.evaluate",
        f"--ground_truth={flags.ground_truth}",
        f"--detections={flags.detections}",
        "--tiou_thresholds=0.5:0.7:0.1",
        f"--report={report}",
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(report.read_text())["mAP"] == [0.75, 0.75, 0.5]


def test_activitynets_sample_is_perfect_as_it_is(shared_data):
    # It has 19 repeated detections, which the kit counts.
    folder = shared_data / "activitynet13"
    samples = folder / "official_evaluation_samples"
    mean_ap, facts = _facts(
        Config(
            ground_truth=str(folder / "activity_net.v1-3.reconstructed.json"),
            subset="validation",
            detections=str(samples / "sample_detection_prediction.json"),
        )
    )
    assert set(mean_ap) == {1.0}
    assert facts["num_duplicate_detections"] == 19


# === Outputs ===


@pytest.mark.parametrize("name", ["gt.json", "det.json"])
def test_a_report_that_is_an_input(config, tmp_path, name):
    given = config(report=str(tmp_path / "x" / ".." / name), overwrite=True)
    before = (tmp_path / name).read_bytes()
    assert "is also an input" in _refused(given)
    assert (tmp_path / name).read_bytes() == before


@pytest.mark.parametrize("overwrite", [False, True])
def test_a_report_that_is_a_pipe(config, tmp_path, overwrite):
    path = tmp_path / "pipe"
    os.mkfifo(path)
    given = config(report=str(path), overwrite=overwrite)
    assert "is not a regular file" in _refused(given)
    assert path.is_fifo()
