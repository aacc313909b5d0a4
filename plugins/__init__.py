"""Hold the built-in plugins, one file each; the table is their list."""

BUILT_IN: dict[str, str] = {
    "allow": "plugins.allow:Allow",
    "api-key": "plugins.api_key:ApiKey",
    "circuit-breaker": "plugins.circuit_breaker:CircuitBreaker",
    "concurrency-limit": "plugins.concurrency_limit:ConcurrencyLimit",
    "cors": "plugins.cors:Cors",
    "headers": "plugins.headers:HeaderEditor",
    "ip-filter": "plugins.ip_filter:IpFilter",
    "jwt": "plugins.jwt:Jwt",
    "rate-limit": "plugins.rate_limit:RateLimit",
    "request-id": "plugins.request_id:RequestId",
    "request-log": "plugins.request_log:RequestLogging",
    "retry": "plugins.retry:Retry",
    "rewrite": "plugins.rewrite:Rewrite",
    "size-limit": "plugins.size_limit:SizeLimit",
    "timeout": "plugins.timeout:Timeout",
    "trace": "plugins.trace:Trace",
}
