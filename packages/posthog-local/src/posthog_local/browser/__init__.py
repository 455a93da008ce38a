"""What a browser SDK asks for before and beside its events: configuration, scripts, empty lists."""
