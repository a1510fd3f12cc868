"""From an intent to something a provider can be given, or the reason why not. Pure."""

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from tenfold.engagement.channels.model import Email, WebhookRequest
from tenfold.engagement.channels.service import EmailProvider, pick
from tenfold.engagement.deliveries.model import Intent
from tenfold.engagement.events.model import Internal
from tenfold.engagement.subscriptions.service import is_subscribed
from tenfold.engagement.templates.render import Context, RenderError, render
from tenfold.kit.errors import Invalid
from tenfold.kit.jsontypes import as_object
from tenfold.storage.db import Row

_IDENTIFIERS = {"Email": "email", "Sms": "phone", "MobilePush": "deviceToken", "Webhook": "id"}


@dataclass(frozen=True, slots=True)
class Inputs:
    """Everything that decides on one message."""

    workspace_id: UUID
    message_id: UUID
    user_id: str
    template_id: UUID
    intent: Intent
    template: Mapping[str, Any] | None
    properties: Mapping[str, Any]
    segments: Collection[UUID]
    group: Row | None
    providers: list[EmailProvider]
    secrets: Mapping[str, Any] = field(default_factory=dict[str, Any])
    tags: Mapping[str, str] = field(default_factory=dict[str, str])


@dataclass(frozen=True, slots=True)
class Prepared:
    """Ready to leave. `variant` is the wire's record of it, still without the provider's answer."""

    content: Email | WebhookRequest
    provider: EmailProvider | None
    variant: dict[str, Any]
    recipient: str
    sender: str | None


@dataclass(frozen=True, slots=True)
class Refused:
    """Not to be sent: the event that says so, and its variant."""

    event: Internal
    variant: dict[str, Any]


def prepare(inputs: Inputs) -> Prepared | Refused:
    """The order of checks is the wire's: subscription, template, rendering, identifier, provider."""
    if (refusal := _subscription(inputs)) is not None:
        return refusal
    channel, template = inputs.intent.variant["type"], inputs.template
    if template is None:
        return _bad("MessageTemplateNotFound")
    if template.get("type") != channel:
        return _bad("MessageTemplateMisconfigured", message=f"the template is not of type {channel}")
    try:
        return _email(inputs, template) if channel == "Email" else _webhook(inputs, template)
    except RenderError as error:
        return _bad("MessageTemplateRenderError", field=error.data.get("field", ""), error=error.message)
    except Invalid as error:
        return _bad("MessageTemplateMisconfigured", message=error.message)


def _subscription(inputs: Inputs) -> Refused | None:
    if inputs.intent.subscription_group_id is None:
        return None
    if inputs.group is None:
        return _bad("SubscriptionGroupNotFound")
    if is_subscribed(inputs.group, inputs.segments):
        return None
    kind = inputs.group["type"]
    action = "Unsubscribe" if kind == "OptOut" else None
    return Refused(
        Internal.MESSAGE_SKIPPED,
        {"type": "SubscriptionState", "action": action, "subscriptionGroupType": kind},
    )


def _email(inputs: Inputs, template: Mapping[str, Any]) -> Prepared | Refused:
    if template.get("emailContentsType") == "LowCode":
        raise Invalid("low-code e-mail bodies cannot be sent yet")
    key, context = _context(inputs, template)
    texts = {
        name: render(name, template[name], context, mjml=name == "body")
        for name in ("from", "subject", "body", "replyTo", "cc", "bcc", "name")
        if template.get(name)
    }
    headers = {item["name"]: render("headers", item["value"], context) for item in template.get("headers") or ()}
    to = inputs.properties.get(key)
    if not isinstance(to, str) or not to.strip():
        return _missing(key)
    provider = pick(inputs.providers, inputs.intent.variant.get("providerOverride"))
    if provider is None:
        return _bad("MessageServiceProviderNotFound")
    sender = texts.get("from") or provider.from_address or ""
    content = Email(
        str(inputs.message_id), sender, to.strip(), texts.get("subject", ""), texts.get("body", ""),
        texts.get("name"), texts.get("replyTo"), _addresses(texts.get("cc")), _addresses(texts.get("bcc")), headers,
    )  # fmt: skip
    variant = {"type": "Email", "to": content.to, "headers": headers, **texts, "from": sender}
    return Prepared(content, provider, variant, content.to, sender)


def _webhook(inputs: Inputs, template: Mapping[str, Any]) -> Prepared | Refused:
    key, context = _context(inputs, template)
    rendered = render("body", template["body"], context)
    to = inputs.properties.get(key, inputs.user_id if key == "id" else None)
    if not isinstance(to, (str, int, float)) or to == "":
        return _missing(key)
    try:
        body: Any = json.loads(rendered)
    except ValueError as error:
        raise Invalid(f"the body is not JSON: {error}") from error
    whole = as_object(body) or {}
    config = as_object(whole.get("config"))
    if config is None:
        raise Invalid("the body needs an object `config`")
    secret = as_object(whole.get("secret")) or {}
    content = WebhookRequest(str(inputs.message_id), config, secret)
    return Prepared(content, None, {"type": "Webhook", "to": str(to), "request": config}, str(to), None)


def _context(inputs: Inputs, template: Mapping[str, Any]) -> tuple[str, Context]:
    key = template.get("identifierKey") or _IDENTIFIERS[inputs.intent.variant["type"]]
    return key, Context(
        user=dict(inputs.properties),
        workspace_id=str(inputs.workspace_id),
        subscription_group_id=inputs.intent.subscription_group_id,
        secrets=dict(inputs.secrets),
        identifier_key=key,
        tags=dict(inputs.tags),
        message_id=str(inputs.message_id),
    )


def _addresses(text: str | None) -> tuple[str, ...]:
    return tuple(part.strip() for part in (text or "").split(",") if part.strip())


def _bad(kind: str, **more: Any) -> Refused:
    return Refused(Internal.BAD_CONFIGURATION, {"type": kind, **more})


def _missing(key: str) -> Refused:
    return Refused(Internal.MESSAGE_SKIPPED, {"type": "MissingIdentifier", "identifierKey": key})
