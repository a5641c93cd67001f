"""The far ends of the senders, on real ports: an SMS gateway that also calls back, and a mail server, both misbehaving when
told to. What they accepted stands in ledgers of their own: those judge, not what the product says of itself."""

from tests.far_ends.gateway import Gateway, sms_gateway
from tests.far_ends.ledger import Ledger
from tests.far_ends.mail import Mailbox, mail_server

__all__ = ["Gateway", "Ledger", "Mailbox", "mail_server", "sms_gateway"]
