"""Average recall of class-agnostic proposals, AR@AN, and the area under it.

As in Evaluation/eval_proposal.py of
https://github.com/activitynet/ActivityNet (commit 82304fa9f4a7), which the
ActivityNet challenges used for their proposal task:

- A recall is the part of all instances that one of the kept proposals reaches
  (tIoU >= threshold). A proposal may serve several instances. The mean over
  the thresholds is the average recall.
- The budget is a mean over the videos: each video keeps the same part of its
  own proposals, so a video with many proposals keeps more than AN.
- Only videos with an instance are evaluated. Proposals in other videos are not
  matched, yet the kit counts them in the total, which lowers each video's part.
- A video first keeps floor(n * A * V / N) of its n proposals, best score
  first; V videos, N proposals in all, A the largest budget. Budget j of
  100 then keeps floor(n' * (j / 100) * A * V / N'), where n' and N' count what
  was kept. Neither floor is corrected, so the mean number of proposals is
  below the nominal AN.
- Proposals of equal score come in the order of `ranking`.
- The area begins at A / 100 and not at 0, and is divided by A: recall 1
  everywhere gives 0.99.

Shapes: H thresholds, M instances, N proposals, 100 budgets.
"""

import dataclasses

import numpy as np

from .columns import checked_columns, indices
from .matching import pairs, tiou_of_pairs
from .ranking import ranked

# As the kit computes them: some differ from 0.05 * i in the last bit.
THRESHOLDS = tuple(np.linspace(0.5, 0.95, 10).tolist())
NUM_BUDGETS = 100


@dataclasses.dataclass(frozen=True)
class AverageRecall:
    """Result of `average_recall`.

    Attributes:
        thresholds: H tIoU thresholds.
        recall: [H, 100] recall at each budget, from 0 to 1.
        proposals_per_video: [100] nominal mean number of proposals of each
            budget, ascending.
    """

    thresholds: tuple[float, ...]
    recall: np.ndarray
    proposals_per_video: np.ndarray

    @property
    def average(self):
        """[100] recall, mean over the thresholds."""
        return self.recall.mean(axis=0)

    @property
    def auc(self):
        """Area under `average` by trapezoids, over the largest budget."""
        average, budgets = self.average, self.proposals_per_video
        steps = np.diff(budgets) * (average[1:] + average[:-1]) / 2.0
        return float(steps.sum()) / float(budgets[-1])

    def at(self, budget):
        """AR@AN, the average recall at one of the budgets.

        Raises:
            ValueError: if `budget` is not one of them.
        """
        close = np.isclose(self.proposals_per_video, budget)
        if not close.any():
            raise ValueError(
                f"budget={budget}: must be one of the {NUM_BUDGETS} budgets "
                f"up to {self.proposals_per_video[-1]:g}"
            )
        return float(self.average[close.argmax()])


def average_recall(ground_truth, proposals, thresholds=THRESHOLDS, largest=100):
    """Average recall at 100 budgets, as ActivityNet's kit computes it.

    Args:
        ground_truth: Instances, at least one. Labels are ignored.
        proposals: Detections. Labels are ignored.
        thresholds: H tIoU thresholds.
        largest: the largest budget, a mean number of proposals per video; the
            budgets are 1/100, 2/100, ... of it. None: as many as there are.

    Returns:
        AverageRecall.

    Raises:
        ValueError: if columns differ in length, a number is not finite, a
            segment is reversed, the ground truth is empty, or no video of the
            ground truth keeps a proposal.
    """
    truth_segments = checked_columns(ground_truth)
    segments = checked_columns(proposals)
    if not len(truth_segments):
        raise ValueError("the ground truth holds no instance")
    videos = {v: i for i, v in enumerate(dict.fromkeys(ground_truth.videos))}
    truth_video = indices(ground_truth.videos, videos)  # [M]
    video = indices(proposals.videos, videos)  # [N]
    rows = ranked(proposals.scores, video, video, "activitynet")
    video, segments = video[rows], segments[rows]
    rank = np.arange(len(video)) - np.searchsorted(video, video)
    num_proposals = np.bincount(video, minlength=len(videos))
    if largest is None:
        largest = len(proposals.scores) / len(videos)
    total = max(len(proposals.scores), 1)
    kept = _part(num_proposals, largest * len(videos) / total)
    num_kept = int(kept.sum())
    if not num_kept:
        raise ValueError("no video of the ground truth keeps a proposal")
    # A step: the kit's order of operations, which its floors depend on.
    parts = (
        np.arange(1, NUM_BUDGETS + 1)
        / 100.0
        * (largest * float(len(videos)) / num_kept)
    )
    in_budget = _part(kept[:, None], parts)  # [V, 100]
    first = _first_hits(
        (truth_video, truth_segments), (video, segments), rank, thresholds
    )
    matched = first[:, :, None] < in_budget[truth_video]  # [H, M, 100]
    return AverageRecall(
        thresholds=tuple(float(t) for t in thresholds),
        recall=matched.sum(axis=1) / len(truth_segments),
        proposals_per_video=parts * (float(num_kept) / len(videos)),
    )


def _part(counts, part):
    """floor(counts * part), at most counts."""
    return np.minimum((counts * part).astype(np.int64), counts)


def _first_hits(instances, proposals, rank, thresholds):
    """[H, M] lowest rank of a proposal that reaches each instance.

    Args:
        instances, proposals: pairs of videos and segments.
        rank: [N] of each proposal within its video, from 0 on.

    Returns:
        int64; the largest one where none does.
    """
    nothing = np.iinfo(np.int64).max
    first = np.full((len(thresholds), len(instances[0])), nothing)
    for rows, others in pairs(instances[0], proposals[0]):
        tiou = tiou_of_pairs(instances[1][rows], proposals[1][others])
        for h, threshold in enumerate(thresholds):
            hits = tiou >= threshold
            np.minimum.at(first[h], rows[hits], rank[others[hits]])
    return first
