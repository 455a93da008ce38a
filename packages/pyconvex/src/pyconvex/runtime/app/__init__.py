"""The app: its source becomes modules, and these what a call can find."""
