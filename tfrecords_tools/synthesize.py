"""Writes a dataset with planted actions, in ACM-Net's layout.

    OUTPUT_DIR/
      gt.json             {"version", "database": {video: {"subset",
                          "duration", "annotations": [{"segment", "label"}]}}}
      split_train.txt     one video a line; subset "validation" of gt.json
      split_test.txt      subset "test"
      train/VIDEO.npy     float32 [snippets, --feature_dim], RGB then flow
      test/VIDEO.npy

`planting.features` describes the features and what makes them hard;
`planting.families` describes each --family. The timeline is drawn with the
statistics of THUMOS-14, or follows the videos in --annotations. In the second
case the training subset becomes "validation" and the evaluation subset "test",
as in ACM-Net's file for THUMOS-14. "duration" is then at least the end of the
last segment, or that end plus 5 s if the file has no duration. Timelines from
a file are never changed, so --family=sparse does not lengthen their actions.
"""

from tfwstal import command_line

if __name__ == "__main__":  # answers --help before the slow imports
    command_line.start("synthesize", tensorflow=False)

import dataclasses
import json
import os
import pathlib
import shutil

import numpy as np
from tqdm import tqdm

from tfrecords_tools.planting import features as planted_features
from tfrecords_tools.planting import timelines
from tfrecords_tools.planting.families import FAMILIES
from tfwstal import files
from tfwstal.data.activitynet import read_ground_truth
from tfwstal.errors import InputError

_VERSION = "tfwstal synthetic 1"
_TRAIN_SUBSETS = ("train", "training")
_VALIDATION_SUBSETS = ("validation", "val")
_TEST_SUBSETS = ("test", "testing")

_MOST_SNIPPETS = 200_000  # 36 hours of 0.64 s; 1.6 GB of 2048 features

_TAIL = 5.0  # seconds after the last action of a video of unknown duration


def main(config):
    """Writes the dataset that the flags describe."""
    output_dir = _check(config)
    if config.annotations:
        videos, left_out = follow(config.annotations, config.bad_segments)
        check_lengths(videos, config)
    else:
        videos, left_out = timelines.draw_videos(config), {}
    partial = output_dir.with_name(f".{output_dir.name}.{os.getpid()}.partial")
    try:
        partial.mkdir(parents=True)
        try:
            write(partial, videos, config)
            _put_in_place(partial, output_dir)
        finally:
            shutil.rmtree(partial, ignore_errors=True)
    except OSError as error:
        raise files.unwritable(
            f"--output_dir={config.output_dir}", error
        ) from None
    for what, count in left_out.items():
        if count:
            print(f"{count} {what} left out")
    print(f"{len(videos)} videos written to {config.output_dir}")


def follow(path, bad_segments="error"):
    """Reads the timelines of a ground-truth file.

    Args:
        path: ActivityNet JSON.
        bad_segments: as the flag.

    Returns:
        A pair of a dict as from `draw_videos`, in which each video has a
        duration that includes all its segments, and a dict that counts what
        is left out: "videos without segments" and "bad segments".

    Raises:
        InputError: if the file cannot be used.
    """
    found, bad = read_ground_truth(path, bad_segments)
    subsets = {video.subset.lower() for video in found.values()}
    trained = not subsets.isdisjoint(_TRAIN_SUBSETS)
    videos = {}
    for name, video in found.items():
        if not video.segments:
            continue
        if pathlib.PurePath(name).name != name or name.split() != [name]:
            raise InputError(
                f"{path}: video {name!r} cannot name a file; rename it"
            )
        end = max(segment.end for segment in video.segments)
        known = video.duration is not None
        videos[name] = dataclasses.replace(
            video,
            subset=_split_of(path, video, trained),
            duration=max(video.duration, end) if known else end + _TAIL,
        )
    if not videos:
        raise InputError(f"{path}: no video has segments; nothing to follow")
    return videos, {
        "videos without segments": len(found) - len(videos),
        "bad segments": sum(not segment.kept for segment in bad),
    }


def check_lengths(videos, config):
    """Refuses videos of so many snippets that memory would not hold one.

    Raises:
        InputError: names the first.
    """
    rate = config.fps / config.frames_per_snippet
    for name, video in videos.items():
        if video.duration * rate > _MOST_SNIPPETS:
            raise InputError(
                f"{config.annotations}: video {name!r} lasts "
                f"{video.duration:g} s, more than the {_MOST_SNIPPETS} "
                "snippets that a synthetic video may have; correct its "
                "duration and segments"
            )


def write(folder, videos, config):
    """Writes videos from `draw_videos` or `follow` into an existing folder."""
    labels = sorted({s.label for v in videos.values() for s in v.segments})
    world = planted_features.make_world(
        np.random.default_rng([config.seed, 2]),
        len(labels),
        config.feature_dim,
        config.difficulty,
        FAMILIES[config.family],
    )
    for split in ("train", "test"):
        (folder / split).mkdir()
    for name, video in tqdm(
        videos.items(), "synthesize", unit="video", disable=None
    ):
        rng = timelines.generator(config.seed, name, stage=1)
        timeline = make_timeline(rng, video, labels, config)
        features = planted_features.draw_features(rng, world, timeline)
        _save(folder / video.subset / f"{name}.npy", features)
    for split in ("train", "test"):
        names = [n for n, video in videos.items() if video.subset == split]
        (folder / f"split_{split}.txt").write_text(
            "".join(f"{name}\n" for name in names), encoding="utf-8"
        )
    text = json.dumps(_ground_truth(videos), indent=1)
    (folder / "gt.json").write_text(text + "\n", encoding="utf-8")


def _save(path, values):
    """Like `np.save`, which does not say when the disk is full."""
    with open(path, "wb") as file:
        header = np.lib.format.header_data_from_array_1_0(values)
        np.lib.format.write_array_header_1_0(file, header)
        file.write(values.data)


def make_timeline(rng, video, labels, config):
    """The Timeline of a video in snippets, with the additions of the family."""
    family = FAMILIES[config.family]
    actions = [(labels.index(s.label), s.start, s.end) for s in video.segments]
    contexts = timelines.draw_contexts(rng, actions, video.duration, family)
    copies = timelines.draw_copies(rng, actions, contexts, family)
    rate = config.fps / config.frames_per_snippet
    actions, contexts, copies = (
        tuple((index, start * rate, end * rate) for index, start, end in part)
        for part in (actions, contexts, copies)
    )
    telling = None
    if family.telling < 1:
        telling = timelines.draw_telling(rng, actions, family.telling)
    return planted_features.Timeline(
        max(int(video.duration * rate), 1), actions, contexts, copies, telling
    )


def _check(config):
    """Returns the folder to write, or raises InputError."""
    config.require("output_dir")
    if config.feature_dim % 2:
        raise InputError(
            f"--feature_dim={config.feature_dim} is odd; one half is RGB, the "
            "other flow"
        )
    for name in ("num_train_videos", "num_test_videos"):
        count = getattr(config, name)
        if not config.annotations and count < config.num_classes:
            raise InputError(
                f"--{name}={count} leaves some of --num_classes="
                f"{config.num_classes} without a video; raise it or lower "
                "--num_classes"
            )
    output_dir = pathlib.Path(config.output_dir).resolve()
    files.check_replaced_folder(
        "output_dir", output_dir, {"annotations": config.annotations}
    )
    if output_dir.exists() and not config.overwrite:
        raise InputError(
            f"--output_dir={config.output_dir} exists; choose another folder "
            "or add --overwrite"
        )
    if output_dir.exists() and not _is_ours(output_dir):
        raise InputError(
            f"--output_dir={config.output_dir} is not a folder that synthesize "
            "wrote, and is not replaced; remove it or choose another"
        )
    return output_dir


def _is_ours(folder):
    """Whether a folder is empty or has a set written by this command."""
    if not folder.is_dir():
        return False
    try:
        text = (folder / "gt.json").read_text(encoding="utf-8")
        return json.loads(text)["version"] == _VERSION
    except FileNotFoundError:
        return not any(folder.iterdir())
    except (OSError, ValueError, TypeError, KeyError):
        return False


def _put_in_place(partial, output_dir):
    """Renames the new folder, then removes the old one."""
    replaced = partial.with_suffix(".replaced")
    if output_dir.exists():
        output_dir.rename(replaced)
    try:
        partial.rename(output_dir)
    except OSError:
        if replaced.exists():
            replaced.rename(output_dir)
        raise
    shutil.rmtree(replaced, ignore_errors=True)


def _split_of(path, video, trained):
    """Split of a video; `trained`: whether the file has a training subset."""
    subset = video.subset.lower()
    if subset in _VALIDATION_SUBSETS:
        return "test" if trained or subset == "val" else "train"
    if subset in _TRAIN_SUBSETS:
        return "train"
    if subset in _TEST_SUBSETS:
        return "test"
    raise InputError(
        f"{path}: video {video.video_id!r} has the unknown subset "
        f"{video.subset!r}; known are "
        + ", ".join(_TRAIN_SUBSETS + _VALIDATION_SUBSETS + _TEST_SUBSETS)
    )


def _ground_truth(videos):
    """Returns the content of gt.json."""
    return {
        "version": _VERSION,
        "database": {
            name: {
                "subset": "validation" if video.subset == "train" else "test",
                "duration": video.duration,
                "annotations": [
                    {"segment": [s.start, s.end], "label": s.label}
                    for s in video.segments
                ],
            }
            for name, video in videos.items()
        },
    }


if __name__ == "__main__":
    command_line.run(main, "synthesize")
