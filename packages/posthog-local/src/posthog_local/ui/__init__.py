"""The pages: what arrived, who it belongs to, which flags are on, as people read it."""
