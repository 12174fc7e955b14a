from tfwstal.plotting.detection_table import detection_table


def detections(count):
    return [
        {"label": "Run", "score": 1 - i / 100, "segment": [i, i + 1.5]}
        for i in range(count)
    ]


def test_all_of_a_few_detections_are_shown():
    lines = detection_table("v", 30, detections(20)).splitlines()
    assert lines[0] == "v: 30 snippets, 20 detections"
    assert lines[2] == "     0.00     1.50   1.000  Run"
    assert lines[-1] == "    19.00    20.50   0.810  Run"
    assert len(lines) == 22


def test_the_best_of_many_are_shown_and_the_others_counted():
    lines = detection_table("v", 30, detections(50)).splitlines()
    assert lines[:1] == ["v: 30 snippets, 50 detections"]
    assert (
        lines[1:22] == detection_table("v", 30, detections(20)).splitlines()[1:]
    )
    assert lines[22:] == [
        "    and 30 with lower scores; --detections=FILE writes all"
    ]


def test_no_detections_are_one_line():
    assert detection_table("v", 3, []) == "v: 3 snippets, 0 detections"
