"""Control: what a test or a person asks of the server itself, under `/_local/`."""
