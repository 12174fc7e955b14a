"""Cost of `--engine=beam` per shard, and gain of a second worker.

    python -m benchmarks.engine --videos=400 --features=2048 --shards 8 64

The command converts random features, in turns: with threads of this machine
(local, one and two), with Beam in one process (DirectRunner), and with Dask on
the loopback interface with one worker and with two. Each run is a process, so
all times include the start of TensorFlow and, where used, of Beam. The
difference between many and few shards gives the cost of a shard.
"""

import argparse
import contextlib
import pathlib
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

from benchmarks import conversion
from tests.engine.cluster import Cluster, wait_for

_SECONDS = 600  # time limit of a run


def main():
    """Measures each engine with each number of shards and prints the table."""
    sizes = _arguments()
    with tempfile.TemporaryDirectory(dir=sizes.folder) as folder:
        root = pathlib.Path(folder)
        total = conversion.write_features(root / "raw", sizes.videos, sizes)
        print(f"{total / 1e6:.0f} MB, {sizes.videos} videos")
        seconds = {}
        for _ in range(sizes.rounds):
            for shards in sizes.shards:
                for way, flags, workers in _ways():
                    found = seconds.setdefault((way, shards), [])
                    found.append(_convert(root, shards, flags, workers))
    few, many = sizes.shards
    print(f"| | {few} shards | {many} shards | a shard |")
    print("|---|---|---|---|")
    for way, _, _ in _ways():
        first, last = (statistics.median(seconds[way, n]) for n in (few, many))
        cost = 1000 * (last - first) / (many - few)
        print(f"| {way} | {first:.1f} s | {last:.1f} s | {cost:.0f} ms |")


def _ways():
    """Name, flags and number of Dask workers of each way to convert."""
    beam = ("--engine=beam", "--")
    return (
        ("local, one thread", ("--num_workers=1",), 0),
        ("local, two threads", ("--num_workers=2",), 0),
        ("Beam, one process", (*beam, "--runner=DirectRunner"), 0),
        ("Dask, one worker", beam, 1),
        ("Dask, two workers", beam, 2),
    )


def _convert(root, shards, flags, workers):
    """Seconds of the command, without the start of the workers."""
    with contextlib.ExitStack() as stack:
        if workers:
            flags = (*flags, *stack.enter_context(_cluster(root, workers)))
        begin = time.perf_counter()
        subprocess.run(
            [sys.executable, "-m", "tfrecords_tools.convert"]
            + [f"--features_dir={root / 'raw'}", f"--num_shards={shards}"]
            + [f"--output_dir={root / 'records'}", *flags],
            check=True,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            timeout=_SECONDS,
        )
        seconds = time.perf_counter() - begin
    shutil.rmtree(root / "records")
    return seconds


@contextlib.contextmanager
def _cluster(root, workers):
    """Runs Dask's scheduler and workers; yields Beam's flags to use them.

    The workers have already imported all modules, which they do only once.
    """
    from distributed import Client

    file = root / "scheduler.json"
    cluster = Cluster(root)
    try:
        for _ in range(workers):
            cluster.add_worker()
        wait_for(file.exists)
        with Client(scheduler_file=str(file), timeout=120) as client:
            client.wait_for_workers(workers, timeout=120)
            client.run(__import__, "tfrecords_tools.sharding.units")
        yield cluster.arguments(npartitions=8)
    finally:
        cluster.stop()
        file.unlink(missing_ok=True)


def _arguments():
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--videos", type=int, default=400)
    parser.add_argument("--features", type=int, default=2048)
    parser.add_argument("--shards", type=int, nargs=2, default=[8, 64])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--folder", help="where to write; default: /tmp")
    parser.set_defaults(layout="folders")  # for conversion.write_features
    return parser.parse_args()


if __name__ == "__main__":
    main()
