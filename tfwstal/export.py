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
from keras.export import ExportArchive

from tfwstal import (
    command_line,
    keras_versions,
    localization,
    run_folder,
    schema,
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


def export(model, classes, settings, seconds_per_snippet, path):
    """Writes the SavedModel.

    Args:
        model: a TwoStreamLocalizer.
        classes: its action names.
        settings: LocalizationSettings, fixed in the graph.
        seconds_per_snippet: length of a snippet for features that come
            without a record, which states its own.
        path: folder to write.
    """
    detector = localization.make_detector(model, settings)
    names = tf.constant(["", *classes])

    def with_labels(found):
        # Past num_detections the class index is 0, whose name is empty.
        return {**found, "labels": tf.gather(names, found["class_indices"])}

    def serve_examples(examples):
        batch = parse_batch(examples, model.feature_dim)
        return with_labels(
            detector(
                batch["features"],
                batch["num_snippets"],
                batch["seconds_per_snippet"],
            )
        )

    def serve_features(features, num_snippets):
        seconds = tf.fill(tf.shape(num_snippets), float(seconds_per_snippet))
        return with_labels(detector(features, num_snippets, seconds))

    def serve_activations(features, num_snippets):
        outputs = model(
            {"features": features, "num_snippets": num_snippets},
            training=False,
        )
        return {
            name: outputs[name]
            for name in ("attention", "activation", "video_scores")
        }

    arrays = [
        tf.TensorSpec([None, None, model.feature_dim], tf.float32, "features"),
        tf.TensorSpec([None], tf.int32, "num_snippets"),
    ]
    archive = ExportArchive()
    archive.track(model)
    archive.add_endpoint(
        "serving_default",
        serve_examples,
        [tf.TensorSpec([None], tf.string, "examples")],
    )
    archive.add_endpoint("features", serve_features, arrays)
    archive.add_endpoint("activations", serve_activations, arrays)
    keras_versions.write_archive(archive, path)


def parse_batch(examples, feature_dim):
    """Parses records of any lengths into one padded batch.

    Args:
        examples: [B] serialized records.
        feature_dim: D.

    Returns:
        dict of `features` [B, T, D], `num_snippets` [B] and
        `seconds_per_snippet` [B].
    """

    def parse(serialized):
        video = schema.parse_video(serialized, feature_dim)
        return (
            tf.RaggedTensor.from_tensor(video["features"][tf.newaxis])[0],
            video["num_snippets"],
            video["seconds_per_snippet"],
        )

    features, num_snippets, seconds = tf.map_fn(
        parse,
        examples,
        fn_output_signature=(
            tf.RaggedTensorSpec([None, feature_dim], tf.float32, 0),
            tf.TensorSpec([], tf.int32),
            tf.TensorSpec([], tf.float32),
        ),
    )
    return {
        "features": features.to_tensor(),
        "num_snippets": num_snippets,
        "seconds_per_snippet": seconds,
    }


if __name__ == "__main__":
    command_line.run(main, "export")
