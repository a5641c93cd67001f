"""Mutants of whose WeChat is bound to whose account."""

from __future__ import annotations

from tests.mutants.mutant import Mutant

WECHAT = "booking/web/wechat.py"
PERSON = "booking/notices/senders/wechat_person.py"
DOOR = "tests/doors/test_web_wechat.py::"

PEOPLE = (
    Mutant(
        "wechat-state-not-compared",
        "what comes back from WeChat belongs to a beginning in the same browser",
        "N18",
        WECHAT,
        (("return same(str(kept[0]), state) and kept[1]", "return kept[1]"),),
        (
            DOOR + "test_a_way_back_that_another_browser_began_binds_nothing",
            DOOR + "test_the_way_back_is_good_once_and_for_ten_minutes",
        ),
    ),
    Mutant(
        "wechat-state-without-account",
        "a beginning is worth something only to the account that was signed in",
        "N18",
        WECHAT,
        ((" and kept[1] == _me().account_id and ", " and "),),
        (DOOR + "test_the_way_back_is_good_only_for_the_account_that_began",),
    ),
    Mutant(
        "wechat-state-for-ever",
        "a beginning is worth something for ten minutes",
        "N18",
        WECHAT,
        ((" and now().timestamp() < kept[2]\n", "\n"),),
        (DOOR + "test_the_way_back_is_good_once_and_for_ten_minutes",),
    ),
    Mutant(
        "wechat-state-used-again",
        "a beginning is used up by the button",
        "N18",
        WECHAT,
        (("    session.pop(WECHAT)\n", ""),),
        (DOOR + "test_the_way_back_is_good_once_and_for_ten_minutes",),
    ),
    Mutant(
        "wechat-bound-by-a-link",
        "the way back, a link, binds nothing by itself",
        "N18",
        WECHAT,
        (('    if request.method == "GET":\n', "    if False:\n"),),
        (DOOR + "test_wechat_is_bound_by_the_button_and_not_by_the_way_back",),
    ),
    Mutant(
        "wechat-of-a-preview-bound",
        "the account of a page's preview, which nobody has, is not bound",
        "N18",
        PERSON,
        (('if said.get("is_snapshotuser") in (1, "1"):', "if False:"),),
        (DOOR + "test_what_goes_wrong_is_said_and_changes_nothing",),
    ),
)
