"""pyregistry beside other registries: the same scenarios, interleaved, in one run. `python -m benches.peers --help`."""
