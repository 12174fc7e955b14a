"""Slow float64 oracles for the paper's equations, to test the library against.

Every function treats one video of T snippets without padding, and spells its
equation out with plain loops over snippets, classes and channels. Nothing here
imports TensorFlow or the library.

Shapes: T snippets, D channels, C actions. Index 0 of a class axis is the
background; an axis of 3 is foreground, context, background. Section and
equation numbers are those of "Two-Stream Networks for Weakly-Supervised
Temporal Action Localization with Semantic-Aware Mechanisms" (CVPR 2023).
"""

import math

import numpy as np

FOREGROUND, CONTEXT, BACKGROUND = 0, 1, 2
_SHORTEST_SIDE = 1e-9  # a shorter outer area counts as absent, in snippets


# --- Small pieces ------------------------------------------------------------


def _float64(values):
    return np.asarray(values, dtype=np.float64)


def _sigmoid(value):
    if value >= 0:
        return 1.0 / (1.0 + math.exp(-value))
    return math.exp(value) / (1.0 + math.exp(value))


def _dense(vector, kernel, bias):
    """One fully-connected layer: vector [I], kernel [I, O], bias [O] -> [O]."""
    vector, kernel, bias = _float64(vector), _float64(kernel), _float64(bias)
    outputs = np.zeros(len(bias))
    for o in range(len(bias)):
        total = bias[o]
        for i in range(len(vector)):
            total += vector[i] * kernel[i, o]
        outputs[o] = total
    return outputs


def softmax(values):
    """exp(v_c) / sum_c' exp(v_c'), shifted by the maximum: [N] -> [N]."""
    values = _float64(values)
    largest = max(values)
    exponentials = [math.exp(value - largest) for value in values]
    total = sum(exponentials)
    return _float64([exponential / total for exponential in exponentials])


# --- Embedding and attention branch (Sections 3.1 and 3.2) -------------------


def residual_block(features, kernel, bias, residual=True):
    """Embedding x of Section 3.1: the features plus a ReLU convolution.

        x_t = f_t + ReLU(bias + sum_tap f_{t + tap - before} @ kernel[tap])

    with before = (K - 1) // 2. Snippets outside the video count as zero, as in
    a convolution with "same" padding.

    Args:
        features: [T, D].
        kernel: [K, D, D], axes tap, input channel, output channel.
        bias: [D].
        residual: whether f_t is added.

    Returns:
        [T, D].
    """
    features, kernel = _float64(features), _float64(kernel)
    num_snippets, width = features.shape
    num_taps = len(kernel)
    before = (num_taps - 1) // 2
    x = np.zeros((num_snippets, width))
    for t in range(num_snippets):
        convolved = _float64(bias).copy()
        for tap in range(num_taps):
            source = t + tap - before
            if 0 <= source < num_snippets:
                convolved += _dense(
                    features[source], kernel[tap], np.zeros(width)
                )
        for d in range(width):
            x[t, d] = max(convolved[d], 0.0)
            if residual:
                x[t, d] += features[t, d]
    return x


def attention(x, kernel, bias, kind="softmax"):
    """Attentions a^fg, a^ct, a^bg of Section 3.2, one triple a snippet.

    Args:
        x: [T, D].
        kernel: [D, 3].
        bias: [3].
        kind: "softmax" over the three, or "sigmoid" of each alone.

    Returns:
        [T, 3], each in [0, 1].
    """
    a = np.zeros((len(x), 3))
    for t in range(len(x)):
        logits = _dense(x[t], kernel, bias)
        if kind == "softmax":
            a[t] = softmax(logits)
        elif kind == "sigmoid":
            a[t] = [_sigmoid(logit) for logit in logits]
        else:
            raise ValueError(f"kind is {kind!r}, not 'softmax' or 'sigmoid'")
    return a


_attention_of = attention  # forward() has an argument named attention


def pooled_features(x, a):
    """Attention-weighted means over time, Eq. 1.

        x_fg = sum_t a_t^fg x_t / sum_t a_t^fg, likewise x_ct and x_bg

    Args:
        x: [T, D].
        a: [T, 3].

    Returns:
        [3, D].
    """
    x, a = _float64(x), _float64(a)
    num_snippets, width = x.shape
    pooled = np.zeros((3, width))
    for row in range(3):
        total_attention = 0.0
        for t in range(num_snippets):
            total_attention += a[t, row]
        for d in range(width):
            weighted_sum = 0.0
            for t in range(num_snippets):
                weighted_sum += a[t, row] * x[t, d]
            pooled[row, d] = weighted_sum / total_attention
    return pooled


def attention_logits(pooled, kernel, bias):
    """Class logits of Section 3.2: one layer for all three features.

    Args:
        pooled: [3, D].
        kernel: [D, C + 1].
        bias: [C + 1].

    Returns:
        [3, C + 1].
    """
    return _float64([_dense(row, kernel, bias) for row in pooled])


def scores(logits):
    """Softmax of each row, [3, C + 1]: y^att and y^mil."""
    return _float64([softmax(row) for row in logits])


# --- MIL branch (Section 3.3) and fusion (Section 3.4) -----------------------


def class_logits(x, kernel, bias):
    """Class activation sequence p of Section 3.3, without dropout.

    Args:
        x: [T, D].
        kernel: [D, C + 1].
        bias: [C + 1].

    Returns:
        [T, C + 1].
    """
    return _float64([_dense(snippet, kernel, bias) for snippet in x])


def weighted_logits(a, p):
    """Attention times class activation, Eq. 2.

    Args:
        a: [T, 3].
        p: [T, C + 1].

    Returns:
        [T, 3, C + 1].
    """
    a, p = _float64(a), _float64(p)
    num_snippets, num_entries = p.shape
    weighted = np.zeros((num_snippets, 3, num_entries))
    for t in range(num_snippets):
        for row in range(3):
            for c in range(num_entries):
                weighted[t, row, c] = a[t, row] * p[t, c]
    return weighted


def top_k_mean(values, k):
    """Mean of the k largest of T values, the omega of Eq. 3."""
    largest_first = sorted((float(value) for value in values), reverse=True)
    return sum(largest_first[:k]) / k


def mil_logits(weighted, sigma=(8, 2, 2)):
    """Omega of Eq. 3: top-k mean of each class.

    Args:
        weighted: [T, 3, C + 1], the raw products of Eq. 2.
        sigma: three divisors (foreground, context, background); each row takes
            k = max(floor(T / sigma), 1).

    Returns:
        [3, C + 1].
    """
    weighted = _float64(weighted)
    num_snippets, _, num_entries = weighted.shape
    omega = np.zeros((3, num_entries))
    for row in range(3):
        k = max(num_snippets // sigma[row], 1)
        for c in range(num_entries):
            omega[row, c] = top_k_mean(weighted[:, row, c], k)
    return omega


def activation(weighted):
    """Softmax over the classes of Eq. 2: the z that Eq. 7 and Eq. 9 use.

    Args:
        weighted: [T, 3, C + 1].

    Returns:
        [T, 3, C + 1], the last axis sums to 1.
    """
    weighted = _float64(weighted)
    z = np.zeros(weighted.shape)
    for t in range(len(weighted)):
        for row in range(3):
            z[t, row] = softmax(weighted[t, row])
    return z


def fused(att, mil):
    """Late fusion, Eq. 4: (y^att + y^mil) / 2.

    Args:
        att: [3, C + 1].
        mil: [3, C + 1].

    Returns:
        [3, C + 1].
    """
    return (_float64(att) + _float64(mil)) / 2.0


def forward(
    features,
    weights,
    *,
    attention="softmax",
    sigma=(8, 2, 2),
    branches="both",
    residual=True,
    z="weighted",
):
    """The whole network on one video, Sections 3.1 to 3.4, at inference.

    Args:
        features: [T, D].
        weights: dict with conv_kernel [K, D, D], conv_bias [D],
            attention_kernel [D, 3], attention_bias [3],
            pooled_kernel and class_kernel [D, C + 1],
            pooled_bias and class_bias [C + 1].
        attention: "softmax" or "sigmoid".
        sigma: three divisors of Eq. 3.
        branches: what video_scores is: "both" (Eq. 4), or the scores of the
            "attention" or the "mil" branch alone.
        residual: of `residual_block`.
        z: activation is the softmax of a x p ("weighted") or, for each of the
            axis of 3, of p alone ("plain").

    Returns:
        dict with embedding [T, D], attention [T, 3], class_logits [T, C + 1],
        weighted_logits and activation [T, 3, C + 1], and [3, C + 1] each:
        attention_logits, mil_logits, attention_scores, mil_scores and
        video_scores.
    """
    x = residual_block(
        features, weights["conv_kernel"], weights["conv_bias"], residual
    )
    a = _attention_of(
        x, weights["attention_kernel"], weights["attention_bias"], attention
    )
    p = class_logits(x, weights["class_kernel"], weights["class_bias"])
    weighted = weighted_logits(a, p)
    att_logits = attention_logits(
        pooled_features(x, a), weights["pooled_kernel"], weights["pooled_bias"]
    )
    omega = mil_logits(weighted, sigma)
    att, mil = scores(att_logits), scores(omega)
    video_scores = {"both": fused(att, mil), "attention": att, "mil": mil}
    return {
        "embedding": x,
        "attention": a,
        "class_logits": p,
        "weighted_logits": weighted,
        "activation": activation(
            weighted if z == "weighted" else np.stack([p] * 3, axis=1)
        ),
        "attention_logits": att_logits,
        "mil_logits": omega,
        "attention_scores": att,
        "mil_scores": mil,
        "video_scores": video_scores[branches],
    }


# --- Losses (Sections 3.4 to 3.6) --------------------------------------------


def targets(actions, num_classes, kind="multi_hot"):
    """Labels y_fg, y_ct, y_bg of Eq. 5.

    The foreground marks the actions, the background marks entry 0, and the
    context marks both.

    Args:
        actions: set or list of action indices in 1..C.
        num_classes: C, the number of actions.
        kind: "multi_hot" as printed, or "normalized", each row divided by its
            sum. A row of zeros (the foreground of a video that carries no
            action) stays zero.

    Returns:
        [3, C + 1].
    """
    rows = np.zeros((3, num_classes + 1))
    for action in actions:
        rows[FOREGROUND, action] = 1.0
        rows[CONTEXT, action] = 1.0
    rows[CONTEXT, 0] = 1.0
    rows[BACKGROUND, 0] = 1.0
    if kind == "normalized":
        for row in rows:
            total = sum(row)
            if total > 0:
                row /= total
    elif kind != "multi_hot":
        raise ValueError(f"kind is {kind!r}, not 'multi_hot' or 'normalized'")
    return rows


def classification_loss(y_hat, target):
    """Cross-entropy of one row, Eq. 5: -sum_c y(c) log y_hat(c).

    Args:
        y_hat: [C + 1], probabilities.
        target: [C + 1]; a class whose target is 0 contributes 0.

    Returns:
        float.
    """
    loss = 0.0
    for probability, label in zip(y_hat, target, strict=True):
        if label != 0:
            loss -= float(label) * math.log(float(probability))
    return loss


def semantic_loss(x, p, centroids):
    """Mean distance of each snippet to its class's centroid, Eq. 6.

        L_smt = 1/T sum_t || x_t - Q[argmax_c p(t)] ||_2

    The norm is Euclidean, not squared. Of equal logits the first class wins.

    Args:
        x: [T, D].
        p: [T, C + 1].
        centroids: Q, [C + 1, D].

    Returns:
        float.
    """
    x, p, centroids = _float64(x), _float64(p), _float64(centroids)
    total = 0.0
    for t in range(len(x)):
        best = 0
        for c in range(1, len(p[t])):
            if p[t, c] > p[t, best]:
                best = c
        squared = 0.0
        for d in range(len(x[t])):
            squared += (x[t, d] - centroids[best, d]) ** 2
        total += math.sqrt(squared)
    return total / len(x)


def guide_loss(a_fg, z_fg_background, reduction="mean"):
    """Agreement of the two branches, Eq. 7: |1 - a_t^fg - z_fg[t, 0]|.

    Args:
        a_fg: [T], foreground attention.
        z_fg_background: [T], entry 0 of the foreground activation.
        reduction: "mean" over the snippets as printed, or their "sum".

    Returns:
        float.
    """
    total = 0.0
    for a, z in zip(a_fg, z_fg_background, strict=True):
        total += abs(1.0 - float(a) - float(z))
    if reduction == "sum":
        return total
    if reduction == "mean":
        return total / len(a_fg)
    raise ValueError(f"reduction is {reduction!r}, not 'mean' or 'sum'")


def total_loss(terms, weights):
    """Weighted sum of the five terms, Eq. 8.

    Args:
        terms: dict of floats under cls_fg, cls_ct, cls_bg, smt, gui.
        weights: dict of floats under the same keys. The paper's are 1,
            lambda_1, lambda_2, lambda_3, lambda_4 in that order.

    Returns:
        float.
    """
    total = 0.0
    for key in ("cls_fg", "cls_ct", "cls_bg", "smt", "gui"):
        total += float(weights[key]) * float(terms[key])
    return total


def loss_terms(
    video,
    actions,
    centroids,
    *,
    labels="multi_hot",
    reduction="mean",
    guiding_attention=None,
):
    """The five terms of Eq. 8 on one video, unweighted.

    Args:
        video: what `forward` returned.
        actions: set or list of action indices in 1..C.
        centroids: Q, [C + 1, D].
        labels: kind of `targets`.
        reduction: of `guide_loss`.
        guiding_attention: [T], stands for a^fg in Eq. 7 in place of the
            video's own, which tells what an attention held fixed would give.

    Returns:
        dict of floats under cls_fg, cls_ct, cls_bg, smt, gui.
    """
    wanted = targets(actions, len(centroids) - 1, labels)
    if guiding_attention is None:
        guiding_attention = video["attention"][:, FOREGROUND]
    y = video["video_scores"]
    return {
        "cls_fg": classification_loss(y[FOREGROUND], wanted[FOREGROUND]),
        "cls_ct": classification_loss(y[CONTEXT], wanted[CONTEXT]),
        "cls_bg": classification_loss(y[BACKGROUND], wanted[BACKGROUND]),
        "smt": semantic_loss(
            video["embedding"], video["class_logits"], centroids
        ),
        "gui": guide_loss(
            guiding_attention, video["activation"][:, FOREGROUND, 0], reduction
        ),
    }


def class_means(features, actions, num_classes):
    """First centroids of Section 4.1, from the training videos' features.

    Entry c is the mean over all snippets of all videos that carry c, so a long
    video weighs more than a short one. Entry 0 is the mean over all snippets,
    and so is the entry of a class that no video carries.

    Args:
        features: list of [T_i, D], one a video.
        actions: list of sets of action indices in 1..C, one a video.
        num_classes: C, the number of actions.

    Returns:
        [C + 1, D].
    """
    width = np.shape(features[0])[1]
    sums = np.zeros((num_classes + 1, width))
    counts = [0] * (num_classes + 1)
    for video, carried in zip(features, actions, strict=True):
        for snippet in _float64(video):
            for c in {0, *carried}:
                sums[c] += snippet
                counts[c] += 1
    means = np.zeros((num_classes + 1, width))
    for c in range(num_classes + 1):
        source = c if counts[c] else 0
        means[c] = sums[source] / counts[source]
    return means


# --- Localization (Section 3.7) ----------------------------------------------


def proposals(z, thresholds):
    """Runs of consecutive snippets at or above a threshold, Section 3.7.

    Args:
        z: [T], the activation of one class.
        thresholds: the values of eta; their proposals are pooled.

    Returns:
        Sorted list of unique (first, last), both inclusive.
    """
    found = set()
    for threshold in thresholds:
        first = None
        for t in range(len(z)):
            if z[t] >= threshold:
                if first is None:
                    first = t
            elif first is not None:
                found.add((first, t - 1))
                first = None
        if first is not None:
            found.add((first, len(z) - 1))
    return sorted(found)


def _mean_inside_video(z, start, end):
    """Mean of z over the part of [start, end] in [0, T]; None if there is none.

    z is piecewise constant: its value on [t, t + 1) is z[t].
    """
    low, high = max(start, 0.0), min(end, float(len(z)))
    if high - low <= _SHORTEST_SIDE:
        return None
    integral = 0.0
    for t in range(len(z)):
        overlap = min(high, t + 1.0) - max(low, float(t))
        if overlap > 0:
            integral += float(z[t]) * overlap
    return integral / (high - low)


def outer_inner_contrast(z, start, end, inflation=0.2):
    """Inner mean minus outer mean, phi_in - phi_out of Eq. 9.

    The outer areas are [start - v, start] and [end, end + v], where
    v = inflation * (end - start). Each is averaged over what exists of it
    inside the video, and phi_out is the mean of the sides that exist. Without
    either side phi_out is 0: a segment that spans the whole video has nothing
    to contrast with, and keeps its inner mean.

    Args:
        z: [T], the activation of one class.
        start: beginning in snippets, a real number in [0, T).
        end: end in snippets, a real number in (start, T].
        inflation: length of an outer area over that of the segment.

    Returns:
        float.
    """
    v = inflation * (end - start)
    sides = [
        _mean_inside_video(z, start - v, start),
        _mean_inside_video(z, end, end + v),
    ]
    existing = [side for side in sides if side is not None]
    outer = sum(existing) / len(existing) if existing else 0.0
    return _mean_inside_video(z, start, end) - outer


def tiou(a, b):
    """Temporal intersection over union of two (start, end).

    Disjoint segments have 0. Two identical segments of zero length have 1.
    """
    if a[0] == b[0] and a[1] == b[1]:
        return 1.0
    intersection = max(0.0, min(a[1], b[1]) - max(a[0], b[0]))
    union = (a[1] - a[0]) + (b[1] - b[0]) - intersection
    if union <= 0:  # two different points
        return 0.0
    return intersection / union


def hard_nms(segments, threshold):
    """Non-maximum suppression: drop what overlaps a better segment too much.

    Args:
        segments: list of (start, end, score).
        threshold: a segment goes if its tIoU with a kept one is above this.

    Returns:
        Indices of the kept segments, best first; equal scores keep the order
        of the input.
    """
    order = sorted(range(len(segments)), key=lambda i: -segments[i][2])
    kept = []
    for i in order:
        if all(tiou(segments[i], segments[j]) <= threshold for j in kept):
            kept.append(i)
    return kept


def soft_nms(segments, sigma, max_outputs):
    """Gaussian soft-NMS: overlapping segments lose score, none is dropped.

    The segment of the highest current score is taken, then every remaining
    score is multiplied by exp(-tIoU^2 / sigma); and so on. Scores below zero,
    which overlap would lift, count as zero.

    Args:
        segments: list of (start, end, score).
        sigma: width of the decay.
        max_outputs: the most segments to return.

    Returns:
        List of (index, final score) in the order they were taken; of equal
        scores the first of the input is taken first.
    """
    scores = [max(float(score), 0.0) for _, _, score in segments]
    remaining = list(range(len(segments)))
    taken = []
    while remaining and len(taken) < max_outputs:
        best = remaining[0]
        for i in remaining:
            if scores[i] > scores[best]:
                best = i
        taken.append((best, scores[best]))
        remaining.remove(best)
        for i in remaining:
            overlap = tiou(segments[i], segments[best])
            scores[i] *= math.exp(-(overlap**2) / sigma)
    return taken


def localize(
    z,
    video_scores,
    thresholds,
    alpha=0.1,
    beta=0.2,
    inflation=0.2,
    nms_tiou=0.5,
    seconds_per_snippet=0.64,
):
    """Detections in one video, Section 3.7 and Eq. 9, with hard NMS per class.

    Actions whose video score is below alpha are passed over; if that leaves
    none, the single best action stays (the first of equals). Snippets i to j
    make the segment [i * s, (j + 1) * s), s = seconds_per_snippet.

    Args:
        z: [T, C + 1], the foreground activation.
        video_scores: [C + 1], the foreground row of Eq. 4.
        thresholds: the values of eta.
        alpha: lowest video score of a class.
        beta: weight of the video score in Eq. 9.
        inflation: length of an outer area over that of the segment.
        nms_tiou: threshold of the suppression.
        seconds_per_snippet: seconds from one snippet to the next.

    Returns:
        List of dicts, best first: label (class index), score, segment
        (start, end) in seconds. Equal scores stay in the order of class, then
        of the suppression.
    """
    z = _float64(z)
    actions = range(1, len(video_scores))
    classes = [c for c in actions if video_scores[c] >= alpha]
    if not classes:
        classes = [max(actions, key=lambda c: video_scores[c])]
    detections = []
    for c in classes:
        candidates = []
        for first, last in proposals(z[:, c], thresholds):
            start, end = float(first), last + 1.0
            contrast = outer_inner_contrast(z[:, c], start, end, inflation)
            score = contrast + beta * float(video_scores[c])
            candidates.append(
                (start * seconds_per_snippet, end * seconds_per_snippet, score)
            )
        for i in hard_nms(candidates, nms_tiou):
            start, end, score = candidates[i]
            detections.append(
                {"label": c, "score": score, "segment": (start, end)}
            )
    return sorted(detections, key=lambda detection: -detection["score"])


# --- Evaluation (Section 4.1) ------------------------------------------------


def interpolated_average_precision(true_positive, num_ground_truth):
    """Area under the interpolated precision-recall curve (VOC 2011).

    The precision at each rank is raised to the highest precision at that rank
    or a later one, and summed over the changes of recall. The ActivityNet
    evaluation does the same.

    Args:
        true_positive: one flag a detection, best detection first.
        num_ground_truth: number of instances to find.

    Returns:
        float in [0, 1]; 0 without detections.
    """
    precisions, recalls = [], []
    hits = 0
    for rank, flag in enumerate(true_positive, start=1):
        hits += bool(flag)
        precisions.append(hits / rank)
        recalls.append(hits / num_ground_truth)
    for i in range(len(precisions) - 2, -1, -1):
        precisions[i] = max(precisions[i], precisions[i + 1])
    area, previous_recall = 0.0, 0.0
    for precision, recall in zip(precisions, recalls, strict=True):
        area += (recall - previous_recall) * precision
        previous_recall = recall
    return area


def non_interpolated_average_precision(true_positive, num_ground_truth):
    """Mean over the instances of the precision at which each is found.

    Args:
        true_positive: one flag a detection that counts, best first.
        num_ground_truth: number of instances to find.
    """
    total, hits = 0.0, 0
    for rank, flag in enumerate(true_positive, start=1):
        hits += bool(flag)
        if flag:
            total += hits / rank
    return total / num_ground_truth


def _argsort_reversed(values):
    """ActivityNet's `argsort()[::-1]`, as it is for up to 16 values."""
    return sorted(range(len(values)), key=values.__getitem__)[::-1]


def _activitynet_flags(instances, detections, threshold):
    """(best first, true positive) of one class's rows: each detection walks
    the instances of its video by descending tIoU and takes the first free."""
    ranked = [
        detections[i] for i in _argsort_reversed([row[4] for row in detections])
    ]
    used, flags = set(), []
    for video, _, start, end, _ in ranked:
        there = [i for i, row in enumerate(instances) if row[0] == video]
        overlaps = [tiou((start, end), instances[i][2:4]) for i in there]
        flag = False
        for k in _argsort_reversed(overlaps):
            if overlaps[k] >= threshold and there[k] not in used:
                used.add(there[k])
                flag = True
                break
        flags.append(flag)
    return ranked, flags


def _thumos14_flags(instances, detections, threshold):
    """(best first, true positive) of one class's rows: each instance takes
    the detection of its video that overlaps it most and is still free."""
    by_name = sorted(detections, key=lambda row: row[0])
    ranked = sorted(by_name, key=lambda row: -row[4])
    flags = [False] * len(ranked)
    for video, _, start, end in instances:
        best, chosen = threshold, None
        for i, row in enumerate(ranked):
            if row[0] == video and not flags[i]:
                overlap = tiou(row[2:4], (start, end))
                if overlap > best:
                    best, chosen = overlap, i
        if chosen is not None:
            flags[chosen] = True
    return ranked, flags


def mean_average_precision(
    ground_truth, detections, thresholds, protocol="activitynet", ambiguous=()
):
    """Average precision of each class at each tIoU, as either kit counts it.

    Detections of classes without ground truth are passed over. One that found
    no instance and shares time with an ambiguous segment of its video is
    passed over too.

    Args:
        ground_truth: list of (video, label, start, end).
        detections: list of (video, label, start, end, score).
        thresholds: tIoU thresholds.
        protocol: "activitynet" or "thumos14".
        ambiguous: list of (video, start, end).

    Returns:
        dict threshold -> {label: average precision}; the mean over the labels
        is the mAP at that threshold.
    """
    find_flags, average = {
        "activitynet": (_activitynet_flags, interpolated_average_precision),
        "thumos14": (_thumos14_flags, non_interpolated_average_precision),
    }[protocol]
    labels = sorted({label for _, label, _, _ in ground_truth})
    results = {}
    for threshold in thresholds:
        results[threshold] = {}
        for label in labels:
            instances = [row for row in ground_truth if row[1] == label]
            ranked, flags = find_flags(
                instances,
                [row for row in detections if row[1] == label],
                threshold,
            )
            counted = []
            for (video, _, start, end, _), flag in zip(
                ranked, flags, strict=True
            ):
                excused = any(
                    video == other and min(end, last) > max(start, first)
                    for other, first, last in ambiguous
                )
                if flag or not excused:
                    counted.append(flag)
            results[threshold][label] = average(counted, len(instances))
    return results
