"""COMMAND: writes a run as a SavedModel for TensorFlow Serving.

    python -m tfwstal.export --run_dir=runs/a --export_dir=models/tfwstal

writes models/tfwstal/1, or the next free version, with three signatures:

    serving_default  examples: serialized records [B] -> segments
    features         features [B, T, D], num_snippets [B] -> segments
    activations      the same -> attention, activation, video_scores

Segments are fixed-size arrays: segments [B, N, 2] in seconds, labels [B, N],
class_indices [B, N], scores [B, N], best first, and num_detections [B], past
which the rows are empty. The folder needs nothing of this package: plain
TensorFlow, C++ or the model server load it.
"""

import os
import pathlib
import shutil

import tensorflow as tf

from tfwstal import (
    command_line,
    localization,
    request_checks,
    run_folder,
    schema,
    serving_graph,
)
from tfwstal.errors import InputError


def main(config):
    """Exports as the Config says; see the module."""
    config.require("run_dir", "export_dir")
    model, classes = run_folder.load(config.run_dir)
    base = pathlib.Path(config.export_dir)
    version = next_version(base)
    aside = base / f"incomplete-{version}"
    try:
        shutil.rmtree(aside, ignore_errors=True)
        base.mkdir(parents=True, exist_ok=True)
        export(
            model,
            classes,
            localization.localization_settings(config),
            schema.seconds_per_snippet(config.fps, config.frames_per_snippet),
            aside,
        )
        # The server polls the folder and must never see half a version.
        os.replace(aside, base / str(version))
    except (OSError, tf.errors.OpError) as error:
        reason = getattr(error, "strerror", None) or error
        raise InputError(
            f"--export_dir={base} cannot be written: {str(reason)[:200]}"
        ) from None
    finally:
        shutil.rmtree(aside, ignore_errors=True)
    print(f"version {version}: {base / str(version)}")


def next_version(base):
    """One more than the highest version in a folder of versions."""
    versions = [
        int(path.name) for path in base.glob("*") if path.name.isdecimal()
    ]
    return max(versions, default=0) + 1


def export(
    model,
    classes,
    settings,
    seconds_per_snippet,
    path,
    max_snippets=request_checks.MAX_SNIPPETS,
):
    """Writes the SavedModel.

    Args:
        model: a TwoStreamLocalizer.
        classes: its action names.
        settings: LocalizationSettings, fixed in the graph.
        seconds_per_snippet: length of a snippet for features that come
            without a record, which states its own.
        path: folder to write.
        max_snippets: longest video that is answered.
    """
    module, signatures = serving_graph.build(
        model,
        serving_graph.ServingSettings(
            tuple(classes), settings, seconds_per_snippet, max_snippets
        ),
    )
    tf.saved_model.save(module, str(path), signatures)


if __name__ == "__main__":
    command_line.run(main, "export")
