"""The steps of `benchmarks.gpu` in PyTorch, run by `gpu_torch_process`.

Arguments are sizes, steps per turn, precision and "eager" or "compiled". The
first line of output has the versions. For every line on standard input it does
one turn and prints the last loss. Needs PyTorch and NumPy; compiling on the CPU
needs a C compiler.
"""

import sys

import torch
from training_step_torch import Adam, Network, loss_of


def main():
    """Does one turn for every line of input."""
    *sizes, steps = map(int, sys.argv[1:6])
    precision, mode = sys.argv[6:]
    batch, snippets, features, classes = sizes
    device = "cuda" if torch.cuda.is_available() else "cpu"
    rounded = precision != "float32"
    torch.backends.cuda.matmul.allow_tf32 = rounded
    torch.backends.cudnn.allow_tf32 = rounded
    # The usual setting for fast convolutions.
    torch.backends.cudnn.benchmark = True
    network = Network(features, classes).to(device)
    optimizer = Adam(network.parameters(), fused=device == "cuda")
    loss_function = torch.compile(loss_of) if mode == "compiled" else loss_of
    f = torch.rand(batch, snippets, features, device=device)
    actions = torch.zeros(batch, classes, device=device)
    actions[:, 0] = 1
    name = torch.cuda.get_device_name() if device == "cuda" else "CPU"
    print(f"{torch.__version__} on {name}", flush=True)

    def step():
        optimizer.zero_grad()
        with torch.autocast(
            device, torch.bfloat16, enabled=precision == "bfloat16"
        ):
            loss = loss_function(network, f, actions)
        loss.backward()
        optimizer.step()
        return loss

    for _ in sys.stdin:
        for _ in range(steps):
            loss = step()
        if device == "cuda":
            torch.cuda.synchronize()
        print(loss.item(), flush=True)


if __name__ == "__main__":
    main()
