"""HTTP actions: which one answers a request, and how bodies travel to it and back."""
