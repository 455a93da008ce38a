"""What our claims are measured beside: the same work, written as its own documentation has it."""
