"""The rim: routes, authentication, the manners of the wire."""
