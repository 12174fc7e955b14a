"""The folder of a search: every score of its trials, and the best values.

`results.json` is written aside and renamed with each score, so that a search
that is killed at any moment goes on from there.
"""

import hashlib
import json
import pathlib
import statistics

from tfwstal import files
from tfwstal.config import Config
from tfwstal.errors import InputError
from tfwstal.training import run_folder

RESULTS = "results.json"
BEST = "best.flags"

# Flags that may change when a search goes on. The records and the run are
# compared by their content.
_NOT_COMPARED = ("data_dir", "run_dir", "tune_dir", "max_trials")


class TuneFolder:
    """The trials of a search, those of an earlier start included.

    A trial is a dict of its `values`, a dict from flag to value; `folds`, the
    scores known so far, one a fold in order; their `mean` and `sd`.

    Args:
        config: Config of the search.

    Raises:
        InputError: if --tune_dir holds another search, or anything else.
    """

    def __init__(self, config):
        self.path = pathlib.Path(config.tune_dir)
        self._results = self.path / RESULTS
        self._search = _identity(config)
        self._trials = {}
        if self._results.is_file():
            for trial in self._read()["trials"]:
                self._trials[_key(trial["values"])] = trial
        elif self.path.is_dir() and any(self.path.glob("[!.]*")):
            raise InputError(
                f"--tune_dir={self.path} holds something that is no search "
                f"(there is no {RESULTS}); choose another folder"
            )
        else:
            self._write()

    @property
    def num_scores(self):
        """Scores known, one for each fold of each trial."""
        return sum(len(trial["folds"]) for trial in self._trials.values())

    def trial(self, values):
        """The trial of these values, a new one without scores if need be."""
        empty = {"values": values, "folds": [], "mean": None, "sd": None}
        return self._trials.setdefault(_key(values), empty)

    def add_score(self, values, score):
        """Keeps the next fold's score of a trial."""
        trial = self.trial(values)
        folds = trial["folds"] = [*trial["folds"], score]
        trial["mean"] = statistics.fmean(folds)
        trial["sd"] = statistics.stdev(folds) if len(folds) > 1 else None
        self._write()

    def finish(self, values):
        """Writes the best values down, as the flagfile and in the results."""
        best = self.trial(values)
        mean, sd = 100 * best["mean"], 100 * best["sd"]
        content = (
            f"# Average mAP {mean:.2f} +- {sd:.2f} % (sd over the folds of "
            "the training videos).\n# Goes after a recipe.\n"
        ) + "".join(f"--{name}={value}\n" for name, value in values.items())
        files.write(self.path / BEST, content)
        self._write(best=best)

    def _write(self, best=None):
        files.write_json(
            self._results,
            {
                "search": self._search,
                "best": best,
                "trials": list(self._trials.values()),
            },
            indent=1,
        )

    def _read(self):
        """The results, if they are of the same search."""
        try:
            content = json.loads(self._results.read_text("utf-8"))
            search = content["search"]
            changed = [
                name
                for name, value in self._search.items()
                if search[name] != value
            ]
        except (ValueError, KeyError, TypeError):
            raise InputError(
                f"{self._results} is damaged or of another program; choose "
                "another --tune_dir"
            ) from None
        if changed:
            name = changed[0]
            what = (
                f"--{name}={search[name]}, not {self._search[name]}"
                if hasattr(Config, name)
                else f"other {name}"
            )
            raise InputError(
                f"--tune_dir={self.path} holds a search with {what}; choose "
                "another folder, or go on with the same flags"
            )
        return content


def table(trials, names):
    """The scores of trials and their values of the flags `names`, as text."""
    lines = ["", f"{'mAP %':>7} {'sd':>6}  best of {', '.join(names)}"]
    for trial in trials:
        values = "  ".join(f"{name}={trial['values'][name]}" for name in names)
        mean, sd = 100 * trial["mean"], 100 * trial["sd"]
        lines.append(f"{mean:7.2f} {sd:6.2f}  {values}")
    return "\n".join(lines)


def _key(values):
    return tuple(sorted(values.items()))


def _identity(config):
    """What makes a search: its flags, and sha256 of records and run."""
    found = config.texts("tune")
    for name in _NOT_COMPARED:
        del found[name]
    files = {"records": pathlib.Path(config.data_dir) / "metadata.json"}
    if config.tune == "localization" and config.run_dir:
        files["run"] = pathlib.Path(config.run_dir) / run_folder.MODEL
    hashed = {
        name: hashlib.sha256(path.read_bytes()).hexdigest()
        for name, path in files.items()
    }
    return found | {"run": ""} | hashed
