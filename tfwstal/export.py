"""Writes a run as a SavedModel for TensorFlow Serving.

    python -m tfwstal.export --run_dir=runs/a --export_dir=models/tfwstal

writes models/tfwstal/1, or the next version. The folder needs nothing of this
package: plain TensorFlow, C++ and the model server load it. docs/serving.md
describes its signatures and files.
"""

from tfwstal import command_line

if __name__ == "__main__":  # answers --help before the slow imports
    command_line.start("export")

import pathlib

from tfwstal.serving import saved_model
from tfwstal.training import run_folder


def main(config):
    """Exports as the Config says; see the module."""
    config.require("run_dir", "export_dir")
    base = pathlib.Path(config.export_dir)
    model, classes = run_folder.load(config.run_dir)
    weights = pathlib.Path(config.run_dir) / run_folder.MODEL
    version, num_requests = saved_model.write_version(
        base,
        model,
        classes,
        config.localization_settings(),
        config.fps,
        config.frames_per_snippet,
        config.max_snippets,
        info={
            "flags": config.texts("export"),
            "run_sha256": {run_folder.MODEL: saved_model.sha256(weights)},
        },
    )
    if not num_requests:
        print(
            "no warm-up requests were written: they need "
            "tensorflow-serving-api (pip install '.[serving]')"
        )
    print(f"version {version}: {base / str(version)}")


if __name__ == "__main__":
    command_line.run(main, "export")
