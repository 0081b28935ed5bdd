"""Side-by-side measurements of what alertd promises to be fast and small at: `python -m benchmarks`."""
