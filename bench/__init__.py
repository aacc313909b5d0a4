"""Benchmarks: `python -m bench` measures Agora beside other gateways and checks the figures it must reach."""
