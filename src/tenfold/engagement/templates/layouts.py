"""The layouts to build on: `base-email` (blocks style, content) and `markdown-email` (block md-content)."""

_BASE = """<!DOCTYPE html>
<html lang="en">
  <head>
    <meta charset="utf-8">
    <meta name="viewport" content="width=device-width, initial-scale=1">
    <style>
      body { margin: 0; padding: 24px; font-family: system-ui, sans-serif; line-height: 1.5; color: #1c2024; }
      main { max-width: 600px; margin: 0 auto; }
      a { color: #0b5fff; }
      {% block style %}{% endblock %}
    </style>
  </head>
  <body><main>{% block content %}{% endblock %}</main></body>
</html>
"""

_MARKDOWN = """{% layout 'base-email' %}
{% block content %}{% capture md %}{% block md-content %}{% endblock %}{% endcapture %}{{ md | markdown }}{% endblock %}
"""

LAYOUTS = {"base-email": _BASE, "markdown-email": _MARKDOWN}
