"""Hold what knows sockets, processes, argv and the environment, and join the engines."""
