"""The study behind docs/results.md: its plan, its rows, its results."""
