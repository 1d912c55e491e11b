"""The four dashboards as code: `grafana/build.py` turns them into the JSON that Grafana reads.

`queries` holds the PromQL, `recorded` the names that prometheus/rules make, `outcomes` the colours, `panels` and
`frame` the looks; each dashboard then is one file that reads like its page. Nothing here talks to a server.
"""
