"""Options of an evaluation, each declared once.

The fields are keywords of the library and, in `config.py`, flags of the same
names. This module imports neither NumPy nor TensorFlow.
"""

import dataclasses

from tfwstal.method.options import Options, option


@dataclasses.dataclass(frozen=True)
class EvaluationOptions(Options):
    """Which videos and detections count, and how."""

    protocol: str = option(
        "activitynet",
        "activitynet: interpolated AP, tIoU >= threshold. thumos14: the "
        "challenge's kit, AP without interpolation, tIoU > threshold, "
        "--ambiguous_rule=neutral.",
        choices=("activitynet", "thumos14"),
    )
    subset: str = option("test", "Subset of --ground_truth.")
    tiou_thresholds: tuple[float, ...] = option(
        (0.1, 0.2, 0.3, 0.4)
        + tuple(round(0.5 + 0.05 * i, 2) for i in range(10)),
        "tIoU thresholds of the mAP table: 0.1,0.2 or start:stop:step.",
        low=1e-9,
        high=1.0,
        count="some",
    )
    averages: tuple[str, ...] = option(
        ("0.1:0.5", "0.1:0.7", "0.5:0.95:0.05"),
        "Averages of mAP to print: first:last in steps of 0.1, or "
        "first:last:step. An average is printed if all its thresholds are in "
        "--tiou_thresholds.",
    )
    videos: str = option(
        "all",
        "Videos of --subset that count: all; thumos14_210, without videos "
        "270, 1292 and 1496 of the test set; thumos14_212, without 1292; or a "
        "file with one id per line. Detections in other videos of the subset "
        "are ignored. Extract and localize: the films, a folder or a .txt "
        "with one path per line.",
    )
    ambiguous: str = option(
        "",
        "Text file of ambiguous segments, one VIDEO START END per line, such "
        "as THUMOS-14's Ambiguous_test.txt. Segments that --ground_truth "
        "labels Ambiguous are added.",
    )
    ambiguous_rule: str = option(
        "auto",
        "A detection that overlaps an ambiguous segment is ignored unless it "
        "is a true positive (neutral), is always removed (drop, as in W-TALC "
        "and CO2-Net), or counts like any other (count). auto: neutral for "
        "thumos14, count for activitynet.",
        choices=("auto", "neutral", "drop", "count"),
    )
    unit: str = option(
        "seconds",
        "Compare times in seconds, or rounded to whole snippets of "
        "--frames_per_snippet frames at --fps (W-TALC, CO2-Net).",
        choices=("seconds", "snippets"),
    )
    unknown_videos: str = option(
        "error",
        "Detections in videos that are not in --subset of the ground truth: "
        "stop with an error, ignore and report them, or count them as false "
        "positives, as both official kits do.",
        choices=("error", "ignore", "count"),
    )
    unknown_classes: str = option(
        "error",
        "Detections of classes that the ground truth lacks: stop with an "
        "error, ignore and report them, or count them. mAP is the mean over "
        "the ground truth's classes, so counting changes no AP.",
        choices=("error", "ignore", "count"),
    )
    ignore_unknown: bool = option(
        False,
        "Short for --unknown_videos=ignore --unknown_classes=ignore.",
    )
    bad_detections: str = option(
        "error",
        "Detections that end before they start: stop with an error, skip and "
        "report them, or swap their times, as the THUMOS kit does.",
        choices=("error", "skip", "swap"),
    )
    duplicates: str = option(
        "count",
        "Detections that repeat another exactly: report and count them, as "
        "both kits do, or stop with an error.",
        choices=("count", "error"),
    )

    def rule_of(self, kind):
        """The rule for unknown "videos" or "classes"."""
        if self.ignore_unknown:
            return "ignore"
        return getattr(self, f"unknown_{kind}")

    @property
    def rule_for_ambiguous(self):
        """The meaning of `ambiguous_rule` under `protocol`."""
        if self.ambiguous_rule != "auto":
            return self.ambiguous_rule
        return {"thumos14": "neutral", "activitynet": "count"}[self.protocol]
