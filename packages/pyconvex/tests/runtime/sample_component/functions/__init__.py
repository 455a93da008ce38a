"""The modules whose functions the component exports."""
