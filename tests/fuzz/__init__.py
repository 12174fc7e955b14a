"""Property tests: any input is read, or refused in one line.

One module per kind of input. `fuzzed` sets the number of examples, `reading`
checks the rules for every example, and `damage` generates the inputs.

    make test                   few examples, the same in every run
    make test-fuzz              an hour, others in every run
    make test-fuzz FUZZ_SEED=7  those of a seed; every run prints its seed
"""
