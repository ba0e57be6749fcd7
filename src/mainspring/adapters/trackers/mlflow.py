"""An MLflow server's model registry, spoken to over its REST API; MLflow itself is not needed here."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from urllib.parse import urlencode, urlsplit

import msgspec

from mainspring.adapters.notifiers.outbound import Outbound
from mainspring.kernel.errors import Unavailable
from mainspring.loop.mirror import Tracked, TrackedModel

TAG = "mainspring.version"
_ROOT = "/api/2.0/mlflow"
_PAGE = 200
_ABSENT = "RESOURCE_DOES_NOT_EXIST"


class MlflowTracker:
    """Makes registered models, versions and aliases of an MLflow server equal to ours.

    The server numbers versions itself: ours are found again by the tag ``mainspring.version``. An alias that we have is
    ours there too; aliases of other names, and models of other names, are left alone.
    """

    def __init__(self, url: str, *, home: str, token: str = "", timeout_s: float = 10.0) -> None:
        host = str(urlsplit(url).hostname)
        self._url = url.rstrip("/")
        self._home = home
        self._token = token
        self._outbound = Outbound(
            hosts=(host,), allow_private=True, allow_plain=True, timeout_s=timeout_s, most_answer_bytes=8 * 1024**2
        )
        self._outbound.check(self._url)

    def mirror(self, models: Sequence[TrackedModel]) -> int:
        """Make what is there equal to ``models`` and return how much was changed."""
        return sum(self._mirror(model) for model in models)

    def _mirror(self, model: TrackedModel) -> int:
        changed = 0
        there = self._ask("GET", "registered-models/get", {"name": model.name}, absent=True)
        if there is None:
            tags = [{"key": "mainspring.home", "value": self._home}]
            there = self._ask("POST", "registered-models/create", {"name": model.name, "tags": tags}) or {}
            changed += 1
        known = self._versions(model.name)
        pointed = {one["alias"]: one["version"] for one in there.get("registered_model", {}).get("aliases", [])}
        for alias, version in model.aliases.items():
            number = known.get(version.id)
            if number is None:
                number = known[version.id] = self._create(model.name, version)
                changed += 1
            if pointed.get(alias) != number:
                self._ask("POST", "registered-models/alias", {"name": model.name, "alias": alias, "version": number})
                changed += 1
        return changed

    def _versions(self, name: str) -> dict[str, str]:
        """Return the server's numbers of our versions, by our ids; the first one made counts."""
        found: dict[str, str] = {}
        page = ""
        while True:
            asked = {"filter": f"name='{name}'", "max_results": str(_PAGE), **({"page_token": page} if page else {})}
            said = self._ask("GET", "model-versions/search", asked) or {}
            for one in said.get("model_versions", []):
                for tag in one.get("tags", []):
                    if tag["key"] == TAG and int(one["version"]) < int(found.get(tag["value"], 10**9)):
                        found[tag["value"]] = one["version"]
            page = said.get("next_page_token", "")
            if not page:
                return found

    def _create(self, name: str, version: Tracked) -> str:
        said = self._ask(
            "POST",
            "model-versions/create",
            {
                "name": name,
                "source": f"mainspring:/{self._home}/{version.id}",
                "description": f"version {version.number} of mainspring, {version.runtime}",
                "tags": [
                    {"key": TAG, "value": version.id},
                    {"key": "mainspring.number", "value": str(version.number)},
                    {"key": "mainspring.digest", "value": version.digest},
                ],
            },
        )
        return str((said or {})["model_version"]["version"])

    def _ask(self, method: str, call: str, asked: dict[str, Any], *, absent: bool = False) -> dict[str, Any] | None:
        url = f"{self._url}{_ROOT}/{call}"
        headers = {"content-type": "application/json"}
        if self._token:
            headers["authorization"] = f"Bearer {self._token}"
        if method == "GET":
            status, body = self._outbound.ask("GET", f"{url}?{urlencode(asked)}", b"", headers)
        else:
            status, body = self._outbound.ask(method, url, msgspec.json.encode(asked), headers)
        try:
            said = msgspec.json.decode(body, type=dict[str, Any]) if body else {}
        except msgspec.DecodeError:
            said = {}
        if status == 200:
            return said
        if absent and said.get("error_code") == _ABSENT:
            return None
        raise Unavailable(f"refused with {status}: {str(said.get('message', ''))[:200]}", field="mlflow", value=call)
