"""Hands units of work to a runner of Apache Beam.

The pipeline is the list of the units' ids and one function. No unit's files
pass through Beam: a runner that deals the list out by a shuffle moves some
dozens of bytes a unit.
"""

import logging

from tfwstal.engine.units import Store
from tfwstal.errors import InputError

try:
    # Beam reports the extras that are not installed, which nobody asked for.
    logging.disable(logging.WARNING)
    import apache_beam
    from apache_beam.metrics import Metrics
    from apache_beam.options.pipeline_options import (
        PipelineOptions,
        StandardOptions,
    )
except ImportError:
    raise InputError(
        "--engine=beam needs Apache Beam; install it with "
        "pip install 'tfwstal[beam]'"
    ) from None
finally:
    logging.disable(logging.NOTSET)


class _Perform(apache_beam.DoFn):
    """Does the unit of an id; its counts become metrics of the pipeline."""

    def __init__(self, path, job):
        self._path, self._job = path, job

    def process(self, unit_id):
        counts = Store(self._path).perform(unit_id, self._job)
        for name, count in counts.items():
            Metrics.counter("tfwstal", name).inc(count)


def run(units, job, folder, arguments):
    """Does units of work on the workers of a runner, and waits for them.

    Args:
        units: list of Unit, with different names.
        job: Job.
        folder: absolute path of the folder that keeps finished units. All
            workers see it; `Outcome.folder` of a unit lies in it.
        arguments: of Beam, such as "--runner=DaskRunner".

    Returns:
        Outcome.

    Raises:
        InputError: if the runner fails, or a unit on every try; names the
            units. What is finished stays in `folder`.
    """
    store = Store(folder)
    todo = store.begin(units)
    try:
        if todo:
            _run_pipeline([unit.id for unit in todo], folder, job, arguments)
    except Exception as error:  # each runner has its own
        begun = ", ".join(store.under_way()[:3]) or "none"
        raise InputError(
            f"the runner failed ({type(error).__name__}: {str(error)[:200]}); "
            f"units that were under way: {begun}. {store.advice(units)}"
        ) from error
    return store.outcome(units, len(units) - len(todo))


def _run_pipeline(ids, folder, job, arguments):
    options = PipelineOptions(list(arguments))
    standard = options.view_as(StandardOptions)
    if standard.runner == "DaskRunner":
        # Beam 2.77 knows this one of its runners by its whole name alone.
        standard.runner = "apache_beam.runners.dask.dask_runner.DaskRunner"
    pipeline = apache_beam.Pipeline(options=options)
    _ = (
        pipeline
        | "units" >> apache_beam.Create(ids)
        | "perform" >> apache_beam.ParDo(_Perform(str(folder), job))
    )
    result = pipeline.run()
    try:
        result.wait_until_finish()
    finally:
        if hasattr(result, "client"):  # Dask's, which Beam leaves open
            result.client.close()
    return result
