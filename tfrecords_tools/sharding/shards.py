"""Writes shards of videos, several at a time, and their folder."""

import concurrent.futures
import contextlib
import dataclasses
import math
import os
import pathlib
import shutil
import threading

import tensorflow as tf
from tqdm import tqdm

from tfrecords_tools.labels.source_video import SourceVideo
from tfwstal.data import feature_files, record
from tfwstal.data.folder import Shard, shard_name
from tfwstal.errors import InputError

_SHARD_BYTES = 64 * 2**20


@dataclasses.dataclass(frozen=True)
class Task:
    """One shard to write.

    Attributes:
        name: file name.
        split: split of the videos.
        videos: (SourceVideo, T) in the order of the shard.
    """

    name: str
    split: str
    videos: tuple[tuple[SourceVideo, int], ...]


def plan(name, videos, num_bytes, num_shards):
    """Distributes videos over shards.

    Each shard has consecutive videos in the order of their ids. The place of a
    video thus depends only on the data, not on a seed or the number of
    workers. Training shuffles shards and videos anyway.

    Args:
        name: name of the data set.
        videos: (SourceVideo, T), sorted by id.
        num_bytes: size of the features of one snippet.
        num_shards: shards of each split; 0 for one per 64 MiB of features.

    Returns:
        list of Task, split after split.
    """
    tasks = []
    for split in sorted({video.split for video, _ in videos}):
        chosen = [item for item in videos if item[0].split == split]
        total = sum(length for _, length in chosen) * num_bytes
        count = num_shards or math.ceil(total / _SHARD_BYTES)
        count = min(count, len(chosen))
        ends = [len(chosen) * i // count for i in range(count + 1)]
        tasks += [
            Task(
                shard_name(name, split, i, count),
                split,
                tuple(chosen[ends[i] : ends[i + 1]]),
            )
            for i in range(count)
        ]
    return tasks


def num_workers(flag, num_shards):
    """Threads to use: `flag`, or two a core for 0; at most one a shard.

    Of the two, one computes while the other waits for the disk.
    """
    return min(flag or 2 * (os.cpu_count() or 1), num_shards)


def write_all(tasks, classes, storage_dtype, folder, workers):
    """Writes the shards.

    Threads are enough: reading, hashing and writing, which take nearly all of
    the time, run without Python's lock.

    Args:
        tasks: from `plan`.
        classes: action names; class index c is classes[c - 1].
        storage_dtype: "float32" or "float16".
        folder: existing folder to write into.
        workers: threads; each holds one video at a time.

    Returns:
        list of (Shard, dict video id -> sha256 of its files), in the order of
        `tasks`.

    Raises:
        InputError: the first error of a video, in the order of `tasks`.
    """
    total = sum(len(task.videos) for task in tasks)
    ended = threading.Event()
    lock = threading.Lock()
    # disable=None: no bar if the output is not a terminal.
    with (
        tqdm(desc="convert", total=total, unit="video", disable=None) as bar,
        concurrent.futures.ThreadPoolExecutor(workers) as pool,
    ):

        def on_video():
            if ended.is_set():
                raise concurrent.futures.CancelledError
            with lock:
                bar.update()

        futures = [
            pool.submit(
                write_shard, task, classes, storage_dtype, folder, on_video
            )
            for task in tasks
        ]
        try:
            return [future.result() for future in futures]
        finally:  # after an error or an interrupt the others end early
            ended.set()
            pool.shutdown(cancel_futures=True)


def write_shard(task, classes, storage_dtype, folder, on_video=None):
    """Writes one shard; returns its entry in the list of `write_all`."""
    index_of = {name: index for index, name in enumerate(classes, start=1)}
    path = pathlib.Path(folder) / task.name
    digests = {}
    with tf.io.TFRecordWriter(str(path)) as writer:
        for video, num_snippets in task.videos:
            values, digest = feature_files.load(
                video.feature_files, num_snippets, storage_dtype
            )
            digests[video.video_id] = digest
            writer.write(record.encode(_record(video, values, index_of)))
            if on_video:
                on_video()
    _sync(path)
    size = path.stat().st_size
    return Shard(task.name, len(task.videos), size), digests


def _sync(path):
    """Waits until a file is on the disk, while other threads continue."""
    with open(path, "rb") as file:
        os.fsync(file.fileno())


def _record(video, values, index_of):
    return record.VideoRecord(
        video_id=video.video_id,
        features=values,
        labels=video.labels,
        label_indices=tuple(index_of[label] for label in video.labels),
        segments=tuple(
            (start, end, label, index_of[label])
            for start, end, label in video.segments
        ),
        duration=video.duration,
        fps=video.fps,
        frames_per_snippet=video.frames_per_snippet,
    )


def check_replaceable(output_dir, overwrite):
    """Raises InputError if `output_dir` exists and must stay."""
    if not os.path.lexists(output_dir):
        return
    if not overwrite:
        raise InputError(
            f"--output_dir={output_dir} exists; choose another folder, or "
            "replace it with --overwrite"
        )
    # Only folders of records have both files.
    names = ("dataset_info.json", "metadata.json")
    if not all((output_dir / name).is_file() for name in names):
        raise InputError(
            f"--output_dir={output_dir} is not a folder of records and is not "
            "replaced, even with --overwrite; choose another one"
        )


@contextlib.contextmanager
def staging(output_dir):
    """Yields a temporary folder that replaces `output_dir` at the end.

    Until then `output_dir` is unchanged. An error leaves nothing behind; a
    killed run leaves `.NAME.incomplete`, which the next run removes.

    Args:
        output_dir: pathlib.Path, absolute.

    Yields:
        the folder to write into.
    """
    partial = output_dir.with_name(f".{output_dir.name}.incomplete")
    replaced = output_dir.with_name(f".{output_dir.name}.replaced")
    made = [p for p in output_dir.parents if not p.exists()]
    try:
        if replaced.exists() and not output_dir.exists():
            replaced.rename(output_dir)  # killed between the two renames
        for stale in (partial, replaced):
            if stale.exists():
                shutil.rmtree(stale)
        partial.mkdir(parents=True)
        yield partial
        if output_dir.exists():
            output_dir.rename(replaced)
        partial.rename(output_dir)
        shutil.rmtree(replaced, ignore_errors=True)
    except BaseException:  # also an interrupt from the keyboard
        if replaced.exists() and not output_dir.exists():
            replaced.rename(output_dir)
        shutil.rmtree(partial, ignore_errors=True)
        for folder in made:
            with contextlib.suppress(OSError):
                folder.rmdir()
        raise
