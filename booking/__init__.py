"""Doctor appointments, from an answer to a kept visit.

Slices hold the business: directory, content, people, staff, schedule, appointments, notices.
Doors show it: web (patients), desk (hospital staff), cli and demo (terminal). The engine room is `worker/`.
A write is page -> form -> one service verb -> tables; a read is page -> query.
The verbs hold, confirm, cancel, move, check_in and stop_session have one home each; the database decides races.
Letters are rows in `outbox`, written with the booking and sent by `notices.service.send_due`.
"""
