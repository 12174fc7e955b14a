r"""Statistics of a set of videos, and what is wrong with it.

    python -m tfrecords_tools.inspect --data_dir=records
    python -m tfrecords_tools.inspect --features_dir=my_features \
        --report=inspection.json --picture=inspection.png
    python -m tfrecords_tools.inspect --data_dir=records --record=video_1

It reads records or any folder that convert reads, one video at a time, and
prints counts, lengths, features and findings. Findings do not change the exit
status, which is 0. The JSON report contains the lists that the text shortens.
"""

from tfwstal import command_line

if __name__ == "__main__":  # answers --help before the slow imports
    command_line.start("inspect")

from tqdm import tqdm

from tfrecords_tools.inspection import measure, picture, record, text, videos
from tfwstal import files
from tfwstal.errors import InputError
from tfwstal.plotting import figures


def main(config):
    """Inspects the set that a Config names; see the module."""
    if config.record:
        if config.report or config.picture:
            raise InputError(
                "--record prints one video; leave out --report and --picture"
            )
        print(record.describe(videos.find(config), config.record))
        return
    if config.picture:
        figures.check_picture(config.picture)
    collection = videos.find(config)
    files.check_outputs(
        {"report": config.report, "picture": config.picture},
        collection.files,
        config.overwrite,
    )
    rows, unusable = [], []
    for video in tqdm(
        collection.read(),
        "inspect",
        collection.num_videos,
        unit="video",
        disable=None,
    ):
        if video.problem:
            unusable.append((video.video_id, video.problem))
        else:
            rows.append(measure.measure(video))
    report = measure.summarize(collection, rows, unusable)
    print(text.render(report))
    if config.report:
        files.write_json(config.report, report, indent=1)
        print(f"report: {config.report}")
    if config.picture:
        command_line.warn(figures.save(picture.draw(report), config.picture))
        print(f"picture: {config.picture}")


if __name__ == "__main__":
    command_line.run(main, "inspect")
