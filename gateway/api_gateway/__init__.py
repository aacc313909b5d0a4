"""The control plane's HTTP API: resources, tokens, history, and the state of what runs."""
