"""The folder of a search: every score of its trials, and the best values.

`results.json` is rewritten with each score, so a search that is killed at any
moment can resume.
"""

import hashlib
import json
import pathlib
import statistics

import tqdm

from tfwstal import files
from tfwstal.errors import UNEXPECTED_JSON, InputError, quoted, shortened

RESULTS = "results.json"
BEST = "best.flags"


class TuneFolder:
    """The trials of a search, including those of an earlier start.

    A trial is a dict of its `values`, a dict from name to value; `folds`, the
    scores known so far, in the order of the folds; their `mean` and `sd`.

    Args:
        path: the folder.
        flags: dict from the name of each flag of the search to its text.
        inputs: dict from a name to a file that the search depends on, or None.

    Raises:
        InputError: if the folder has another search, or anything else.
    """

    def __init__(self, path, flags, inputs):
        self.path = pathlib.Path(path)
        self._results = self.path / RESULTS
        self._flags = flags
        self._search = flags | {
            name: _sha256(file) for name, file in inputs.items()
        }
        self._trials = {}
        if self._results.is_file():
            self._trials = self._read()
        elif self.path.is_dir() and any(self.path.glob("[!.]*")):
            raise InputError(
                f"--tune_dir={self.path} is not the folder of a search (it "
                f"has no {RESULTS}); choose another folder"
            )
        else:
            self._write()

    @property
    def num_scores(self):
        """Number of scores known, one for each fold of each trial."""
        return sum(len(trial["folds"]) for trial in self._trials.values())

    def trial(self, values):
        """The trial with these values; a new one has no scores."""
        return self._trials.setdefault(_key(values), _trial(values, []))

    def add_score(self, values, score):
        """Adds the score of the next fold to a trial, and saves it."""
        trial = self.trial(values)
        trial |= _trial(values, [*trial["folds"], score])
        self._write()

    def finish(self, values):
        """Writes the best values to the flagfile and to the results."""
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
        """Reads the trials, if they are of the same search."""
        try:
            content = json.loads(self._results.read_text("utf-8"))
            search = content["search"]
            changed = [
                name
                for name, value in self._search.items()
                if search[name] != value
            ]
            trials = {
                _key(trial["values"]): _trial(trial["values"], trial["folds"])
                for trial in content["trials"]
            }
            json.dumps(content, allow_nan=False)  # it is written again
        except UNEXPECTED_JSON:
            raise InputError(
                f"{self._results} is damaged or was not written by tfwstal; "
                "choose another --tune_dir"
            ) from None
        if changed:
            name = changed[0]
            what = (
                f"--{name}={_typed(search[name])}, not {self._search[name]}"
                if name in self._flags
                else f"other {name}"
            )
            raise InputError(
                f"--tune_dir={self.path} has a search with {what}; choose "
                "another folder, or resume with the same flags"
            )
        return trials


def _typed(value):
    """A flag's value in a file, as one would type it, not too long."""
    return shortened(value) if isinstance(value, str) else quoted(value)


def search(number, order, fixed, scorer, folder):
    """Scores the trials of a search and prints the best ones.

    Args:
        number: of the search, from 1.
        order: what `grids.trial_order` returned.
        fixed: values that are not searched.
        scorer: Scorer.
        folder: TuneFolder. Scores that it has are not computed again.

    Returns:
        dict of all values, the fixed ones and the best of those searched.

    Raises:
        InputError: if all trials score 0.
    """
    with tqdm.tqdm(
        total=len(order) * scorer.num_folds,
        desc=f"search {number}",
        unit="fold",
        disable=None,
    ) as bar:
        for values in order:
            trial = folder.trial(fixed | values)
            for fold in range(scorer.num_folds):
                if fold >= len(trial["folds"]):
                    score = scorer.score(trial["values"], fold)
                    folder.add_score(trial["values"], score)
                bar.update()
    tried = [folder.trial(fixed | values) for values in order]
    # Of equal trials the earlier one comes first.
    best = sorted(tried, key=lambda trial: trial["mean"], reverse=True)[:5]
    if not best[0]["mean"]:
        raise InputError(
            f"all {len(order)} trials scored 0: nothing was detected; check "
            "--guide_reduction, --learning_rate, --epochs and --eta"
        )
    print(table(best, order[0]), flush=True)
    return best[0]["values"]


def table(trials, names):
    """The scores of trials and their values of the flags `names`, as text."""
    lines = ["", f"{'mAP %':>7} {'sd':>6}  best of {', '.join(names)}"]
    for trial in trials:
        values = "  ".join(f"{name}={trial['values'][name]}" for name in names)
        mean, sd = 100 * trial["mean"], 100 * trial["sd"]
        lines.append(f"{mean:7.2f} {sd:6.2f}  {values}")
    return "\n".join(lines)


def _trial(values, folds):
    """A trial from its scores; raises ValueError if one is not from 0 to 1."""
    if not all(0 <= score <= 1 for score in folds):
        raise ValueError("a score is not from 0 to 1")
    return {
        "values": values,
        "folds": folds,
        "mean": statistics.fmean(folds) if folds else None,
        "sd": statistics.stdev(folds) if len(folds) > 1 else None,
    }


def _key(values):
    return tuple(sorted(values.items()))


def _sha256(path):
    return hashlib.sha256(path.read_bytes()).hexdigest() if path else ""
