"""What a deployment holds for itself, in system tables: variables, addresses, trust, a secret."""
