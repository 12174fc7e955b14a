r"""Films -> I3D features, a folder that convert reads.

    python -m tfrecords_tools.extract --videos=my_videos \
        --rgb_checkpoint=rgb_imagenet/model.ckpt \
        --flow_checkpoint=flow_imagenet/model.ckpt --output_dir=my_features

    OUTPUT_DIR/
      rgb/VIDEO.npy  flow/VIDEO.npy   [snippets, 1024]
      extraction.json                 how they were made, and each video's facts
      labels.csv                      to be filled in with each video's labels

A film that cannot be read is named at the end, with exit status 1, and the
others are finished. The same command again does what is missing.
`--selftest=CHECKOUT` checks the network with DeepMind's own clip instead.
"""

from tfwstal import command_line

if __name__ == "__main__":  # answers --help before the slow imports
    command_line.start("extract")

import time

from tfwstal.errors import InputError
from tfwstal.extraction import run, selftest, sources, units
from tfwstal.extraction.feature_folder import FeatureFolder


def main(config):
    """Extracts what the flags describe and prints a summary."""
    if config.selftest == "true":
        raise InputError("--selftest=CHECKOUT needs a folder; see --help")
    if config.selftest:
        print("\n".join(selftest.run(config.selftest)))
        return
    config.require("output_dir")
    if config.videos == "all":
        raise InputError("--videos is needed; see --help")
    started = time.monotonic()
    found, others = sources.find(config.videos)
    settings = config.extraction_settings()
    models, used = run.load_models(config.checkpoints())
    facts = run.describe(settings, used)
    if config.engine == "beam":
        folder, failed, outcome = units.extract(
            found,
            config.output_dir,
            settings,
            config.checkpoints(),
            facts,
            config.num_workers,
            config.engine_arguments,
        )
        before = len(folder.videos) - len(outcome.finished)
        work = outcome.summary({"videos_left_out": len(failed)})
        outcome.store.remove()
    else:
        folder = FeatureFolder(config.output_dir, facts)
        todo = [source for source in found if not folder.has(source)]
        failed, network_seconds = run.extract(
            todo, settings, models, folder, config.num_workers
        )
        before = len(found) - len(todo)
        work = f"of which the network {network_seconds:.1f} s"
    folder.write_labels()
    print(_summary(folder, before, others, failed))
    print(f"{time.monotonic() - started:.1f} s, {work}")
    if failed:
        raise InputError(
            f"{run.failures(failed, 'features')}; mend or remove them and "
            "give the command again"
        )


def _summary(folder, before, others, failed):
    """What the command prints at its end."""
    videos = folder.videos.values()
    snippets = sum(each["snippets"] for each in videos)
    left_out = sum(each["left_out_frames"] for each in videos)
    lines = [
        f"{len(videos)} videos with {snippets} snippets of "
        f"{' and '.join(folder.streams)}: {folder.path}",
        f"frames left out behind the last whole snippet: {left_out}",
    ]
    if before:
        lines.append(f"done before: {before} videos")
    if others:
        lines.append(f"files passed over, not films by their names: {others}")
    lines += [
        f"  {name}: {'; '.join(each['notes'])}"
        for name, each in folder.videos.items()
        if "notes" in each
    ]
    if videos and not failed:
        lines.append(
            f"Next: fill in the labels in {folder.path / 'labels.csv'}, then "
            f"python -m tfrecords_tools.convert --features_dir={folder.path}"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    command_line.run(main, "extract")
