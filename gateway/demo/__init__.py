"""Fill the market of a running gateway with traders, over HTTP, and see that no money is lost."""
