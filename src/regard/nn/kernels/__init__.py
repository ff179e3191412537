"""Native kernels for float32 on a CPU: C sources, their build, and their gradients."""
