"""The sets of the study: how each is drawn, and the flags of its rows."""

import json
import subprocess
import sys

from benchmarks.study import rows as study_rows
from tfwstal import files

_WIDTHS = {"": 256, "wide": 2048}


def base_flags(a_set):
    """The flags that all rows of a set have in common."""
    if a_set.startswith("activitynet-"):
        return study_rows.ACTIVITYNET
    if a_set.endswith("-wide"):
        return study_rows.WIDE
    return study_rows.NARROW


def peer_flags(a_set):
    """The flags of ACM-Net's rows of a set."""
    if a_set.startswith("activitynet-"):
        return study_rows.PEER_ACTIVITYNET
    if a_set.endswith("-wide"):
        return study_rows.PEER_WIDE
    return study_rows.PEER_BASE


def draw(work_dir, a_set):
    """Draws a set FAMILY-SEED or FAMILY-SEED-wide, unless it exists.

    activitynet-SEED follows the annotations of a quarter of ActivityNet's
    videos in WORK_DIR/activitynet.json (its own file, or one in its format),
    thumos14_FAMILY-SEED those of THUMOS-14 in WORK_DIR/thumos14.json (ACM-Net's
    gt.json).
    """
    family, seed, *wide = a_set.split("-")
    raw, records = work_dir / "raw" / a_set, work_dir / "records" / a_set
    width = _WIDTHS["".join(wide)]
    annotations = None
    if family == "activitynet":
        family = "plain"
        annotations = work_dir / "activitynet_part.json"
        write_part(work_dir / "activitynet.json", annotations)
    elif family.startswith("thumos14_"):
        family = family.removeprefix("thumos14_")
        annotations = work_dir / "thumos14.json"
    timeline = []
    if annotations:
        timeline = [f"--annotations={annotations}", "--bad_segments=keep"]
    for folder, module, flags in (
        (
            raw,
            "tfrecords_tools.synthesize",
            [
                f"--family={family}",
                f"--seed={seed}",
                f"--feature_dim={width}",
                *timeline,
            ],
        ),
        (
            records,
            "tfrecords_tools.convert",
            [
                base_flags(a_set)[0],
                f"--features_dir={raw}",
                "--storage_dtype=float32",
            ],
        ),
    ):
        if not folder.exists():
            command = [sys.executable, "-m", module, *flags]
            command.append(f"--output_dir={folder}")
            subprocess.run(command, check=True, timeout=3600)


def write_part(annotations, part, step=4):
    """Writes every `step`-th video of each subset, in order of name."""
    whole = json.loads(annotations.read_text(encoding="utf-8"))
    by_subset = {}
    for name, video in sorted(whole["database"].items()):
        by_subset.setdefault(video["subset"], []).append((name, video))
    kept = [pair for each in by_subset.values() for pair in each[::step]]
    files.write_json(part, {"database": dict(kept)})
