"""The link tags of the wire: `{% unsubscribe_link Leave %}`, `{% unsubscribe_url %}` and their siblings.

The addresses come ready-made in the template's scope as `_links`; without one a link has no `href`.
"""

from html import escape
from typing import TYPE_CHECKING, ClassVar, TextIO

from liquid.ast import Node
from liquid.tag import Tag
from liquid.token import TOKEN_EXPRESSION, TOKEN_TAG, Token

if TYPE_CHECKING:
    from liquid.context import RenderContext
    from liquid.stream import TokenStream


class _LinkNode(Node):
    def __init__(self, token: Token, link: str, text: str | None) -> None:
        super().__init__(token)
        self.link, self.text, self.blank = link, text, False

    def render_to_output(self, context: "RenderContext", buffer: TextIO) -> int:
        links = context.globals.get("_links", {})
        url = links.get(self.link, "") if isinstance(links, dict) else ""  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
        if self.text is None:
            return buffer.write(str(url))  # pyright: ignore[reportUnknownArgumentType]
        href = f' href="{escape(str(url))}"' if url else ""  # pyright: ignore[reportUnknownArgumentType]
        return buffer.write(f'<a class="df-{self.link}" clicktracking=off{href} target="_blank">{self.text}</a>')


class _LinkTag(Tag):
    """A tag that writes an address, or a link with the tag's own words as text."""

    link: ClassVar[str]
    words: ClassVar[str | None] = None

    def parse(self, stream: "TokenStream") -> Node:
        token = stream.eat(TOKEN_TAG)
        text = stream.next().value.strip() if stream.current.kind == TOKEN_EXPRESSION else ""
        return _LinkNode(token, self.link, None if self.words is None else text or self.words)


class UnsubscribeUrl(_LinkTag):
    name, link = "unsubscribe_url", "unsubscribe"


class UnsubscribeLink(_LinkTag):
    name, link, words = "unsubscribe_link", "unsubscribe", "unsubscribe"


class ManagementUrl(_LinkTag):
    name, link = "subscription_management_url", "subscription-management"


class ManagementLink(_LinkTag):
    name, link, words = "subscription_management_link", "subscription-management", "manage subscriptions"


class ViewInBrowser(_LinkTag):
    name, link = "view_in_browser_url", "view-in-browser"


LINK_TAGS = (UnsubscribeUrl, UnsubscribeLink, ManagementUrl, ManagementLink, ViewInBrowser)
