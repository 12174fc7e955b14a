"""Adapts Keras 3's `fit` to several replicas."""

import tensorflow as tf

from tfwstal import keras_versions


def replica_state(next_creator, **kwargs):
    """Creates variables that a step changes as independent copies.

    Keras creates a running mean as one number for all replicas. Reading it
    sums over all workers, so a worker could not read it alone. Here every
    replica has its own copy with the mean of the whole batch. The states of
    random generators are independent copies too.
    """
    name = kwargs.get("name") or ""
    on_read = tf.VariableSynchronization.ON_READ
    if kwargs.get("synchronization") == on_read or "seed_generator" in name:
        kwargs["synchronization"] = on_read
        kwargs["aggregation"] = tf.VariableAggregation.ONLY_FIRST_REPLICA
    return next_creator(**kwargs)


def prepare(model, workers):
    """Prepares a model for `fit` on several replicas.

    Works around four Keras behaviours:

    - Keras sums gradients after clipping, so each replica would clip its own
      part. `train_step` sums them before, and Keras must not sum them again.
    - Keras builds a model by tracing it on a mean batch of all replicas, which
      fails for dict inputs. The constructor has built this model, and the
      optimizer is built here.
    - With several workers, Keras averages the metrics of a step over their
      axis 0, which a scalar does not have. So scalars become vectors [1].
    - All replicas would draw the same dropout.

    Args:
        model: a compiled TwoStreamLocalizer, made in `Workers.scope`.
        workers: Workers.
    """
    if workers.strategy is None:
        return
    with workers.scope():
        keras_versions.build_optimizer(model)
    optimizer = model.optimizer
    # float16 has a second optimizer around the one that updates.
    inner = getattr(optimizer, "inner_optimizer", optimizer)
    inner._all_reduce_sum_gradients = list
    model._maybe_symbolic_build = lambda *args, **kwargs: None
    if len(workers.addresses) > 1:
        model.train_step = _with_vectors(model.train_step)
    for layer in model._flatten_layers():
        generator = getattr(layer, "seed_generator", None)
        if generator is not None:
            generator.next = _with_replica(generator.next)


def _with_vectors(step):
    def step_with_vectors(data):
        logs = step(data)
        return {name: tf.reshape(value, [1]) for name, value in logs.items()}

    return step_with_vectors


def _with_replica(draw):
    def draw_of_replica(*args, **kwargs):
        seed = draw(*args, **kwargs)  # [2]: seed and number of draws
        context = tf.distribute.get_replica_context()
        if context is None:
            return seed
        replica = tf.cast(context.replica_id_in_sync_group, seed.dtype)
        return seed + tf.stack([replica, tf.zeros_like(replica)])

    return draw_of_replica
