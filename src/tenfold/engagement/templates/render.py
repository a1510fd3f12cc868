"""Rendering: Liquid, then MJML where the text is MJML. Pure; limits keep a template from eating the worker."""

import re
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import mrml
from liquid import BoundTemplate, DictLoader, Environment, FalsyStrictUndefined
from liquid.exceptions import LiquidError
from liquid.extra import BlockTag, ExtendsTag
from markdown_it import MarkdownIt

from tenfold.engagement.templates.layouts import LAYOUTS
from tenfold.engagement.templates.links import LINK_TAGS
from tenfold.kit.errors import Invalid

_MARKDOWN = MarkdownIt("commonmark", {"html": True, "breaks": True, "linkify": False})
_MJML = re.compile(r"<mjml[\s>]", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Context:
    """What a template may speak of."""

    user: dict[str, Any]
    workspace_id: str
    subscription_group_id: str | None = None
    secrets: dict[str, Any] = field(default_factory=dict[str, Any])
    identifier_key: str = ""
    tags: dict[str, str] = field(default_factory=dict[str, str])
    message_id: str = ""
    is_preview: bool = False
    links: dict[str, str] = field(default_factory=dict[str, str])

    def scope(self) -> dict[str, Any]:
        return {
            "user": self.user,
            "workspace_id": self.workspace_id,
            "subscription_group_id": self.subscription_group_id,
            "secrets": self.secrets,
            "identifier_key": self.identifier_key,
            "tags": self.tags,
            "message_id": self.message_id,
            "is_preview": self.is_preview,
            "_links": self.links,
        }


class RenderError(Invalid):
    """A field of a template cannot be rendered; `data["field"]` names it."""


class _Layout(ExtendsTag):
    """`{% layout 'name' %}`, as LiquidJS calls it."""

    name = "layout"


class _Environment(Environment):
    loop_iteration_limit = 10_000
    output_stream_limit = 2 * 1024 * 1024
    context_depth_limit = 30


def render(field_name: str, text: str, context: Context, *, mjml: bool = False) -> str:
    """The text with its variables filled in.

    Raises RenderError for an unknown variable, a fault in the syntax, or a limit passed.
    """
    try:
        rendered = _parse(text).render(**context.scope())
    except LiquidError as error:
        raise RenderError(str(error).splitlines()[0], field=field_name) from error
    except RecursionError as error:
        raise RenderError("nested too deeply", field=field_name) from error
    return _to_html(field_name, rendered) if mjml and _MJML.search(rendered) else rendered


def _to_html(field_name: str, text: str) -> str:
    try:
        return mrml.to_html(text).content
    except OSError as error:
        raise RenderError(f"MJML: {error}", field=field_name) from error


def _markdown(text: object) -> str:
    return _MARKDOWN.render(str(text))


@lru_cache(maxsize=4096)
def _parse(text: str) -> BoundTemplate:
    return _environment().from_string(text)


@lru_cache(maxsize=1)
def _environment() -> Environment:
    environment = _Environment(undefined=FalsyStrictUndefined, loader=DictLoader(LAYOUTS))
    environment.add_filter("markdown", _markdown)
    for tag in (_Layout, BlockTag, *LINK_TAGS):
        environment.add_tag(tag)
    return environment
