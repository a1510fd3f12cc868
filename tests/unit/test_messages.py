"""What messages say, whose turn it is, and how secrets are kept."""

from typing import Any
from uuid import UUID, uuid4

import pytest
from cryptography.exceptions import InvalidTag

from tenfold.engagement.audience.folding import Folder, share
from tenfold.engagement.channels.model import Email
from tenfold.engagement.deliveries.model import Intent
from tenfold.engagement.deliveries.prepare import Inputs, Prepared, Refused, prepare
from tenfold.engagement.templates.render import Context, RenderError, render
from tenfold.tenancy import keys


def said(text: str, **user: Any) -> str:
    return render("body", text, Context(user, "w"))


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("Hi {{ user.name }}", "Hi Ann"), ("{{ user.name | upcase }}", "ANN"), ("{% if user.none %}x{% else %}y{% endif %}", "y"),
        ("{{ user.none | default: 'you' }}", "you"), ("{{ '*hi*' | markdown }}", "<p><em>hi</em></p>\n"),
        ("{% unsubscribe_url %}", ""), ("{% unsubscribe_link Leave us %}", ">Leave us</a>"),
        ("{% layout 'markdown-email' %}{% block md-content %}# Hi{% endblock %}", "<h1>Hi</h1>"),
    ],
)  # fmt: skip
def test_liquid(text: str, wanted: str) -> None:
    assert wanted in said(text, name="Ann")


@pytest.mark.parametrize(
    "text",
    [
        "{{ user.unknown }}",
        "{{",
        "{% nope %}",
        "{% for i in (1..99999999) %}x{% endfor %}",
        "{% include '/etc/passwd' %}",
    ],
)
def test_a_template_at_fault_says_so(text: str) -> None:
    with pytest.raises(RenderError):
        said(text)


def test_mjml_becomes_html_and_other_text_stays() -> None:
    mjml = "<mjml><mj-body><mj-section><mj-column><mj-text>Hi</mj-text></mj-column></mj-section></mj-body></mjml>"
    assert "<!doctype html>" in render("body", mjml, Context({}, "w"), mjml=True)
    assert render("body", "<p>Hi</p>", Context({}, "w"), mjml=True) == "<p>Hi</p>"


MAIL = {"type": "Email", "from": "a@b.test", "subject": "S {{ user.name }}", "body": "B"}


def inputs(template: dict[str, Any] | None = MAIL, group: Any = None, segments: Any = (), **properties: Any) -> Inputs:
    from tenfold.engagement.channels.service import EmailProvider

    provider = EmailProvider("Test", {"type": "Test"}, True, None)
    chosen = str(group["id"]) if group else None
    intent = Intent({"type": (template or MAIL)["type"], "templateId": "t"}, chosen)
    return Inputs(
        uuid4(), uuid4(), "u", uuid4(), intent, template, {"id": "u", **properties}, segments, group, [provider]
    )


def test_a_mail_is_prepared() -> None:
    found = prepare(inputs(email="ann@x.test", name="Ann", template={**MAIL, "cc": "c@x.test, d@x.test"}))
    assert isinstance(found, Prepared)
    assert isinstance(found.content, Email)
    assert (found.content.subject, found.content.to, found.content.cc) == (
        "S Ann",
        "ann@x.test",
        ("c@x.test", "d@x.test"),
    )


REFUSALS = [
    (inputs(None), "DFBadWorkspaceConfiguration", "MessageTemplateNotFound"),
    (inputs(email="a@x.test"), "DFBadWorkspaceConfiguration", "MessageTemplateRenderError"),
    (inputs(name="Ann"), "DFMessageSkipped", "MissingIdentifier"),
    (inputs(name="Ann", email=5), "DFMessageSkipped", "MissingIdentifier"),
    (
        inputs({"type": "Webhook", "identifierKey": "id", "body": "no json"}),
        "DFBadWorkspaceConfiguration",
        "MessageTemplateMisconfigured",
    ),
    (
        inputs(group={"id": UUID(int=1), "type": "OptIn"}, name="A", email="a@x.test"),
        "DFMessageSkipped",
        "SubscriptionState",
    ),
]


@pytest.mark.parametrize(("given", "event", "kind"), REFUSALS)
def test_a_message_that_cannot_go_says_why(given: Inputs, event: str, kind: str) -> None:
    found = prepare(given)
    assert isinstance(found, Refused)
    assert (str(found.event), found.variant["type"]) == (event, kind)


def row(lane: int, seq: int, size: int) -> Any:
    return {"lane": UUID(int=lane), "seq": seq, "size": size}


def test_a_flood_waits_behind_itself() -> None:
    flood = [row(1, seq, 100) for seq in range(100)]
    small = [row(lane, 1, 10) for lane in range(2, 10)]
    taken = share([*flood, *small], 1500)
    lanes = {item["lane"].int for item in taken}
    assert lanes == set(range(1, 10))
    assert 1500 <= sum(item["size"] for item in taken) < 1700


def test_what_nobody_else_wants_goes_to_whoever_waits() -> None:
    flood = [row(1, seq, 100) for seq in range(100)]
    assert sum(item["size"] for item in share(flood, 1500)) == 1500
    assert [item["seq"] for item in share(flood, 300)] == [0, 1, 2]


def test_sealed_values_open_only_where_they_belong() -> None:
    secret, alice, charlie = b"s" * 32, uuid4(), uuid4()
    sealed = keys.seal(secret, alice, "smtp", b"password")
    assert keys.unseal(secret, alice, "smtp", sealed) == b"password"
    assert b"password" not in sealed
    for workspace, purpose, key in ((charlie, "smtp", secret), (alice, "other", secret), (alice, "smtp", b"t" * 32)):
        with pytest.raises(InvalidTag):
            keys.unseal(key, workspace, purpose, sealed)


@pytest.mark.parametrize(
    "wrap", [lambda key: key, lambda key: "Basic " + __import__("base64").b64encode(f"{key}:".encode()).decode()]
)
def test_write_keys_are_read_however_a_client_wraps_them(wrap: Any) -> None:
    header = keys.basic_credentials(UUID(int=5), "value")
    assert keys.parse_basic(wrap(header)) == (str(UUID(int=5)), "value")


async def test_a_lane_that_cannot_be_folded_rests_and_the_others_go_on(monkeypatch: pytest.MonkeyPatch) -> None:
    folder = Folder(None)  # type: ignore[arg-type]
    folded: list[int] = []

    async def fold(rows: list[Any], lanes: set[UUID]) -> int:
        if UUID(int=2) in lanes:
            raise OverflowError
        folded.extend(lane.int for lane in lanes)
        return len(rows)

    monkeypatch.setattr(folder, "_fold_held", fold)
    assert await folder._try([row(lane, 1, 1) for lane in (1, 2, 3)]) == 2
    assert (sorted(folded), set(folder._round.out())) == ([1, 3], {UUID(int=2)})
