"""The rows tests begin with satisfy every constraint on both databases."""

from tests import factory


def test_a_factory_appointment_is_accepted_by_every_constraint(within):
    clinic = factory.clinic()
    session = factory.open_session(clinic)
    assert len(session.slots) == 4
    who = factory.person(own_phone=factory.invented_phone())
    first = factory.booked(clinic, session, who)
    other = factory.booked(
        factory.another_doctor(clinic),
        session,
        factory.person("周小满"),
        status="cancelled",
        visit_code="10000009",
    )
    assert first.place_id != other.place_id
