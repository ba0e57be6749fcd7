"""The one table of routes: each with its permission, its handler, and the words in which it says errors."""

from __future__ import annotations

from mainspring.edges.gateway import foreign
from mainspring.edges.gateway.health import drained, live, metrics, ready
from mainspring.edges.gateway.openapi import openapi
from mainspring.edges.gateway.outcomes import outcomes
from mainspring.edges.gateway.predict import predict
from mainspring.edges.gateway.protocols.problems import said_briefly, said_by_mlflow
from mainspring.edges.gateway.routes import Route, RouteTable
from mainspring.edges.gateway.sources import sources

_OIP, _TF, _MLFLOW = said_briefly, said_briefly, said_by_mlflow
ROUTES = RouteTable(
    (
        Route("POST", "/predict/{name}", predict, "predict"),
        Route("POST", "/outcomes/{name}", outcomes, "outcome"),
        Route("POST", "/sources/{name}", sources, "outcome"),
        Route("GET", "/live", live, "open", spared=True),
        Route("GET", "/ready", ready, "open", spared=True),
        Route("GET", "/metrics", metrics, "read", spared=True),
        Route("GET", "/drained", drained, "read", spared=True),
        Route("GET", "/openapi.json", openapi, "predict"),
        Route("GET", "/v2", foreign.server_metadata, "open", _OIP, spared=True),
        Route("GET", "/v2/health/live", foreign.server_live, "open", _OIP, spared=True),
        Route("GET", "/v2/health/ready", foreign.server_ready, "open", _OIP, spared=True),
        Route("GET", "/v2/models/{name}", foreign.model_metadata, "predict", _OIP),
        Route("GET", "/v2/models/{name}/versions/{version}", foreign.model_metadata, "predict", _OIP),
        Route("GET", "/v2/models/{name}/ready", foreign.model_ready, "predict", _OIP),
        Route("GET", "/v2/models/{name}/versions/{version}/ready", foreign.model_ready, "predict", _OIP),
        Route("POST", "/v2/models/{name}/infer", foreign.infer, "predict", _OIP),
        Route("POST", "/v2/models/{name}/versions/{version}/infer", foreign.infer, "predict", _OIP),
        Route("POST", "/v1/models/{name}:predict", foreign.tf_predict, "predict", _TF),
        Route("POST", "/v1/models/{name}/versions/{version}:predict", foreign.tf_predict, "predict", _TF),
        Route("GET", "/v1/models/{name}", foreign.tf_status, "predict", _TF),
        Route("GET", "/v1/models/{name}/versions/{version}", foreign.tf_status, "predict", _TF),
        Route("GET", "/v1/models/{name}/metadata", foreign.tf_metadata, "predict", _TF),
        Route("GET", "/v1/models/{name}/versions/{version}/metadata", foreign.tf_metadata, "predict", _TF),
        Route("GET", "/ping", foreign.ping, "open", _MLFLOW, spared=True),
        Route("GET", "/health", foreign.ping, "open", _MLFLOW, spared=True),
        Route("POST", "/invocations", foreign.invocations, "predict", _MLFLOW),
    )
)
