"""Benchmarks of streams against the naive loop: pytest cases, and `python -m benchmarks`."""
