"""Certificate signing requests: approved where a rule says so, signed when approved, removed when old."""
