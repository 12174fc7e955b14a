"""Property tests: any input is read, or refused in one line.

One module for each kind of input. `fuzzed` says how many examples a test has,
`reading` what every example must keep to, and `damage` where inputs come from.

    make test                   few examples, the same ones in every run
    make test-fuzz              an hour, other ones in every run
    make test-fuzz FUZZ_SEED=7  those of a seed, which every run prints
"""
