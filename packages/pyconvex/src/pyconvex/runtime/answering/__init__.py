"""How the host answers calls of each kind: actions, watched queries, conflicts, records."""
