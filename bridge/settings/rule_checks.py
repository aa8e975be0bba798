"""What only shows when the keys of a rule, and the rules, are looked at together."""

from typing import Final

from bridge.domain.errors import InvalidTemplate
from bridge.domain.msisdn import NumberStatus
from bridge.domain.rules import NOT_WITHIN_DAYS_MAX, TICKET_ACTIONS, Action
from bridge.domain.texts import Texts
from bridge.settings.findings import READING, Findings, no_number
from bridge.settings.keys import KeyPath, dotted
from bridge.settings.root import Settings
from bridge.settings.rules import RuleSettings
from bridge.settings.values import seconds

_DAY_S: Final = 86_400
# What has a meaning with one action only.
_OF_ACTION: Final = (
    (Action.SEND_WATEMPLATE, ("watemplate", "token", "workspace", "quiet_hours")),
    (Action.ANSWER, ("answer",)),
)
_NEEDED: Final = (
    ("name", "a rule that sends messages needs one, such as missed-call"),
    ("watemplate", "send_watemplate needs to know what; write [rules.watemplate]"),
    ("token", "send_watemplate needs the token of the WhatsApp channel"),
    ("user_id", "Cention wants to know who sends; use the user's database id"),
)


def check_rules(settings: Settings, findings: Findings) -> None:
    """Look at every rule, and at all of them together."""
    names: dict[str, int] = {}
    for number, rule in enumerate(settings.rules):
        path: KeyPath = ("rules", number)
        _check_actions(settings, rule, path, findings)
        _check_texts(settings, rule, path, findings)
        _check_called(settings, rule, path, findings)
        if rule.sends:
            _check_message(settings, rule, path, findings)
        if rule.name is not None:
            first = names.setdefault(rule.name, number)
            if first != number:
                before: KeyPath = ("rules", first, "name")
                text = f"is that of {dotted(before[:2])} too; use another name"
                findings.add((*path, "name"), text, before)


def _check_actions(
    settings: Settings, rule: RuleSettings, path: KeyPath, findings: Findings
) -> None:
    if not rule.on:
        findings.add((*path, "on"), "is empty; name types of event, such as call.answered")
    if not rule.do:
        findings.add((*path, "do"), "is empty; use ignore for a rule that does nothing")
    if Action.IGNORE in rule.do and len(set(rule.do)) > 1:
        findings.add((*path, "do"), "has ignore beside others; ignore stands alone")
    for action, keys in _OF_ACTION:
        for key in keys:
            if key in rule.model_fields_set and action not in rule.do:
                text = f"is for {action}, which is not in do; add it there, or leave this out"
                findings.add((*path, key), text, (*path, "do"))
    _check_tickets(settings, rule, path, findings)
    if Action.ANSWER in rule.do and rule.user_id is None:
        text = "is missing; Cention wants to know who answered; use the user's database id"
        findings.add((*path, "user_id"), text)


def _check_tickets(
    settings: Settings, rule: RuleSettings, path: KeyPath, findings: Findings
) -> None:
    wanted = [action.value for action in rule.do if action in TICKET_ACTIONS]
    if wanted and not settings.oneview.is_on:
        text = f"has {' and '.join(wanted)}, which is One View's; set oneview.base_url"
        findings.add((*path, "do"), text, ("oneview", "base_url"))


def _check_texts(settings: Settings, rule: RuleSettings, path: KeyPath, findings: Findings) -> None:
    texts = Texts()
    for place, text, is_html in rule.rule(settings.read_own_number).templates():
        try:
            texts.add(text, is_html=is_html)
        except InvalidTemplate as error:
            findings.add((*path, *place), f"can't be filled in ({error}); mend the template")


def _check_called(
    settings: Settings, rule: RuleSettings, path: KeyPath, findings: Findings
) -> None:
    for number, called in enumerate(rule.when.dest_numbers):
        if settings.read_own_number(called).status is not NumberStatus.VALID:
            findings.add(
                (*path, "when", "dest_numbers", number),
                no_number(settings.msisdn.default_region),
                *READING,
            )


def _check_message(
    settings: Settings, rule: RuleSettings, path: KeyPath, findings: Findings
) -> None:
    for key, text in _NEEDED:
        if getattr(rule, key) is None and not (key == "user_id" and Action.ANSWER in rule.do):
            findings.add((*path, key), f"is missing; {text}", (*path, "do"))
    if seconds(rule.not_within) > NOT_WITHIN_DAYS_MAX * _DAY_S:
        findings.add((*path, "not_within"), f"is out of range; use {NOT_WITHIN_DAYS_MAX}d at most")
    if seconds(rule.valid_for) <= settings.calls.settle_seconds:
        findings.add(
            (*path, "valid_for"),
            "is over before it may be sent; use more than calls.settle_seconds",
            ("calls", "settle_seconds"),
        )


def unreachable(settings: Settings) -> list[str]:
    """Return a line for each rule that no event comes to, since those before it take them all."""
    lines = []
    taken: set[str] = set()
    for number, rule in enumerate(settings.rules):
        if set(rule.on) <= taken:
            lines.append(
                f"rules.{number}{f' ({rule.name})' if rule.name else ''}: no event comes to it;"
                " rules before it take them all, so put it before them"
            )
        if not rule.when.model_fields_set:
            taken |= set(rule.on)
    return lines
