"""`python -m posthog_local`, the same as the command `posthog-local`."""

from posthog_local.cli import main

main()
