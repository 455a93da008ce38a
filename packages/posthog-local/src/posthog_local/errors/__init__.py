"""Error tracking: exceptions resolved, fingerprinted, and grouped into issues."""
