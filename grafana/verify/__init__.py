"""Whether the dashboards show the truth, without a Grafana server: made-up history, real Prometheus, Grafana's parts.

`history` makes requests, `scraped` what was seen of them, `prometheus` a running Prometheus of that; `asking` puts a
dashboard's queries to it as Grafana would; `truth` compares; `render` draws the answers with Grafana's components.
"""
