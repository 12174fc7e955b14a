"""Units of work on several machines, by Apache Beam.

`units` says what a unit is and keeps the finished ones; `beam` hands units to
a runner, and needs Apache Beam. Nothing here knows what the units do.
"""
