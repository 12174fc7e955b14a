"""The rows of videos, collected from the sources of `visualize`."""

import tqdm

from tfwstal import inference
from tfwstal.data import reader
from tfwstal.data.names import unknown_video
from tfwstal.errors import InputError
from tfwstal.evaluation import detection_checks, formats
from tfwstal.extraction import sources
from tfwstal.plotting import film_strip, rows
from tfwstal.plotting.rows import Bars


class VideoRows:
    """Collects the rows of all videos, or of one.

    Args:
        only: id of the one video wanted, "" for all.

    Attributes:
        films: dict video id -> FilmStrip.
    """

    def __init__(self, only=""):
        self._only = only
        self._truths, self._found, self._curves = {}, None, {}
        self.films = {}

    def add_truths(self, path, subset, bad_segments="error", classes=None):
        """Adds the ground truth of the videos of a subset.

        Args:
            path, bad_segments, classes: as for `formats.read_ground_truth`.
            subset: its name, in any case.

        Returns:
            list of the BadSegments of these videos.
        """
        annotated, bad = formats.read_ground_truth(
            path, subset, bad_segments, classes
        )
        self._truths = {
            name: rows.truth_bars(video.segments, video.duration or 0.0)
            for name, video in annotated.items()
            if video.subset.casefold() == subset.casefold()
        }
        self._require(self._truths, f"subset {subset!r} of {path}")
        wanted = (self._only,) if self._only else self._truths
        return [each for each in bad if each.video_id in wanted]

    def add_curves(self, model, classes, info, data_dir, split, alpha):
        """Runs a model over the records of a split and adds its Curves.

        Args:
            model: TwoStreamLocalizer.
            classes: names of its actions.
            info: DatasetInfo.
            data_dir: its folder.
            split: the split.
            alpha: video score below which localization drops a class.
        """
        wanted = [self._only] if self._only else None
        with reader.readable(data_dir):
            for video in tqdm.tqdm(
                reader.whole_videos(info, data_dir, split, wanted),
                total=info.num_videos(split),
                desc="curves",
                unit="video",
                disable=True if self._only else None,
            ):
                self._curves[video["video_id"].numpy().decode()] = rows.curves(
                    inference.outputs_alone(model, video["features"]),
                    model.options.branches,
                    classes,
                    alpha,
                    float(video["seconds_per_snippet"]),
                )
        if self._only and not self._curves:
            names = reader.video_labels(info, data_dir, split)
            self._require(names, f"split {split!r} of {data_dir}")

    def add_detections(self, path, file_format, bad_detections, classes=None):
        """Adds detections as `evaluate` counts them.

        A video may be without detections if another source, added before, has
        it.

        Args:
            path, file_format, classes: as for `formats.read_detections`.
            bad_detections: "error", "skip" or "swap".
        """
        found = formats.read_detections(path, file_format, classes)
        self._found = detection_checks.mend_reversed(
            path, found, bad_detections
        )[0]
        if not (self._truths or self._curves):
            self._require(self._found, path)

    def add_film(self, path, fps, height):
        """Adds the film of the one video; see `film_strip.read`."""
        found, _ = sources.find(path, "film")
        if len(found) > 1:
            raise InputError(
                f"--film={path} holds {len(found)} videos; name one of them"
            )
        self.films[self._only] = film_strip.read(found[0], fps, height)

    def add_films(self, path, fps, height):
        """Adds the films that have the names of videos, added before.

        Args:
            path: as for `sources.find`.
            fps, height: as for `film_strip.read`.

        Returns:
            dict video id -> message, of the films that cannot be read.

        Raises:
            InputError: if no film has the name of a video.
        """
        found, _ = sources.find(path, "films")
        videos = self._videos()
        wanted = [source for source in found if source.name in videos]
        if not wanted:
            raise InputError(
                f"--films={path}: none of its {len(found)} films is named "
                f"after a video, such as {min(videos)}.mp4; rename them"
            )
        failed = {}
        for source in tqdm.tqdm(wanted, "films", unit="film", disable=None):
            try:
                self.films[source.name] = film_strip.read(source, fps, height)
            except InputError as error:
                failed[source.name] = str(error)
        return failed

    def of_one(self):
        """The rows of the one video.

        Raises:
            InputError: if all are empty.
        """
        found = self._rows(self._only)
        if all(isinstance(row, Bars) and not row.segments for row in found):
            raise InputError(
                f"nothing to draw for --video={self._only}; give --run_dir and "
                "--data_dir, --film, or --ground_truth or --detections with "
                "segments of it"
            )
        return found

    def of_all(self):
        """dict video id -> rows.

        The videos are those of the ground truth; without it, of the records;
        without both, of the detections.
        """
        return {video: self._rows(video) for video in self._videos()}

    def _videos(self):
        videos = self._truths or self._curves or self._found
        if not videos:
            raise InputError(
                "nothing to draw; give --ground_truth with videos of --subset, "
                "--run_dir and --data_dir, or --detections"
            )
        return videos

    def _rows(self, video):
        """From top to bottom: film, ground truth, detections, curves."""
        found = [self.films[video]] if video in self.films else []
        if self._truths:
            found.append(self._truths[video])
        if self._found is not None:
            found.append(rows.strongest(self._found.get(video, ())))
        return found + self._curves.get(video, [])

    def _require(self, names, where):
        """Raises InputError if a source lacks the one video."""
        if self._only and self._only not in names:
            raise unknown_video("video", self._only, names, where)
