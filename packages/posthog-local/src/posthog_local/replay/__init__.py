"""Session replay: what the browser recorded, unpacked and kept in order."""
