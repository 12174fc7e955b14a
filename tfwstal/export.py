"""COMMAND: writes a run as a SavedModel for TensorFlow Serving.

    python -m tfwstal.export --run_dir=runs/a --export_dir=models/tfwstal

writes models/tfwstal/1, or the next free version, with the signatures that
`signatures` lists. Segments are fixed-size arrays: segments [B, N, 2] in
seconds, labels [B, N], class_indices [B, N], scores [B, N], best first, and
num_detections [B], past which the rows are empty. The folder needs nothing of
this package: plain TensorFlow, C++ or the model server load it. Beside the
model lie export_info.json, what was exported and how, and the requests that a
server warms up with.
"""

from tfwstal import command_line

if __name__ == "__main__":  # answers --help before the slow imports
    command_line.start("export")

import hashlib
import json
import os
import pathlib
import shutil

import keras
import numpy as np
import tensorflow as tf

import tfwstal
from tfwstal.data import batches, folder, record
from tfwstal.errors import InputError
from tfwstal.serving import half_precision, request_checks, warmup
from tfwstal.serving import signatures as serving_signatures
from tfwstal.training import run_folder

INFO = "export_info.json"

# Lengths in snippets of the random videos that stand in for a split.
_RANDOM_LENGTHS = (1, 10, 30, 100, 100, 300, 300, 1000)


def main(config):
    """Exports as the Config says; see the module."""
    config.require("run_dir", "export_dir")
    model, classes = run_folder.load(config.run_dir)
    settings = config.localization_settings()
    change = None
    if config.precision == "float16":
        model, change = _halve(model, classes, settings, config)
    base = pathlib.Path(config.export_dir)
    version = next_version(base)
    aside = base / f"incomplete-{version}"
    try:
        shutil.rmtree(aside, ignore_errors=True)
        base.mkdir(parents=True, exist_ok=True)
        export(
            model,
            classes,
            settings,
            record.time_scale(config.fps, config.frames_per_snippet),
            aside,
            config.max_snippets,
        )
        num_requests = warmup.write(
            aside,
            base.name,
            model.feature_dim,
            config.fps,
            config.frames_per_snippet,
        )
        _write_info(aside, version, model, classes, config, change)
        # The server polls the folder and must never see half a version.
        os.replace(aside, base / str(version))
    except (OSError, tf.errors.OpError) as error:
        reason = getattr(error, "strerror", None) or error
        raise InputError(
            f"--export_dir={base} cannot be written: {str(reason)[:200]}"
        ) from None
    finally:
        shutil.rmtree(aside, ignore_errors=True)
    if not num_requests:
        print(
            "no warm-up requests are in it: they need tensorflow-serving-api "
            "(pip install 'tfwstal[serving]')"
        )
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
    module, signatures = serving_signatures.build(
        model,
        serving_signatures.ServingSettings(
            tuple(classes), settings, seconds_per_snippet, max_snippets
        ),
    )
    tf.saved_model.save(module, str(path), signatures)


def _halve(model, classes, settings, config):
    """The model with float16 weights; says and returns what that changes."""
    if config.data_dir and pathlib.Path(config.data_dir).is_dir():
        info = folder.read(config.data_dir)
        run_folder.check_match(model, classes, info, config.data_dir)
        videos = batches.whole_videos(info, config.data_dir, config.split)
        inputs = f"{config.split} of {config.data_dir}"
    else:
        videos = _random_videos(model.feature_dim)
        absent = f"--data_dir={config.data_dir} is not there"
        inputs = f"random features ({absent})"
    halved = half_precision.halved(model)
    with batches.readable(config.data_dir):
        change = half_precision.changes(
            model, halved, videos, classes, settings
        )
    print(
        f"float16 on {change['videos']} videos, {inputs}: of "
        f"{change['detections']} detections {change['same']} keep class and "
        f"segment, their scores change by at most "
        f"{change['largest_score_change']:.2g}; "
        f"{change['detections_float16'] - change['same']} are new"
    )
    return halved, {"inputs": inputs, **change}


def _random_videos(feature_dim):
    rng = np.random.default_rng(0)
    return [
        {
            "video_id": tf.constant(f"random_{row}"),
            "features": tf.constant(
                rng.normal(size=(length, feature_dim)), tf.float32
            ),
            "num_snippets": tf.constant(length),
            "seconds_per_snippet": tf.constant(1.0),
        }
        for row, length in enumerate(_RANDOM_LENGTHS)
    ]


def _write_info(path, version, model, classes, config, change):
    """Writes export_info.json, for people and for deployment scripts."""
    run_weights = pathlib.Path(config.run_dir) / run_folder.MODEL
    info = {
        "version": version,
        "versions": {
            "tfwstal": tfwstal.__version__,
            "tensorflow": tf.__version__,
            "keras": keras.__version__,
        },
        "flags": config.texts("export"),
        "feature_dim": model.feature_dim,
        "fps": config.fps,
        "frames_per_snippet": config.frames_per_snippet,
        "max_snippets": config.max_snippets,
        "precision": "float16" if config.precision == "float16" else "float32",
        "float16_change": change,
        "classes": list(classes),
        # Of the run's model, and of all that is served.
        "run_sha256": {run_folder.MODEL: _sha256(run_weights)},
        "sha256": {
            str(file.relative_to(path)): _sha256(file)
            for file in sorted(path.rglob("*"))
            if file.is_file()
        },
    }
    (path / INFO).write_text(
        json.dumps(info, indent=2, ensure_ascii=False) + "\n", encoding="utf-8"
    )


def _sha256(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


if __name__ == "__main__":
    command_line.run(main, "export")
