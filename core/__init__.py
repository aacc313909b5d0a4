"""Hold what every layer above needs: errors, types, clock, structs, logs and shared memory."""
