"""What several benchmarks use: simulated lines and series with known answers, and how to score against them."""
