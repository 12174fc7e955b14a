"""The training step of `training_step.py` in PyTorch: the same network.

Run by `training_step.py`, with sizes as arguments: one step for every line on
standard input, answered by its loss. Needs PyTorch alone.
"""

import sys

import torch
from torch import nn

_SIGMA = (8, 2, 2)
_WEIGHTS = (1.0, 0.1, 0.1, 0.05, 0.002)


class Network(nn.Module):
    """Residual block, attention branch, MIL branch and dictionary."""

    def __init__(self, features, classes):
        super().__init__()
        self.conv = nn.Conv1d(features, features, 3, padding=1)
        self.attention = nn.Linear(features, 3)
        self.pooled_classifier = nn.Linear(features, classes + 1)
        self.classifier = nn.Linear(features, classes + 1)
        self.dropout = nn.Dropout(0.5)
        self.centroids = nn.Parameter(torch.rand(classes + 1, features))

    def forward(self, f):
        """f [B, T, D] -> x, a, p, z and y hat."""
        added = torch.relu(self.conv(f.transpose(1, 2))).transpose(1, 2)
        x = f + added
        a = torch.softmax(self.attention(x), dim=-1)  # [B, T, 3]
        pooled = a.transpose(1, 2) @ x / a.sum(dim=1)[..., None]
        attention_scores = torch.softmax(self.pooled_classifier(pooled), -1)
        p = self.classifier(self.dropout(x))  # [B, T, C+1]
        z = a[..., None] * p[:, :, None]  # [B, T, 3, C+1]
        omega = [
            z[:, :, i].topk(max(f.shape[1] // sigma, 1), dim=1)[0].mean(dim=1)
            for i, sigma in enumerate(_SIGMA)
        ]
        mil_scores = torch.softmax(torch.stack(omega, dim=1), dim=-1)
        return x, a, p, z, (attention_scores + mil_scores) / 2


def loss_of(network, f, actions):
    """L_all, Eq. 8."""
    x, a, p, z, scores = network(f)
    zero = torch.zeros_like(actions[:, :1])
    targets = torch.stack(
        [
            torch.cat([zero, actions], dim=-1),
            torch.cat([zero + 1, actions], dim=-1),
            torch.cat([zero + 1, torch.zeros_like(actions)], dim=-1),
        ],
        dim=1,
    )
    entropy = -(targets * torch.log(scores.clamp_min(1e-30))).sum(dim=-1)
    offset = x - network.centroids[p.argmax(dim=-1)]
    background = torch.softmax(z[:, :, 0], dim=-1)[..., 0]
    terms = [
        *entropy.mean(dim=0),
        offset.norm(dim=-1).mean(),
        (1 - a[..., 0] - background).abs().mean(),
    ]
    return sum(w * term for w, term in zip(_WEIGHTS, terms, strict=True))


def main():
    """Does one step for every line that comes in."""
    batch, snippets, features, classes, threads = map(int, sys.argv[1:])
    torch.set_num_threads(threads)
    network = Network(features, classes)
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-4)
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
