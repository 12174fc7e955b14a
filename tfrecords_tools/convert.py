"""Converts I3D features and labels to sharded TFRecords.

    OUTPUT_DIR/
      NAME-train.tfrecord-00000-of-00010 ...  one Example a video (record.py)
      dataset_info.json  features.json        for TensorFlow Datasets
      metadata.json      classes, frame rate, sha256 of every input, and what
                         was left out, cut or kept
      classes.txt        class index c is line c

`layouts` lists the supported forms of --features_dir. Headers and annotations
are checked before anything is written, and the folder gets its name when it is
complete. The same data give the same bytes.
"""

from tfwstal import command_line

if __name__ == "__main__":  # answers --help before the slow imports
    command_line.start("convert")

import collections
import dataclasses
import pathlib
import re
import statistics
import time

import tensorflow as tf
from tqdm import tqdm

from tfrecords_tools import layouts
from tfrecords_tools.sharding import provenance, shards, units, verification
from tfwstal import files
from tfwstal.config import Config
from tfwstal.data import feature_files
from tfwstal.data.annotations import BadSegment, Segment
from tfwstal.data.folder import DatasetInfo
from tfwstal.errors import InputError
from tfwstal.extraction import feature_folder

_USUAL_WIDTHS = {1024, 2048, 4096}  # of features, rarely of snippets


def main(config):
    """Converts what the flags describe and prints a summary."""
    started = time.monotonic()
    config.require("features_dir", "output_dir")
    output_dir = pathlib.Path(config.output_dir).resolve()
    # The first part of the shards' names.
    name = re.sub(r"\W", "_", output_dir.name, flags=re.ASCII)
    shards.check_replaceable(output_dir, config.overwrite)
    files.check_replaced_folder(
        "output_dir",
        output_dir,
        {
            name: getattr(config, name)
            for name in ("features_dir", "annotations", "classes")
        },
    )
    config = with_extracted_time_scale(config)
    source = layouts.discover(config)
    for doubt in source.doubts():
        command_line.warn(doubt)
    measured = measure(source.videos)
    if source.layout == "actionformer":
        check_time_scale(source, measured)
    videos, bad = check_segments(source, measured, config.bad_segments)
    info = _write(config, name, output_dir, source, videos, measured, bad)
    seconds = time.monotonic() - started
    print(provenance.summary(info, source, measured, bad, output_dir, seconds))
    if config.verify:
        print(f"verified: {len(videos)} records equal their sources")


def with_extracted_time_scale(config):
    """The Config with the time scale that `extract` wrote to --features_dir.

    Raises:
        InputError: if flags contradict it.
    """
    facts = feature_folder.read_facts(config.features_dir)
    if facts is None:
        return config
    for name in ("fps", "frames_per_snippet"):
        given = getattr(config, name)
        if given not in (getattr(Config, name), facts[name]):
            raise InputError(
                f"--{name}={given:g}: {config.features_dir} was extracted "
                f"with {facts[name]:g}; drop the flag"
            )
    return dataclasses.replace(
        config,
        fps=facts["fps"],
        frames_per_snippet=facts["frames_per_snippet"],
    )


def measure(videos):
    """Reads the headers of all feature files.

    Returns:
        dict video id -> feature_files.Measured.

    Raises:
        InputError: if a file cannot be used, or has another width than the
            others.
    """
    measured = {
        video.video_id: feature_files.inspect(video.feature_files)
        for video in tqdm(videos, "check", unit="video", disable=None)
    }
    _check_axes(videos, measured)
    # The first of the videos that are as wide as most.
    widths = collections.Counter(each.widths for each in measured.values())
    expected = widths.most_common(1)[0][0]
    first = next(v for v in videos if measured[v.video_id].widths == expected)
    for video in videos:
        found = measured[video.video_id]
        if found.widths != expected:
            raise InputError(
                f"{_files(video)} is {_widths(found.widths)} features wide, "
                f"but {_files(first)} is {_widths(expected)}; all videos need "
                "features of the same network"
                + (
                    f" ([{found.num_snippets}, {found.widths[0]}] seems "
                    "transposed)"
                    if expected[0] == found.num_snippets
                    else ""
                )
            )
    return measured


def _check_axes(videos, measured):
    """Finds features that are [D, T] in the place of [T, D].

    Raises:
        InputError: if all videos are as "long" as features usually are wide,
            and differ in width.
    """
    lengths = {each.num_snippets for each in measured.values()}
    widths = {each.widths for each in measured.values()}
    if len(lengths) > 1 or not lengths <= _USUAL_WIDTHS:
        return
    if any(set(each) <= _USUAL_WIDTHS for each in widths):
        return
    length, first = lengths.pop(), videos[0]
    problem = (
        f"all videos have {length} snippets, such as {_files(first)} with "
        f"{_widths(measured[first.video_id].widths)} features; [snippets, "
        "features] is needed, so that these seem transposed"
    )
    if len(widths) > 1:
        raise InputError(f"{problem}; save them as array.T")
    command_line.warn(f"{problem}; if they are, save them as array.T")


def check_time_scale(source, measured):
    """Checks that frame rates and step agree with the durations of the videos.

    The annotations of ActionFormer and OpenTAD state the frame rate of the
    videos, but the step of the features is only in their configurations, and
    features may have another rate.

    Raises:
        InputError: if the features are over 10 % longer or shorter than their
            videos, in the median.
    """
    ratios = provenance.length_ratios(source.videos, measured)
    if not ratios or abs(statistics.median(ratios) - 1) <= 0.1:
        return
    ratio = statistics.median(ratios)
    step = source.videos[0].frames_per_snippet
    raise InputError(
        f"{source.annotations}: with its frame rates and "
        f"--frames_per_snippet={step} the features last {ratio:.2f} times as "
        f"long as their videos (median); a step of {step / ratio:.3g} frames "
        "would fit. Give --frames_per_snippet, or, if all features are of one "
        "frame rate, --layout=folders --fps=RATE"
    )


def check_segments(source, measured, bad_segments):
    """Finds segments that end after the features of their video.

    One snippet is tolerated, because extractors drop frames that do not fill
    the last snippet.

    Args:
        source: layouts.Source.
        measured: from `measure`.
        bad_segments: as the flag.

    Returns:
        The SourceVideos, without those segments under "skip", and a tuple of
        all BadSegments, including those of the annotation file.

    Raises:
        InputError: under "error"; names the first and counts the others.
    """
    kept = bad_segments == "keep"
    videos, outside = [], []
    for video in source.videos:
        rate = video.fps / video.frames_per_snippet
        end = measured[video.video_id].num_snippets / rate
        late = [s for s in video.segments if s[1] > end + 1 / rate]
        outside += [
            BadSegment(
                video.video_id,
                Segment(label, start, stop),
                f"ends after the video's features, which last {end:g} s",
                kept,
            )
            for start, stop, label in late
        ]
        if not kept:
            inside = tuple(s for s in video.segments if s not in late)
            video = dataclasses.replace(video, segments=inside)
        videos.append(video)
    if outside and bad_segments == "error":
        others = f" (and {len(outside) - 1} more)" if outside[1:] else ""
        raise InputError(
            f"{source.annotations}: {outside[0]}{others}; check --fps and "
            "--frames_per_snippet, or leave such segments out with "
            "--bad_segments=skip"
        )
    return tuple(videos), source.bad_segments + tuple(outside)


def _write(config, name, output_dir, source, videos, measured, bad):
    """Writes the folder; returns its DatasetInfo."""
    feature_dim = sum(measured[videos[0].video_id].widths)
    itemsize = 2 if config.storage_dtype == "float16" else 4
    items = [(v, measured[v.video_id].num_snippets) for v in videos]
    tasks = shards.plan(name, items, feature_dim * itemsize, config.num_shards)
    workers = shards.num_workers(config.num_workers, len(tasks))
    content = (tasks, source.classes, config.storage_dtype)
    outcome = None
    if config.engine == "beam":
        outcome = units.run(*content, output_dir, config.engine_arguments)
    try:
        with shards.staging(output_dir) as folder:
            if outcome:
                written = units.gather(outcome, tasks, folder)
            else:
                written = shards.write_all(*content, folder, workers)
            splits, digests = {}, {}
            for task, (shard, part) in zip(tasks, written, strict=True):
                splits[task.split] = splits.get(task.split, ()) + (shard,)
                digests |= part
            fps, frames_per_snippet = _time_scale(config, videos)
            info = DatasetInfo(
                name=name,
                classes=source.classes,
                feature_dim=feature_dim,
                storage_dtype=config.storage_dtype,
                fps=fps,
                frames_per_snippet=frames_per_snippet,
                splits=splits,
                provenance=provenance.describe(
                    config.features_dir, source, measured, bad, digests
                ),
            )
            info.write(folder)
            if config.verify:
                verification.verify(*content, folder)
    except (OSError, tf.errors.OpError) as error:
        reason = getattr(error, "strerror", None) or error
        raise InputError(
            f"--output_dir={output_dir} cannot be written ({reason}); choose "
            "another folder or make room"
        ) from None
    if outcome:
        outcome.store.remove()
        print(outcome.summary({"videos_left_out": len(source.left_out)}))
    return info


def _time_scale(config, videos):
    """(fps, frames per snippet) of all videos, else of the flags."""
    found = {(video.fps, video.frames_per_snippet) for video in videos}
    if len(found) > 1:
        return config.fps, config.frames_per_snippet
    return found.pop()


def _files(video):
    return " and ".join(map(str, video.feature_files))


def _widths(widths):
    return " + ".join(map(str, widths))


if __name__ == "__main__":
    command_line.run(main, "convert")
