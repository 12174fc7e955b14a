"""The study behind docs/results.md: plan, rows and results."""
