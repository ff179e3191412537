"""The loss, the optimizer, and the loop; validation comes in through a callback."""
