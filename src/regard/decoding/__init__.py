"""Search: what a decoder makes of a memory. It knows the contract and no model."""
