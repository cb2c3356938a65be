"""tinydx_kernels: fast implementations of ops of the table. A checkout of tinydx always uses its own copy."""
