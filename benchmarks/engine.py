"""What `--engine=beam` costs a shard, and what a second worker brings.

    python -m benchmarks.engine --videos=400 --features=2048 --shards 8 64

Random features are converted by the command, in turns: by this machine's
threads (local, one and two of them), by Beam in one process (DirectRunner), and
by Dask on the loopback interface with one worker and with two. Each run is a
process of its own, so all times include the start of TensorFlow, and Beam's of
Beam. The cost of a shard is the difference between many and few shards.
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

_SECONDS = 1800  # after which everything ends


def main():
    """Measures each way with each number of shards and prints the table."""
    sizes = _arguments()
    with tempfile.TemporaryDirectory(dir=sizes.folder) as folder:
        root = pathlib.Path(folder)
        total = conversion.write_features(root / "raw", sizes.videos, sizes)
        print(f"{total / 1e6:.0f} MB, {sizes.videos} videos")
        seconds = {}
        for _ in range(sizes.rounds):
            for shards in sizes.shards:
                for way, flags in _ways(root):
                    found = seconds.setdefault((way, shards), [])
                    found.append(_convert(root, shards, way, flags))
    few, many = sizes.shards
    print(f"| | {few} shards | {many} shards | a shard |")
    print("|---|---|---|---|")
    for way, _ in _ways(root):
        first, last = (statistics.median(seconds[way, n]) for n in (few, many))
        cost = 1000 * (last - first) / (many - few)
        print(f"| {way} | {first:.1f} s | {last:.1f} s | {cost:.0f} ms |")


def _ways(root):
    """Names of the ways to convert, and their flags."""
    dask = (
        "--runner=DaskRunner",
        f"--dask_scheduler_file={root / 'scheduler.json'}",
        "--dask_npartitions=8",
    )
    return (
        ("local, one thread", ("--num_workers=1",)),
        ("local, two threads", ("--num_workers=2",)),
        ("Beam, one process", ("--engine=beam", "--", "--runner=DirectRunner")),
        ("Dask, one worker", ("--engine=beam", "--", *dask)),
        ("Dask, two workers", ("--engine=beam", "--", *dask)),
    )


def _convert(root, shards, way, flags):
    """Seconds of the command; the workers are there before it starts."""
    workers = {"Dask, one worker": 1, "Dask, two workers": 2}.get(way, 0)
    with _cluster(root, workers) if workers else contextlib.nullcontext():
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
    """Dask's scheduler and workers; warm, since a run was done before."""
    file = root / "scheduler.json"
    start = ["timeout", str(_SECONDS), sys.executable, "-m"]
    scheduler = [*start, "distributed.cli.dask_scheduler", "--host=127.0.0.1"]
    worker = [*start, "distributed.cli.dask_worker", "--nthreads=1"]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    with contextlib.ExitStack() as stack:

        def run(command, *flags):
            process = subprocess.Popen(
                [
                    *command,
                    f"--scheduler-file={file}",
                    "--no-dashboard",
                    *flags,
                ],
                cwd=root,
                **quiet,
            )
            stack.callback(process.wait, 60)
            stack.callback(process.terminate)

        run(scheduler, "--port=0")
        while not file.exists():
            time.sleep(0.1)
        for number in range(workers):
            run(worker, "--no-nanny", f"--local-directory={root / str(number)}")
        from distributed import Client

        with Client(scheduler_file=str(file), timeout=120) as client:
            client.wait_for_workers(workers, timeout=120)
            # What a worker imports once in its life, not in each run.
            client.run(__import__, "tfrecords_tools.sharding.units")
        yield
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
    parser.add_argument("--layout", choices=("folders",), default="folders")
    parser.add_argument("--folder", help="where to write; default: /tmp")
    return parser.parse_args()


if __name__ == "__main__":
    main()
