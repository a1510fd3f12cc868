"""One workspace of the demo, set up through the API as a customer would."""

import itertools
import time
from dataclasses import dataclass, field
from typing import Any

import httpx

from demo.shop import Shop

_TEMPLATES = {
    "welcome": ("Welcome to {{ user.firstName }}'s tea corner", "Good to have you, {{ user.firstName }}."),
    "thanks": ("Thank you for the {{ user.lastProduct }}", "Your {{ user.lastProduct }} is on its way."),
    "regulars": ("{{ user.firstName }}, you are a regular now", "Here is a cup on us."),
}
_MJML = "<mjml><mj-body><mj-section><mj-column><mj-text>{}</mj-text></mj-column></mj-section></mj-body></mjml>"


@dataclass
class Tenant:
    """A shop with its workspace, segments and journeys."""

    shop: Shop
    http: httpx.Client
    made: dict[str, Any]
    segments: dict[str, str] = field(default_factory=dict[str, str])
    journeys: dict[str, str] = field(default_factory=dict[str, str])
    templates: dict[str, str] = field(default_factory=dict[str, str])

    @property
    def write_key(self) -> str:
        return self.made["writeKey"]

    def call(self, method: str, path: str, **body: Any) -> Any:
        """Call the admin API.

        Raises RuntimeError for any answer but a 2xx.
        """
        headers = {"authorization": f"Bearer {self.made['adminApiKey']}"}
        whole = {"workspaceId": self.made["workspaceId"], **body}
        sent = {"params": whole} if method == "GET" else {"json": whole}
        answer = self.http.request(method, f"/api/admin{path}", headers=headers, **sent)  # type: ignore[arg-type]
        if not answer.is_success:
            raise RuntimeError(f"{method} {path}: {answer.status_code} {answer.text}")
        return answer.json() if answer.content else None

    def set_up(self, mail_port: int) -> None:
        config = {"type": "Smtp", "host": "127.0.0.1", "port": str(mail_port)}
        self.call("PUT", "/settings/email-providers", setDefault=True, config=config)
        last = {"type": "Performed", "event": "Order Completed", "path": "product"}
        self.call("PUT", "/user-properties", name="lastProduct", definition=last)
        for name, (subject, text) in _TEMPLATES.items():
            body = {"type": "Email", "from": "shop@tea.test", "subject": subject, "body": _MJML.format(text)}
            self.templates[name] = self.call("PUT", "/content/templates", name=name, definition=body)["id"]
        self._segment("signed up", {"type": "Performed", "event": "Signed Up", "timesOperator": ">="})
        self._segment("buyers", {"type": "Performed", "event": "Order Completed", "timesOperator": ">="})
        more = {"type": "Performed", "event": "Order Completed", "timesOperator": ">=", "times": 2}
        self._segment("regulars", more)
        club = {"type": "Trait", "path": "plan", "operator": {"type": "Equals", "value": "club"}}
        self._segment("club", club)
        self._journey("welcome", {"type": "EntryNode", "segment": self.segments["signed up"], "child": "mail"})
        self._journey("thanks", {"type": "EntryNode", "segment": self.segments["buyers"], "child": "mail"})
        self._journey("regulars", {"type": "EntryNode", "segment": self.segments["regulars"], "child": "mail"})

    def _segment(self, name: str, node: dict[str, Any]) -> None:
        definition = {"entryNode": {"id": "entry", **node}, "nodes": []}
        self.segments[name] = self.call("PUT", "/segments", name=name, definition=definition)["id"]

    def _journey(self, name: str, entry: dict[str, Any]) -> None:
        variant = {"type": "Email", "templateId": self.templates[name]}
        message = {"type": "MessageNode", "id": "mail", "variant": variant, "child": "ExitNode"}
        definition = {"entryNode": entry, "exitNode": {"type": "ExitNode"}, "nodes": [message]}
        made = self.call("PUT", "/journeys", name=name, status="Running", definition=definition)
        self.journeys[name] = made["id"]

    def size(self, segment: str) -> int:
        return self.call("POST", "/users/count", segmentFilter=[self.segments[segment]])["userCount"]

    def users(self) -> int:
        return self.call("POST", "/users/count")["userCount"]

    def events(self) -> int:
        names = ["Signed Up", "Product Viewed", "Order Completed"]
        tracks = self.call("GET", "/events", limit=1, event=names)["count"]
        return tracks + self.call("GET", "/events", limit=1, eventType="identify")["count"]

    def entered(self) -> int:
        done = self.call("GET", "/events", limit=1, event=["DFJourneyNodeProcessed"])["count"]
        return done // 2  # each run passes its message and its exit

    def deliveries(self) -> dict[tuple[str, str], float]:
        """When each (recipient, subject) was sent, from the API, page after page."""
        found: dict[tuple[str, str], float] = {}
        cursor: str | None = None
        for _ in itertools.count():
            more = {"cursor": cursor} if cursor else {}
            page = self.call("GET", "/deliveries", limit=500, **more)
            for item in page["items"]:
                found[item["variant"]["to"], item["variant"]["subject"]] = time.time()
            cursor = page.get("cursor")
            if not cursor:
                return found
        return found
