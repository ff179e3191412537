"""How benchmarks run other toolkits: what each is installed from, how it is called, and what its log says."""
