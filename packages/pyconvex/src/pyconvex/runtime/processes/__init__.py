"""The processes of a deployment: how one is started, spoken with, measured, and ended with us."""
