"""Whether features are those that a run was trained on."""

import dataclasses

from tfwstal.errors import InputError
from tfwstal.extraction.feature_folder import difference
from tfwstal.extraction.options import ExtractionOptions


def settings_of_run(settings, trained_on):
    """The Settings that make a run's features.

    Args:
        settings: options.Settings, of the flags.
        trained_on: facts of the run's features, as extraction.json has them,
            or None where the run does not know.

    Returns:
        Settings: those of `trained_on` where they are known.

    Raises:
        InputError: if a flag was given that contradicts them.
    """
    if trained_on is None:
        return settings
    known = {}
    for field in dataclasses.fields(ExtractionOptions):
        name = field.name
        given, of_run = getattr(settings, name), trained_on[name]
        # Without a checkpoint for it the flow is "none", whatever was given:
        # `check` names the stream that is missing.
        if given not in (field.default, of_run, "none"):
            raise InputError(
                f"--{name}={given}: the run was trained on features made with "
                f"--{name}={of_run}; drop the flag"
            )
        known[name] = given if given == "none" else of_run
    return dataclasses.replace(settings, **known)


def check(facts, trained_on, time_scale, feature_dim, what):
    """Refuses features that a run was not trained on.

    Args:
        facts: how the features were made, as extraction.json has it.
        trained_on: likewise, of the run's own features, or None.
        time_scale: (fps, frames per snippet) of the run.
        feature_dim: D of the model.
        what: the features, for the message.

    Raises:
        InputError: says in what they differ.
    """
    streams = list(facts["weights"])
    if trained_on and streams != list(trained_on["weights"]):
        wanted = list(trained_on["weights"])
        raise InputError(
            f"{what}: {_and(streams)} features, the run was trained on "
            f"{_and(wanted)}; give {_and(f'--{s}_checkpoint' for s in wanted)}"
        )
    if 1024 * len(streams) != feature_dim:
        raise InputError(
            f"{what}: {_and(streams)} features are {1024 * len(streams)} "
            f"wide, the model was trained on {feature_dim}"
        )
    for name, of_run in zip(
        ("fps", "frames_per_snippet"), time_scale, strict=True
    ):
        if facts[name] != of_run:
            raise InputError(
                f"{what}: {name} is {facts[name]:g}, the run was trained with "
                f"{of_run:g}; extract with --{name}={of_run:g}"
            )
    different = trained_on and difference(facts, trained_on)
    if different:
        name, ours, theirs = different
        raise InputError(
            f"{what}: {name} is {ours}, the run was trained on features with "
            f"{theirs}; extract as those were"
        )


def _and(names):
    return " and ".join(names)
