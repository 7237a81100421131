"""hinaug."""
