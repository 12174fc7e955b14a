"""The provenance of records, for metadata.json and for the terminal."""

import hashlib
import pathlib
import statistics

from tfrecords_tools.layouts.streams import JOINT
from tfwstal.data.folder import VERSION
from tfwstal.extraction import feature_folder


def describe(features_dir, source, measured, bad, digests):
    """Describes the sources of the records, for metadata.json.

    It has no times and no absolute paths, so that the same data give the same
    bytes anywhere.

    Args:
        features_dir: as the flag.
        source: layouts.Source.
        measured: dict video id -> feature_files.Measured.
        bad: the activitynet.BadSegments.
        digests: dict video id -> sha256 of its files.

    Returns:
        dict that JSON can hold.
    """
    root = pathlib.Path(features_dir)
    values = measured.values()
    facts = feature_folder.read_facts(root)
    return {
        "converter": f"tfrecords_tools.convert {VERSION}",
        "layout": source.layout,
        # How tfrecords_tools.extract made the features, if it did.
        **({"extraction": facts} if facts else {}),
        "features_dir": root.resolve().name,
        "annotations": {
            "file": source.annotations.name,
            "sha256": _digest(source.annotations),
        },
        **(
            {
                "time_scales": {
                    "file": source.table.name,
                    "sha256": _digest(source.table),
                }
            }
            if source.table
            else {}
        ),
        "classes_from": source.classes_from,
        "splits_from": source.splits_from,
        "counts": {
            "videos_left_out": len(source.left_out),
            "videos_with_notes": len(source.notes),
            "segments_left_out": sum(not item.kept for item in bad),
            "bad_segments_kept": sum(item.kept for item in bad),
            "streams_cut_by_one_snippet": sum(m.cut for m in values),
            "videos_rounded_from_float64": sum(m.wider for m in values),
        },
        "left_out": [
            {"video": video, "reason": reason}
            for video, reason in source.left_out
        ],
        "notes": [
            {"video": video, "note": note} for video, note in source.notes
        ],
        "bad_segments": [
            {
                "video": item.video_id,
                "label": item.segment.label,
                "segment": [item.segment.start, item.segment.end],
                "reason": item.reason,
                "kept": item.kept,
            }
            for item in bad
        ],
        "sha256": {
            _inside(root, path): digest
            for video in source.videos
            for path, digest in zip(
                video.feature_files, digests[video.video_id], strict=True
            )
        },
    }


def summary(info, source, measured, bad, output_dir, seconds):
    """The summary that the command prints.

    Args:
        info: DatasetInfo of the records.
        source: layouts.Source.
        measured: dict video id -> feature_files.Measured.
        bad: the activitynet.BadSegments.
        output_dir: folder of the records.
        seconds: duration of the conversion.

    Returns:
        text of several lines.
    """
    counts = info.provenance["counts"]
    lengths = sorted(m.num_snippets for m in measured.values())
    size = sum(s.num_bytes for part in info.splits.values() for s in part)
    lines = [
        f"{split}: {info.num_videos(split)} videos, shards: {len(part)}"
        for split, part in info.splits.items()
    ]
    lines += [
        f"classes: {len(info.classes)}, in the order of {source.classes_from}",
        f"snippets: {lengths[0]} / {statistics.median(lengths):g} / "
        f"{lengths[-1]} (min / median / max) of {info.feature_dim} features",
        *_drift(source.videos, measured),
        *(
            f"{what.replace('_', ' ')}: {count}"
            for what, count in counts.items()
            if count
        ),
    ]
    listed = [f"{video}: {reason}" for video, reason in source.left_out]
    listed += [f"{video}: {note}" for video, note in source.notes]
    listed += [f"{b}{', kept' if b.kept else ', left out'}" for b in bad]
    lines += [f"  {line}" for line in listed[:10]]
    if listed[10:]:
        lines.append(f"  and {len(listed) - 10} more, in metadata.json")
    lines.append(f"{size / 1e6:.1f} MB in {seconds:.1f} s: {output_dir}")
    return "\n".join(lines)


def _inside(root, place):
    """Path of a file in the folder, with the key of an array inside it."""
    if isinstance(place, pathlib.Path):
        return place.relative_to(root).as_posix()
    return f"{place.path.relative_to(root).as_posix()}[{place.key}]"


def _digest(path):
    """sha256 of a file; for a folder, of the lines that sha256sum prints."""
    if path.is_file():
        return hashlib.sha256(path.read_bytes()).hexdigest()
    arrays = [p for p in path.glob("*.npy") if not p.stem.endswith(JOINT)]
    is_wtalc = (path / "videoname.npy").is_file()
    files = sorted(arrays if is_wtalc else path.rglob("*.txt"))
    lines = [
        f"{_digest(file)}  {file.relative_to(path).as_posix()}\n"
        for file in files
    ]
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def length_ratios(videos, measured):
    """Ratios of the length of the features to the annotated duration.

    Args:
        videos: SourceVideos.
        measured: dict video id -> feature_files.Measured.

    Returns:
        list of ratios, 1 for equal lengths, of the videos with a duration.
    """
    return [
        measured[v.video_id].num_snippets
        * v.frames_per_snippet
        / (v.fps * v.duration)
        for v in videos
        if v.duration
    ]


def _drift(videos, measured):
    """A line about features that are longer or shorter than their videos."""
    ratios = length_ratios(videos, measured)
    off = sum(abs(ratio - 1) > 0.1 for ratio in ratios)
    if not off:
        return []
    return [
        "features over 10 % longer or shorter than the annotated duration: "
        f"{off} videos (median ratio {statistics.median(ratios):.2f}; check "
        "--fps and --frames_per_snippet if it is not near 1)"
    ]
