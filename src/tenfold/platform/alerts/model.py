"""The rules. Pure: what is used and allowed, what went on lately; out come the alerts that hold."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlsplit

from tenfold.kit.errors import Invalid
from tenfold.storage.db import Row
from tenfold.tenancy.quotas.model import COUNTED, MONTHLY, Limits

LEVELS: Final = (100, 80)  # per cent of a quota
_LEAST_REQUESTS = 20  # fewer say nothing about a rate


@dataclass(frozen=True, slots=True)
class AlertSettings:
    """What a workspace wants to be told of. None: not of that. Mail goes to its Admins."""

    quotas: bool = True
    lag_seconds: float | None = 60
    error_percent: float | None = 5
    mail: bool = True
    webhook_url: str | None = None

    @staticmethod
    def read(given: Mapping[str, Any]) -> "AlertSettings":
        """From a request.

        Raises Invalid, naming the field.
        """
        url = given.get("webhookUrl")
        if url is not None and (not isinstance(url, str) or urlsplit(url).scheme not in ("http", "https")):
            raise Invalid("webhookUrl must be a URL that starts with http:// or https://")
        return AlertSettings(
            quotas=_flag(given, "quotas"),
            lag_seconds=_number(given, "lagSeconds", 60),
            error_percent=_number(given, "errorPercent", 5),
            mail=_flag(given, "mail"),
            webhook_url=url,
        )

    def shown(self) -> dict[str, Any]:
        return {
            "quotas": self.quotas,
            "lagSeconds": self.lag_seconds,
            "errorPercent": self.error_percent,
            "mail": self.mail,
            "webhookUrl": self.webhook_url,
        }


@dataclass(frozen=True, slots=True)
class Alert:
    """Something is wrong: by which rule, with what, how badly (per cent of a quota, seconds, per cent of requests)."""

    rule: str
    subject: str
    level: int
    message: str


def judge(
    settings: AlertSettings, limits: Limits, used: Mapping[str, int], month: str, lately: Sequence[Row]
) -> list[Alert]:
    """The alerts that hold. `used` has the quota counters, `lately` the usage of the last minutes."""
    found = _quotas(limits, used, month) if settings.quotas else []
    lag = max((row["lag_ms"] for row in lately), default=0) / 1000
    if settings.lag_seconds is not None and lag > settings.lag_seconds:
        found.append(Alert("lag", "events", round(lag), f"events waited up to {lag:.0f} s to be processed"))
    requests, errors = sum(row["requests"] for row in lately), sum(row["errors"] for row in lately)
    share = 100 * errors / requests if requests else 0
    if settings.error_percent is not None and requests >= _LEAST_REQUESTS and share > settings.error_percent:
        found.append(Alert("errors", "requests", round(share), f"{share:.0f} % of {requests} requests failed"))
    return found


def _quotas(limits: Limits, used: Mapping[str, int], month: str) -> list[Alert]:
    found: list[Alert] = []
    for resource, field in COUNTED.items():
        limit, has = limits.get(field), used.get(f"{resource}:{month}" if resource in MONTHLY else resource, 0)
        level = next((level for level in LEVELS if limit and has * 100 >= limit * level), None)
        if limit and level:
            words = "is used up" if level == LEVELS[0] else f"is {level} % used"
            found.append(Alert("quota", resource, level, f"the quota of {resource} {words}: {has} of {limit}"))
    return found


def _flag(given: Mapping[str, Any], name: str) -> bool:
    value = given.get(name, True)
    if not isinstance(value, bool):
        raise Invalid(f"{name} must be true or false")
    return value


def _number(given: Mapping[str, Any], name: str, usual: float) -> float | None:
    value = given.get(name, usual)
    if value is not None and (isinstance(value, bool) or not isinstance(value, (int, float)) or value < 0):
        raise Invalid(f"{name} must be a number of 0 or more, or null")
    return value
