"""Sections 3.1 to 3.5: the two-stream network, its loss, its training step.

The files in this folder implement the paper. Read them in this order: `layers`
(Sections 3.1 to 3.3, and the dictionary of 3.5), `losses` (Eq. 4 to 7),
`model` (the network, Eq. 8), `localization` (Section 3.7). `options` declares
the hyper-parameters; `replicas` has the sums over several devices.
"""

import dataclasses

import keras
import tensorflow as tf

from tfwstal import keras_versions
from tfwstal.method import layers, losses, replicas
from tfwstal.method.options import ModelOptions

TERMS = ("cls_fg", "cls_ct", "cls_bg", "smt", "gui")
_LAMBDAS = ("lambda_fg", "lambda_ct", "lambda_bg", "lambda_smt", "lambda_gui")


@keras.saving.register_keras_serializable(package="tfwstal")
class TwoStreamLocalizer(keras.Model):
    """Two-stream network with a dictionary of class centroids (CVPR 2023).

    Input: `{"features": [B, T, D] float, "num_snippets": [B] int32}`. Snippets
    at or past `num_snippets` are padding and change nothing. Labels for
    training: [B, C], 1 for each action in the video.

    Output, a dict; the axis of 3 is foreground, context, background and class
    0 is the background:

        embedding        [B, T, D]       x
        attention        [B, T, 3]       a
        class_logits     [B, T, C+1]     p, the class activation sequence
        weighted_logits  [B, T, 3, C+1]  a x p, Eq. 2
        activation       [B, T, 3, C+1]  the z that Eq. 7, thresholds and Eq. 9
                                         use: the softmax over classes of p
                                         ("plain") or of a x p ("weighted")
        attention_logits [B, 3, C+1]     the attention branch's class logits
        mil_logits       [B, 3, C+1]     omega, Eq. 3
        attention_scores [B, 3, C+1]     y hat^att, their softmax
        mil_scores       [B, 3, C+1]     y hat^mil, likewise
        video_scores     [B, 3, C+1]     y hat, Eq. 4

    All are zero at padding.

    Args:
        num_classes: C, the number of actions.
        feature_dim: D.
        warmup_steps: training steps over which the weight of `smt` rises
            linearly from 0.
        background_warmup_steps: the same for those of `cls_ct` and `cls_bg`.
        **kwargs: the fields of `options.ModelOptions`, and `name`, `dtype`
            and `trainable` as every keras.Model takes them.

    Raises:
        ValueError: for a value that an option does not allow.
    """

    def __init__(
        self,
        num_classes,
        feature_dim,
        warmup_steps=0,
        background_warmup_steps=0,
        **kwargs,
    ):
        for name, value, least in (
            ("num_classes", num_classes, 1),
            ("feature_dim", feature_dim, 1),
            ("warmup_steps", warmup_steps, 0),
            ("background_warmup_steps", background_warmup_steps, 0),
        ):
            if not value >= least:
                raise ValueError(f"{name}={value}: must be at least {least}")
        given = {
            field.name: kwargs.pop(field.name)
            for field in dataclasses.fields(ModelOptions)
            if field.name in kwargs
        }
        # A file keeps tuples as lists.
        given["sigma"] = tuple(given.get("sigma", ModelOptions.sigma))
        options = ModelOptions(**given)
        super().__init__(**kwargs)
        # === Config ===
        self.num_classes = num_classes
        self.feature_dim = feature_dim
        self.warmup_steps = warmup_steps
        self.background_warmup_steps = background_warmup_steps
        self.options = options

        # === Metrics ===
        self._trackers = {
            name: keras.metrics.Mean(name=name) for name in ("loss", *TERMS)
        }
        self._gradient_norm = keras.metrics.Mean(name="gradient_norm")

        # === Layers ===
        policy = keras_versions.dtype_policy(self)
        self.residual_block = layers.ResidualBlock(
            options.kernel_size,
            options.embedding_dropout,
            options.residual,
            dtype=policy,
            name="residual_block",
        )
        self.attention = layers.Attention(
            options.attention,
            options.attention_bias,
            dtype=policy,
            name="attention",
        )
        self.dropout = keras_versions.dropout(options.dropout, policy)
        self.classifier = keras.layers.Dense(
            num_classes + 1, dtype=policy, name="classifier"
        )
        self.pooled_classifier = self.classifier
        if options.classifier == "own":
            self.pooled_classifier = keras.layers.Dense(
                num_classes + 1, dtype=policy, name="pooled_classifier"
            )
        # Distances are a few units between vectors of norm 15; in half
        # precision most of their digits would be lost.
        self.dictionary = layers.CentroidDictionary(
            num_classes, dtype="float32", name="dictionary"
        )
        self.build()

    def build(self, input_shape=None):
        """Creates the weights; their shapes follow from the constructor."""
        del input_shape
        shape = (None, None, self.feature_dim)
        for layer in (
            self.residual_block,
            self.attention,
            self.classifier,
            self.pooled_classifier,
            self.dictionary,
            self.dropout,
        ):
            if not layer.built:
                layer.build(shape)
                # Keras passes changes of `trainable` to layers, but not its
                # first value: a loaded frozen model would not be frozen
                # inside another one.
                layer.trainable = self.trainable
        self.built = True

    @property
    def loss_weights(self):
        """Weight of each of TERMS in Eq. 8, a dict."""
        return {
            term: getattr(self.options, name)
            for term, name in zip(TERMS, _LAMBDAS, strict=True)
        }

    @property
    def centroids(self):
        """Q, the dictionary of class centroids: a weight, [C+1, D]."""
        return self.dictionary.centroids

    def call(self, inputs, training=False):
        """See the class.

        Raises:
            tf.errors.InvalidArgumentError: if `num_snippets` exceeds T.
        """
        num_snippets = tf.cast(inputs["num_snippets"], tf.int32)
        features = tf.cast(inputs["features"], self.compute_dtype)
        length = features.shape[1] or tf.shape(features)[1]
        # XLA leaves this check out.
        tf.debugging.assert_less_equal(
            num_snippets, length, "num_snippets exceeds T of features [B, T, D]"
        )
        valid = tf.sequence_mask(num_snippets, length)

        x = self.residual_block(features, valid, training=training)
        # Attention branch, Section 3.2.
        a = self.attention(x, valid)  # [B, T, 3]
        pooled = layers.attention_pool(x, a)  # [B, 3, D]
        attention_logits = tf.cast(self.pooled_classifier(pooled), tf.float32)
        attention_scores = tf.nn.softmax(attention_logits)
        # MIL branch, Section 3.3.
        p = self.classifier(self.dropout(x, training=training))
        p = layers.zero_padding(tf.cast(p, tf.float32), valid)  # [B, T, C+1]
        z = a[..., tf.newaxis] * p[:, :, tf.newaxis, :]  # [B, T, 3, C+1]
        omega = [
            layers.masked_top_k_mean(z[:, :, i], num_snippets, divisor)
            for i, divisor in enumerate(self.options.sigma)
        ]
        mil_logits = tf.stack(omega, axis=1)  # [B, 3, C+1]
        mil_scores = tf.nn.softmax(mil_logits)
        return {
            "embedding": x,
            "attention": a,
            "class_logits": p,
            "weighted_logits": z,
            "activation": self._activation(p, z, valid),
            "attention_logits": attention_logits,
            "mil_logits": mil_logits,
            "attention_scores": attention_scores,
            "mil_scores": mil_scores,
            "video_scores": self._fuse(attention_scores, mil_scores),
        }

    def _activation(self, p, z, valid):
        """The softmax over classes, used as z in Eq. 7 and 9."""
        if self.options.activation == "plain":
            activation = tf.nn.softmax(p)[:, :, tf.newaxis]
            activation = tf.repeat(activation, 3, axis=2)
        else:
            activation = tf.nn.softmax(z)
        return layers.zero_padding(activation, valid)

    def _fuse(self, attention_scores, mil_scores):
        """Late fusion, Eq. 4, or one branch alone (Tables 5 and 6)."""
        shares = {"both": 0.5, "attention": 1.0, "mil": 0.0}
        share = shares[self.options.branches]
        return share * attention_scores + (1.0 - share) * mil_scores

    def with_classes(self, own, wanted):
        """Copy with new classes; shared weights are kept.

        Layers that do not depend on the classes are copied. The background
        and each action in both lists keep their part of the classifiers and
        their centroid. New actions start as in a new model. The copy is not
        compiled. It is frozen if this model is as a whole (`trainable`), but
        not where only single layers are.

        Args:
            own: names of this model's C actions, in their order.
            wanted: those of the new model, likewise.

        Returns:
            TwoStreamLocalizer.

        Raises:
            ValueError: if `own` are not C names, or a list repeats one.
        """
        own, wanted = list(own), list(wanted)
        if len(own) != self.num_classes:
            raise ValueError(
                f"own has {len(own)} names, the model {self.num_classes} "
                "actions"
            )
        for names in (own, wanted):
            if len(set(names)) < len(names):
                raise ValueError(f"a name is twice in {names}")
        config = {
            **self.get_config(),
            "num_classes": len(wanted),
            # Counted in steps of the old training set.
            "warmup_steps": 0,
            "background_warmup_steps": 0,
        }
        model = type(self).from_config(config)
        kept = [name for name in wanted if name in own]
        rows = [0] + [1 + wanted.index(name) for name in kept]
        sources = [0] + [1 + own.index(name) for name in kept]
        for name in ("residual_block", "attention"):
            weights = getattr(self, name).get_weights()
            getattr(model, name).set_weights(weights)
        for name in ("classifier", "pooled_classifier"):
            weights = getattr(model, name).get_weights()
            for new, old in zip(
                weights, getattr(self, name).get_weights(), strict=True
            ):
                new[..., rows] = old[..., sources]
            getattr(model, name).set_weights(weights)
        (centroids,) = model.dictionary.get_weights()
        centroids[rows] = self.dictionary.get_weights()[0][sources]
        model.dictionary.set_weights([centroids])
        return model

    def loss_terms(self, inputs, actions, outputs):
        """The unweighted terms of Eq. 8, for each video.

        Args:
            inputs: as for `call`.
            actions: [B, C], 1 for each action in the video.
            outputs: what `call` returned.

        Returns:
            dict of [B], the keys of TERMS.
        """
        valid = tf.sequence_mask(
            inputs["num_snippets"], tf.shape(outputs["class_logits"])[1]
        )
        targets = losses.video_targets(actions, self.options.labels)
        log_scores = losses.fused_log_scores(
            outputs["attention_logits"],
            outputs["mil_logits"],
            self.options.branches,
        )
        terms = {
            name: losses.classification_loss(log_scores[:, i], targets[:, i])
            for i, name in enumerate(("cls_fg", "cls_ct", "cls_bg"))
        }
        terms["smt"] = losses.semantic_loss(
            outputs["embedding"],
            self.dictionary(outputs["class_logits"]),
            valid,
        )
        terms["gui"] = losses.guide_loss(
            outputs["attention"][:, :, 0],
            outputs["activation"][:, :, 0, 0],
            valid,
            self.options.guide_reduction,
            self.options.guide_detach,
        )
        return terms

    def compute_loss(
        self, x=None, y=None, y_pred=None, sample_weight=None, training=True
    ):
        """L_all, Eq. 8: the mean over the batch of the weighted terms.

        Updates the metrics. In training, weights rise over the first steps,
        see the class. With several replicas, each returns its part of the
        mean; the parts sum up to it.

        Raises:
            ValueError: for sample weights, which the paper does not have.
        """
        if sample_weight is not None:
            raise ValueError("TwoStreamLocalizer takes no sample weights")
        num_videos = replicas.num_videos(y)
        terms = {
            name: replicas.replica_mean(values, num_videos)
            for name, values in self.loss_terms(x, y, y_pred).items()
        }
        weights = self._risen_weights() if training else self.loss_weights
        loss = tf.add_n([weights[name] * terms[name] for name in TERMS])
        means = replicas.summed([loss, *terms.values()])
        for name, value in zip(("loss", *terms), means, strict=True):
            self._trackers[name].update_state(value, sample_weight=num_videos)
        return loss

    def _risen_weights(self):
        """`loss_weights` at the optimizer's step; those that rise, tensors."""
        weights = self.loss_weights
        for name, steps in (
            ("smt", self.warmup_steps),
            ("cls_ct", self.background_warmup_steps),
            ("cls_bg", self.background_warmup_steps),
        ):
            if steps:
                step = tf.cast(
                    tf.convert_to_tensor(self.optimizer.iterations), tf.float32
                )
                weights[name] *= tf.minimum(step / steps, 1.0)
        return weights

    def compile(
        self,
        optimizer="rmsprop",
        loss=None,
        loss_weights=None,
        metrics=None,
        weighted_metrics=None,
        **kwargs,
    ):
        """Like keras.Model.compile, without loss and metrics.

        Raises:
            ValueError: for a loss or metrics. The loss is Eq. 8, with the
                weights of the constructor.
        """
        given = {
            "loss": loss,
            "loss_weights": loss_weights,
            "metrics": metrics,
            "weighted_metrics": weighted_metrics,
        }
        for name, value in given.items():
            if value is not None:
                raise ValueError(
                    f"compile({name}={value!r}): TwoStreamLocalizer computes "
                    "its own loss and metrics (Eq. 8); leave it out"
                )
        super().compile(optimizer=optimizer, **kwargs)

    def compile_from_config(self, config):
        """Compiles a loaded model; Keras leaves this to a custom `compile`."""
        self.compile(**keras.saving.deserialize_keras_object(config))
        if self.optimizer is not None and self.built:
            keras_versions.build_optimizer(self)

    @property
    def metrics(self):
        """Means over the epoch: the loss, its unweighted terms and, in
        training only, the norm of all gradients before clipping."""
        return [*self._trackers.values(), self._gradient_norm]

    def train_step(self, data):
        """One step: forward, Eq. 8, gradients, update; XLA compiles it."""
        x, y, sample_weight = keras.utils.unpack_x_y_sample_weight(data)
        with tf.GradientTape() as tape:
            outputs = self(x, training=True)
            loss = self.compute_loss(x, y, outputs, sample_weight)
            loss = keras_versions.scale_loss(self.optimizer, loss)
        gradients = replicas.summed(
            tape.gradient(loss, self.trainable_variables)
        )
        self._gradient_norm.update_state(
            *keras_versions.gradient_norm(self.optimizer, gradients)
        )
        self.optimizer.apply_gradients(
            zip(gradients, self.trainable_variables, strict=True)
        )
        return {metric.name: metric.result() for metric in self.metrics}

    def test_step(self, data):
        """The same loss without training's dropout and warm-up."""
        x, y, sample_weight = keras.utils.unpack_x_y_sample_weight(data)
        self.compute_loss(
            x, y, self(x, training=False), sample_weight, training=False
        )
        return {name: mean.result() for name, mean in self._trackers.items()}

    def get_config(self):
        """Constructor arguments."""
        # Keras 2.15 leaves `trainable` out.
        kept = {"trainable": self.trainable, **super().get_config()}
        return {
            **kept,
            "num_classes": self.num_classes,
            "feature_dim": self.feature_dim,
            "warmup_steps": self.warmup_steps,
            "background_warmup_steps": self.background_warmup_steps,
            **dataclasses.asdict(self.options),
        }

    @classmethod
    def from_config(cls, config):
        """The model of a config; older files have `loss_weights`."""
        config = dict(config)
        weights = config.pop("loss_weights", ())
        config |= dict(zip(_LAMBDAS, weights, strict=bool(weights)))
        return super().from_config(config)
