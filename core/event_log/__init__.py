"""Keep events in one ordered, durable log, which every table in memory is a projection of."""
