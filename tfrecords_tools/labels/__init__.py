"""Reads annotations: the labels, segments and classes of videos.

There are readers for four kinds:

- ActivityNet JSON (gt.json, activity_net.v1-3.min.json, ActionFormer's and
  OpenTAD's files), with segments, which also give the labels;
- labels.csv (`label_table`), with labels only;
- W-TALC's folder of .npy files (`wtalc_arrays`);
- THUMOS-14's folders of text files (`thumos_texts`).
"""

import dataclasses
import pathlib

from tfrecords_tools.labels import label_table, thumos_texts, wtalc_arrays
from tfrecords_tools.labels.source_video import SourceVideo, read_lines, unique
from tfwstal.data import activitynet
from tfwstal.data.names import name_problem
from tfwstal.errors import InputError, quoted

_TRUTH, _TABLE = "gt.json", "labels.csv"


def find_annotations(features_dir, given):
    """Finds the annotations: those given, or those in `features_dir`.

    In `features_dir` it is gt.json, else labels.csv, else the only JSON file
    with a "database", also in annotations/, or the only folder of W-TALC's or
    THUMOS-14's files.

    Returns:
        pathlib.Path of a file or, for the last two kinds, a folder.

    Raises:
        InputError: if there are none, or several of equal rank.
    """
    if given:
        path = pathlib.Path(given)
        if path.exists():
            return path
        raise InputError(
            f"--annotations={given} does not exist; check the path"
        )
    root = pathlib.Path(features_dir)
    for name in (_TRUTH, _TABLE):
        if (root / name).is_file():
            return root / name
    found = find_databases(root) + wtalc_arrays.find(root)
    found += thumos_texts.find(root)
    if len(found) == 1:
        return found[0]
    if found:
        raise InputError(
            f"{root} has several annotations: "
            f"{' and '.join(str(path.relative_to(root)) for path in found)}; "
            "choose with --annotations"
        )
    raise InputError(
        f"{root} has neither gt.json nor labels.csv nor other annotations; "
        "name them with --annotations"
    )


def find_table(features_dir, given, path):
    """labels.csv, where it lies beside the gt.json that was found, or None."""
    table = pathlib.Path(features_dir) / _TABLE
    found = not given and path.name == _TRUTH and table.is_file()
    return table if found else None


def add_time_scales(videos, path, table):
    """Adds the frame rates and snippet lengths of labels.csv to gt.json.

    Args:
        videos: dict video id -> SourceVideo, of gt.json.
        path: of gt.json.
        table: of labels.csv. Its splits are not used; its labels may be empty.

    Returns:
        such a dict, with the videos that only the table has.

    Raises:
        InputError: if the two state different labels for a video.
    """
    merged = dict(videos)
    for name, row in label_table.read(table).items():
        video = videos.get(name)
        if video is None:
            note = f"only in {table.name}, without segments"
            merged[name] = dataclasses.replace(row, split=None, note=note)
            continue
        if row.labels and set(row.labels) != set(video.labels):
            raise InputError(
                f"{table}: video {name!r} has the labels "
                f"{' and '.join(row.labels)}, but "
                f"{' and '.join(video.labels) or 'none'} in {path.name}; "
                "correct one, or choose one file with --annotations"
            )
        merged[name] = dataclasses.replace(
            video, fps=row.fps, frames_per_snippet=row.frames_per_snippet
        )
    return merged


def find_databases(root):
    """JSON files with a "database", in a folder or its annotations/."""
    paths = sorted([*root.glob("*.json"), *root.glob("annotations/*.json")])
    return [p for p in paths if b'"database"' in p.read_bytes()]


def read_annotations(path, bad_segments):
    """Reads annotations of any kind.

    Args:
        path: the folder or file; a file *.csv is read as labels.csv.
        bad_segments: as the flag, for segments that are reversed or start
            before their video.

    Returns:
        A pair of a dict, video id -> SourceVideo, and a tuple of the
        `activitynet.BadSegment`s.

    Raises:
        InputError: if they cannot be used; names the video or the line.
    """
    if path.suffix.lower() == ".csv":
        return label_table.read(path), ()
    labels_of, ambiguous = {}, ()
    if not path.is_dir():
        truth, bad = activitynet.read_ground_truth(path, bad_segments)
    elif wtalc_arrays.is_one(path):
        database, labels_of = wtalc_arrays.read(path)
        truth, bad = activitynet.parse_database(path, database, bad_segments)
    else:
        database, ambiguous = thumos_texts.read(path)
        truth, bad = activitynet.parse_database(path, database, bad_segments)
    if not truth:
        raise InputError(f"{path} has no video; check the file")
    # A video keeps its label even if the segment cannot be used.
    left_out = {}
    for item in bad:
        if not item.kept:
            left_out.setdefault(item.video_id, []).append(item.segment)
    videos = {
        name: _source_video(video, left_out.get(name, ()), labels_of.get(name))
        for name, video in truth.items()
    }
    return videos, bad + ambiguous


def read_classes(features_dir, given, path, videos):
    """Reads the class names in order, and returns them with their source.

    The source is --classes, else classes.txt in `features_dir`, else the list
    in the annotations of W-TALC or THUMOS-14, else the sorted labels of all
    annotated videos. These include videos that are not converted, so that the
    indices do not depend on the features that exist.

    Args:
        features_dir: as the flag.
        given: --classes, or "".
        path: path of the annotations.
        videos: dict video id -> SourceVideo.

    Raises:
        InputError: if the list is missing or empty, or names a class twice.
    """
    listed = pathlib.Path(given or pathlib.Path(features_dir) / "classes.txt")
    if listed.is_file():
        classes, source = read_lines(listed), listed.name
    elif given:
        raise InputError(f"--classes={given} does not exist; check the path")
    elif path.is_dir():
        reader = wtalc_arrays if wtalc_arrays.is_one(path) else thumos_texts
        classes, listed = reader.read_classes(path)
        source = listed.name
    else:
        found = {label for video in videos.values() for label in video.labels}
        return tuple(sorted(found)), "sorted labels"
    if not classes:
        raise InputError(f"{listed} is empty; give one action name a line")
    for name in classes:
        if name_problem(name):
            raise InputError(
                f"{listed}: class {quoted(name)} {name_problem(name)}"
            )
        if classes.count(name) > 1:
            raise InputError(
                f"{listed}: class {name!r} is listed twice; remove one line"
            )
    return tuple(classes), source


def check(videos, split_of, classes, path, classes_from):
    """Checks that labels are classes and that training videos have labels.

    Args:
        videos: dict video id -> SourceVideo.
        split_of: dict video id -> split, of the videos to check.
        classes: action names.
        path: path of the annotations, for the message.
        classes_from: from `read_classes`, likewise.

    Raises:
        InputError: names the first video and its label.
    """
    for name in sorted(split_of):
        video_labels = videos[name].labels
        for label in video_labels:
            if label not in classes:
                raise InputError(
                    f"{path}: video {name!r} has the label {label!r}, which "
                    f"is not in {classes_from}; add it there or correct it"
                )
        if split_of[name] == "train" and not video_labels:
            raise InputError(
                f"{path}: video {name!r} of the training split has no label; "
                "give it one or leave it out of the split"
            )


def _source_video(video, left_out, stated):
    """SourceVideo of an `annotations.VideoAnnotation`.

    Args:
        video: the VideoAnnotation.
        left_out: its segments that cannot be used.
        stated: labels that the file lists apart from the segments, or None.
            The labels of the segments take precedence if there are any.
    """
    found = unique(s.label for s in [*video.segments, *left_out])
    note = ""
    if found and stated is not None and set(found) != set(stated):
        note = (
            f"labels {' and '.join(stated) or 'none'} stated, "
            f"{' and '.join(found)} taken from its segments"
        )
    return SourceVideo(
        video_id=video.video_id,
        labels=found or unique(stated or ()),
        segments=tuple((s.start, s.end, s.label) for s in video.segments),
        duration=video.duration,
        subset=video.subset,
        video_fps=video.fps,
        note=note,
    )
