"""What this package adds to the commands of `pyconvex`: files for `init`, checks for `doctor`."""
