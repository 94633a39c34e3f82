"""The same parts on simulated time, with seeded faults and checkers."""
