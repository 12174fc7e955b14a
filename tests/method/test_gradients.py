"""Gradients against central differences of the float64 oracles."""

import numpy as np
import pytest
import tensorflow as tf

from tests import reference
from tests.conftest import (
    random_batch,
    random_model,
    reference_weights,
    weight_variables,
)
from tfwstal.method.model import TERMS

LENGTHS = [17, 8, 1]
LOSS_WEIGHTS = (0.5, 0.2, 0.3, 0.4, 0.6)
# The oracle has no float32 noise, so the step can be small.
STEP = 1e-5
OWN = {"classifier": "own"}
WEIGHTED = {"activation": "weighted"}
CASES = [
    {},
    {**OWN, **WEIGHTED, "labels": "multi_hot"},
    {**OWN, "attention": "sigmoid", "guide_reduction": "sum", "kernel_size": 4},
    {**WEIGHTED, "sigma": (3, 1, 4), "labels": "multi_hot"},
    {**OWN, **WEIGHTED, "branches": "attention"},
    {"branches": "attention", "guide_detach": True},
    {
        **OWN,
        **WEIGHTED,
        "branches": "mil",
        "guide_detach": True,
        "residual": False,
    },
]


def reached(options):
    """The weights, and the features, that each term depends on."""
    embedding = {"features", "conv_kernel", "conv_bias"}
    attention = {"attention_kernel", "attention_bias"}
    own = {"class_kernel", "class_bias"}
    pooled = {"pooled_kernel", "pooled_bias"}
    if options.classifier == "shared":
        pooled = own
    branch = {"both": pooled | own, "attention": pooled, "mil": own}
    scores = embedding | attention | branch[options.branches]
    # The choice of a centroid has no gradient, so neither have the attention
    # and the classifiers, which only affect this choice.
    semantic = embedding | {"centroids"}
    guide = embedding | attention | own
    if options.guide_detach and options.activation == "plain":
        guide -= attention
    terms = dict.fromkeys(("cls_fg", "cls_ct", "cls_bg"), scores)
    terms |= {"smt": semantic, "gui": guide}
    return {**terms, "total": scores | semantic | guide}


def oracle(point, labels, options, held_attention=None):
    """The batch's mean of each term and of the total, in float64.

    Args:
        point: features [B, T, D] and weights, under the names of `reached`.
        labels: [B, C].
        options: the model's.
        held_attention: foreground attention of each video for Eq. 7, instead
            of the point's own.
    """
    sums = dict.fromkeys((*TERMS, "total"), 0.0)
    for row, length in enumerate(LENGTHS):
        video = reference.forward(
            point["features"][row, :length],
            point,
            attention=options.attention,
            sigma=options.sigma,
            branches=options.branches,
            residual=options.residual,
            z=options.activation,
        )
        terms = reference.loss_terms(
            video,
            np.flatnonzero(labels[row]) + 1,
            point["centroids"],
            labels=options.labels,
            reduction=options.guide_reduction,
            guiding_attention=held_attention and held_attention[row],
        )
        weights = dict(zip(TERMS, LOSS_WEIGHTS, strict=True))
        terms["total"] = reference.total_loss(terms, weights)
        for name, value in terms.items():
            sums[name] += value / len(LENGTHS)
    return sums


def library_gradients(model, inputs, labels):
    """Gradient of each term and the total: {term: {name: float64 or None}}."""
    variables = weight_variables(model)
    features = tf.constant(inputs["features"])
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(features)
        x = {**inputs, "features": features}
        outputs = model(x)
        values = {
            name: tf.reduce_mean(term)
            for name, term in model.loss_terms(x, labels, outputs).items()
        }
        values["total"] = model.compute_loss(x, labels, outputs)
    gradients = {}
    for term, value in values.items():
        found = tape.gradient(value, {"features": features, **variables})
        gradients[term] = {
            name: None
            if gradient is None
            else np.asarray(tf.convert_to_tensor(gradient), np.float64)
            for name, gradient in found.items()
        }
    return gradients


def slopes(point, moved, direction, evaluate, step):
    """Central differences along `direction`, for all names in `moved`."""
    ends = [
        evaluate(
            {
                **point,
                **{name: point[name] + sign * direction for name in moved},
            }
        )
        for sign in (step, -step)
    ]
    return {
        name: (ends[0][name] - ends[1][name]) / (2 * step) for name in ends[0]
    }


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("arguments", CASES, ids=str)
def test_every_gradient_is_the_oracles_slope(arguments, seed):
    model = random_model(seed=seed, loss_weights=LOSS_WEIGHTS, **arguments)
    model.compile(optimizer="sgd")
    inputs, labels = random_batch(LENGTHS, seed=seed)
    point = {
        "features": inputs["features"].astype(np.float64),
        **reference_weights(model),
    }
    options = model.options
    held = None
    if options.guide_detach:
        held = [
            reference.forward(
                point["features"][row, :length],
                point,
                residual=options.residual,
            )["attention"][:, 0]
            for row, length in enumerate(LENGTHS)
        ]
    gradients = library_gradients(model, inputs, labels)
    expected_reach = reached(options)
    shared = options.classifier == "shared"
    rng = np.random.default_rng(seed)
    for name in point:
        if shared and name.startswith("pooled"):
            continue  # the same weight as the classifier's
        moved = [name]
        if shared and name.startswith("class"):
            moved.append(name.replace("class", "pooled"))
        direction = rng.normal(size=point[name].shape)
        direction /= np.linalg.norm(direction)
        along, closer = (
            slopes(
                point,
                moved,
                direction,
                lambda at: oracle(at, labels, options, held),
                step,
            )
            for step in (STEP, STEP / 4)
        )
        for term, expected in along.items():
            # With a kink within the step, the two steps would differ.
            assert expected == pytest.approx(closer[term], rel=1e-5, abs=1e-8)
            gradient = gradients[term][name]
            where = f"{term} by {name}"
            if name not in expected_reach[term]:
                assert expected == 0.0, where
                assert gradient is None or not np.any(gradient), where
                continue
            assert abs(expected) > 1e-6, where  # otherwise the test is void
            slope = np.sum(gradient * direction.reshape(gradient.shape))
            assert slope == pytest.approx(expected, rel=1e-4, abs=1e-6), where


@pytest.mark.parametrize("classifier", ["own", "shared"])
def test_every_trainable_weight_gets_a_gradient(classifier):
    model = random_model(classifier=classifier)
    model.compile(optimizer="sgd")
    inputs, labels = random_batch([1, 7, 8, 30])
    with tf.GradientTape() as tape:
        loss = model.compute_loss(inputs, labels, model(inputs))
    gradients = tape.gradient(loss, model.trainable_variables)
    assert len(gradients) == (7 if classifier == "shared" else 9)
    for weight, gradient in zip(
        model.trainable_variables, gradients, strict=True
    ):
        gradient = np.asarray(tf.convert_to_tensor(gradient))
        assert np.isfinite(gradient).all(), weight.name
        assert np.abs(gradient).max() > 0, weight.name


@pytest.mark.parametrize(
    "branches, idle",
    [("attention", "class_kernel"), ("mil", "pooled_kernel")],
)
def test_idle_branch_gets_a_gradient_of_zero(branches, idle):
    # Zero and not None, which optimizers would warn about.
    model = random_model(
        classifier="own",
        branches=branches,
        loss_weights=(1.0, 0.1, 0.1, 0.0, 0.0),
    )
    model.compile(optimizer="sgd")
    inputs, labels = random_batch([1, 7, 8, 30])
    with tf.GradientTape() as tape:
        loss = model.compute_loss(inputs, labels, model(inputs))
    gradients = tape.gradient(loss, weight_variables(model))
    assert gradients[idle] is not None
    assert not np.any(gradients[idle])
    busy = {"class_kernel", "pooled_kernel"} - {idle}
    assert np.any(gradients[busy.pop()])
