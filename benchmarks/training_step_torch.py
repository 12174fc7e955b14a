"""The training step of `training_step.py` in PyTorch: the same network.

Run by `training_step.py` with sizes as arguments, it does one step for every
line on standard input and prints the loss. Run by `training_step_check.py` with
two files, it does one step without dropout, from the weights and the batch in
the first, and writes the results to the second. Needs only PyTorch and NumPy.
"""

import math
import sys

import numpy as np
import torch
from torch import nn

_SIGMA = (8, 2, 2)
_WEIGHTS = (1.0, 0.1, 0.1, 0.05, 0.002)
_RATE = 1e-4
_KERNEL_SIZE = 3


class Network(nn.Module):
    """Residual block, attention branch, MIL branch and dictionary.

    Both branches share a classifier; z is the softmax of p.
    """

    def __init__(self, features, classes, dropout=0.5):
        super().__init__()
        self.conv = nn.Conv1d(features, features, _KERNEL_SIZE, padding=1)
        self.attention = nn.Linear(features, 3)
        self.classifier = nn.Linear(features, classes + 1)
        self.dropout = nn.Dropout(dropout)
        self.centroids = nn.Parameter(torch.rand(classes + 1, features))

    def forward(self, f):
        """f [B, T, D] -> x, a, p and log y hat."""
        added = torch.relu(self.conv(f.transpose(1, 2))).transpose(1, 2)
        x = f + added
        a = torch.softmax(self.attention(x), dim=-1)  # [B, T, 3]
        pooled = a.transpose(1, 2) @ x / a.sum(dim=1)[..., None]
        p = self.classifier(self.dropout(x))  # [B, T, C+1]
        weighted = a[..., None] * p[:, :, None]  # [B, T, 3, C+1]
        omega = [
            weighted[:, :, i]
            .topk(max(f.shape[1] // sigma, 1), dim=1)[0]
            .mean(dim=1)
            for i, sigma in enumerate(_SIGMA)
        ]
        log_scores = torch.logaddexp(
            torch.log_softmax(self.classifier(pooled), dim=-1),
            torch.log_softmax(torch.stack(omega, dim=1), dim=-1),
        ) - math.log(2.0)
        return x, a, p, log_scores


def terms_of(network, f, actions):
    """The five terms of Eq. 8, means over the batch, in its order."""
    x, a, p, log_scores = network(f)
    zero = torch.zeros_like(actions[:, :1])
    targets = torch.stack(
        [
            torch.cat([zero, actions], dim=-1),
            torch.cat([zero + 1, actions], dim=-1),
            torch.cat([zero + 1, torch.zeros_like(actions)], dim=-1),
        ],
        dim=1,
    )
    targets = targets / targets.sum(dim=-1, keepdim=True)
    entropy = -(targets * log_scores).sum(dim=-1)  # [B, 3]
    # In PyTorch the gradient of indexing is dense and adds up repeated rows.
    offset = x - network.centroids[p.argmax(dim=-1)]
    background = torch.softmax(p, dim=-1)[..., 0]
    return [
        *entropy.mean(dim=0),
        offset.norm(dim=-1).mean(),
        (1 - a[..., 0] - background).abs().mean(),
    ]


def loss_of(network, f, actions):
    """L_all, Eq. 8."""
    terms = terms_of(network, f, actions)
    return sum(w * term for w, term in zip(_WEIGHTS, terms, strict=True))


class Adam(torch.optim.Adam):
    """Adam as in Keras, where epsilon is added before the bias correction."""

    def __init__(self, parameters, **arguments):
        super().__init__(parameters, lr=_RATE, **arguments)
        self._steps = 0

    def step(self, closure=None):
        """See torch.optim.Optimizer."""
        self._steps += 1
        for group in self.param_groups:
            correction = 1 - group["betas"][1] ** self._steps
            group["eps"] = 1e-7 / math.sqrt(correction)
        return super().step(closure)


def check(given, results):
    """Does one step from the arrays of a file; writes the results to another.

    Args:
        given: .npz of features [B, T, D], actions [B, C] and the weights,
            under the names and in the shapes of `training_step_check.py`.
        results: .npz of terms [5] and, of each weight, `gradient/NAME` and
            `after/NAME`.
    """
    arrays = dict(np.load(given))
    f, actions = (
        torch.from_numpy(arrays.pop(name)) for name in ("features", "actions")
    )
    network = Network(f.shape[-1], actions.shape[-1], dropout=0.0)
    parameters = {
        "conv_kernel": network.conv.weight,
        "conv_bias": network.conv.bias,
        "attention_kernel": network.attention.weight,
        "attention_bias": network.attention.bias,
        "class_kernel": network.classifier.weight,
        "class_bias": network.classifier.bias,
        "centroids": network.centroids,
    }
    with torch.no_grad():
        for name, parameter in parameters.items():
            parameter.copy_(torch.from_numpy(_turned(name, arrays.pop(name))))
    if arrays:
        raise SystemExit(f"{given}: unknown weights {', '.join(arrays)}")
    optimizer = Adam(network.parameters())
    loss_of(network, f, actions).backward()
    terms = terms_of(network, f, actions)
    found = {"terms": torch.stack(terms).detach().numpy()}
    for name, parameter in parameters.items():
        found[f"gradient/{name}"] = _turned(name, parameter.grad.numpy()).copy()
    optimizer.step()
    for name, parameter in parameters.items():
        found[f"after/{name}"] = _turned(name, parameter.detach().numpy())
    np.savez(results, **found)


def _turned(name, array):
    """Converts a weight [in, out] of Keras to PyTorch's [out, in], or back.

    That of the convolution is [taps * in, out] in Keras, [out, in, taps] here.
    """
    if name == "conv_kernel":
        if array.ndim == 2:
            width = array.shape[1]
            array = array.reshape(_KERNEL_SIZE, width, width)
            return array.transpose(2, 1, 0)
        return array.transpose(2, 1, 0).reshape(-1, array.shape[0])
    return array.T if name.endswith("kernel") else array


def main():
    """Does one step for every line of input, or checks."""
    if len(sys.argv) == 3:
        return check(*sys.argv[1:])
    batch, snippets, features, classes, threads = map(int, sys.argv[1:])
    torch.set_num_threads(threads)
    network = Network(features, classes)
    optimizer = Adam(network.parameters())
    f = torch.rand(batch, snippets, features)
    actions = torch.zeros(batch, classes)
    actions[:, 0] = 1
    for _ in sys.stdin:
        optimizer.zero_grad()
        loss = loss_of(network, f, actions)
        loss.backward()
        optimizer.step()
        print(loss.item(), flush=True)


if __name__ == "__main__":
    main()
