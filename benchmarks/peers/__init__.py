"""How the benchmarks install other toolkits, run them and parse their logs."""
