"""OTLP as exporters send it: protobuf, JSON and lines of JSON, read into one form."""
