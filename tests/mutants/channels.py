"""Mutants of what leaves the building: unsigned, told twice for want of a word, led inside, or not what was filed."""

from __future__ import annotations

from tests.mutants.mutant import Mutant

GATEWAY = "booking/notices/senders/gateway.py"
WIRE = "booking/notices/senders/wire.py"
MAIL = "booking/notices/senders/mail.py"
WEBHOOK = "booking/notices/senders/webhook.py"
APPROVED = "booking/notices/approved.py"
CHECK = "booking/notices/template_check.py"

CARRIED = "tests/notices/test_carriers.py::"
TOLD = "tests/notices/test_webhook.py::"
MAILED = "tests/notices/test_mail_line.py::"
FILED = "tests/letters/test_sms_templates.py::"

CHANNELS = (
    Mutant(
        "gateway-request-unsigned",
        "a gateway can tell our requests from anybody's",
        "N13",
        GATEWAY,
        (('        "X-Signature": f"sha256={mac.hexdigest()}",\n', '        "X-Signature": "",\n'),),
        (CARRIED + "test_a_captured_request_is_worth_nothing",),
    ),
    Mutant(
        "gateway-signature-without-the-nonce",
        "an overheard request cannot be sent again under another word",
        "N13",
        GATEWAY,
        (('f"{at}.{nonce}.".encode() + body', 'f"{at}.".encode() + body'),),
        (CARRIED + "test_a_captured_request_is_worth_nothing",),
    ),
    Mutant(
        "gateway-nonce-used-twice",
        "the word of a request is used once",
        "N13",
        GATEWAY,
        (("secrets.token_hex(16)", '"0" * 32'),),
        (CARRIED + "test_a_captured_request_is_worth_nothing",),
    ),
    Mutant(
        "error-told-with-200-is-accepted",
        "200 with an error in it took nothing",
        "N5",
        GATEWAY,
        (('"reference" not in said and (said.get("error") or said.get("code"))', "False"),),
        (CARRIED + "test_answers_of_200", CARRIED + "test_what_trouble_is_called"),
    ),
    Mutant(
        "unnamed-letter-is-accepted",
        "an answer that does not name a letter says nothing of it",
        "N5",
        GATEWAY,
        (
            (
                'return Temporary("the answer does not name the letter", ambiguous=True)',
                'return Sent("accepted")',
            ),
        ),
        (CARRIED + "test_a_letter_the_answer_does_not_name_may_have_been_taken",),
    ),
    Mutant(
        "silence-is-no-acceptance",
        "a silence after the request had been sent leaves open whether it was taken",
        "N5",
        WIRE,
        (
            (
                'f"no answer: {type(problem).__name__}", ambiguous=True',
                'f"no answer: {type(problem).__name__}"',
            ),
        ),
        (CARRIED + "test_what_trouble_is_called", CARRIED + "test_alibaba_in_trouble"),
    ),
    Mutant(
        "unreadable-answer-is-no-acceptance",
        "an answer nobody can read leaves open whether the letter was taken",
        "N5",
        WIRE,
        (('in words nobody can read", ambiguous=True', 'in words nobody can read"'),),
        (CARRIED + "test_what_trouble_is_called",),
    ),
    Mutant(
        "mail-lost-after-the-letter-is-no-acceptance",
        "a mail server that hangs up after the letter may have taken it",
        "N5",
        MAIL,
        (('after the letter had been told", ambiguous=True', 'after the letter had been told"'),),
        (
            MAILED + "test_a_connection_that_broke_after_the_letter_leaves_it_open",
            MAILED + "test_a_silent_server_is_waited_for_once",
        ),
    ),
    Mutant(
        "webhook-inside-the-house",
        "whoever may set a webhook cannot look around in our own network",
        "SSRF",
        WEBHOOK,
        (
            (
                'if not settings["WEBHOOK_ALLOW_PRIVATE"] and not all(is_public(one) for one in addresses):',
                "if not addresses:",
            ),
        ),
        (TOLD + "test_a_private_address_is_not_asked", TOLD + "test_a_webhook_leads_nowhere_inside"),
    ),
    Mutant(
        "webhook-follows-elsewhere",
        "a receiver cannot lead us on to an address nobody looked at",
        "SSRF",
        WIRE,
        (("follow_redirects=False", "follow_redirects=True"),),
        (TOLD + "test_redirections_are_not_followed",),
    ),
    Mutant(
        "webhook-signature-without-the-time",
        "a receiver can refuse a call that somebody overheard",
        "N13",
        WEBHOOK,
        (('f"{message_id}.{at}.".encode() + body', "body"),),
        (
            TOLD + "test_the_signature_is_that_of_the_standards_own_example",
            TOLD + "test_a_change_is_told_signed_and_names_nobody",
        ),
    ),
    Mutant(
        "half-a-preparation",
        "a word that must not be cut is not sent cut",
        "N11",
        APPROVED,
        (("(word is None or word.whole)", "False"),),
        (CARRIED + "test_half_a_preparation_is_not_sent",),
    ),
    Mutant(
        "changed-sentence-unnoticed",
        "what is sent is what was filed",
        "issue 4",
        CHECK,
        (("if known is None or known.text != one.filed:", "if known is None:"),),
        (FILED + "test_a_changed_sentence_is_found",),
    ),
    Mutant(
        "letter-told-openly",
        "letters go to another machine's mail server encrypted or not at all",
        "issue 4",
        MAIL,
        (("elif not self.secure and not here:", "elif not self.secure and self.user and not here:"),),
        ("tests/notices/test_send_due.py::test_nothing_is_told_openly_to_another_machines_mail_server",),
    ),
    Mutant(
        "webhook-to-whom-the-environment-trusts",
        "a hospital's system is trusted by the usual authorities only, whatever the environment names",
        "issue 4",
        "booking/notices/senders/wire.py",
        (
            (
                "return httpx.create_ssl_context(trust_env=trust_env)",
                "return httpx.create_ssl_context(trust_env=True)",
            ),
        ),
        ("tests/notices/test_webhook.py::test_whom_the_environment_vouches_for_hears_nothing_of_a_visit",),
    ),
    Mutant(
        "codes-to-any-number-of-strangers",
        "an account sends so many codes a day, to whichever addresses",
        "issue 4",
        "booking/people/preferences.py",
        ((">= EMAIL_CODES_PER_DAY", ">= 10**9"),),
        ("tests/verbs/test_preferences.py::test_an_account_sends_ten_codes_a_day_to_whichever_addresses",),
    ),
    Mutant(
        "choice-nobody-saw-is-switched-off",
        "saving the settings touches only what the page showed",
        "issue 4",
        "booking/web/settings.py",
        ((" if one.value in shown | ticked}", "}"),),
        ("tests/doors/test_web_sign_in.py::test_a_choice_that_was_not_shown_stays_as_it_is",),
    ),
    Mutant(
        "replies-to-a-closed-door",
        "production asks for answers only where every provider can bring them",
        "issue 4",
        "config.py",
        (("if self.SMS_REPLIES and closed:", "if False:"),),
        ("tests/rules/test_config.py::test_replies_need_the_callback_key_of_every_provider",),
    ),
)
