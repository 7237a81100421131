"""How anything learns."""
