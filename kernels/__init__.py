"""tinydx_kernels: fast implementations of ops of the table. tinydx finds them, in a checkout always its own."""
