"""Scheduled functions and cron jobs: what is asked for, when it is due, and having it run."""
