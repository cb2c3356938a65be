"""tinydx_kernels: fast implementations of ops of the table, found by tinydx where they are installed."""
