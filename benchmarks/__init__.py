"""What a stream costs beside the naive loop: pytest-benchmark cases, and `python -m benchmarks`."""
