"""The waiting list over the patient pages: from the full session to the accepted offer; and the desk's list."""

from __future__ import annotations

import html
import re
from datetime import timedelta

import pytest
from sqlalchemy import select, update

from booking.appointments.models import Appointment
from booking.appointments.offers import offer_places
from booking.appointments.stop import stop_session
from booking.appointments.wish_models import WishOffer
from booking.clock import local
from booking.db import db, transaction
from booking.directory.models import Policy
from booking.notices.service import send_due
from booking.outbox import Message
from booking.refs import link_code, ref
from booking.schedule.models import ClinicSession
from booking.schedule.wanted import Wish
from tests import factory, far_ends
from tests.doors.desk_people import seat, text_of
from tests.doors.visitor import Visitor, hidden, title
from tests.verbs.test_after import staff
from tests.verbs.test_wishes import full, give_back, wait


@pytest.fixture(autouse=True)
def by_day(now):
    here = local(now(), "Asia/Shanghai")
    now.at(here.replace(hour=9, minute=30, second=0) + timedelta(days=1))


@pytest.fixture
def at(app):
    with app.app_context():
        return factory.clinic()


@pytest.fixture
def sold_out(app, at):
    with app.app_context():
        return full(at, places=2)


@pytest.fixture
def person(app):
    with app.app_context():
        return factory.person()


@pytest.fixture
def visitor(app, person):
    visitor = Visitor(app)
    visitor.sign_in(person.account.phone)
    return visitor


def day_of(at, opened):
    return f"/d/{at.doctor.slug}?date={opened.session.local_date.isoformat()}"


def words(answer):
    return html.unescape(re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", answer.text)))


def join(visitor, page, person, **more):
    where = re.search(r'action="(/wait/[^"]+)"', page.text)[1]
    fields = {
        "patients": str(person.patient.id),
        "request_key": hidden(page, "request_key"),
        "first": re.search(r'name="first".*?<option selected value="([^"]+)"', page.text, re.DOTALL)[1],
        "last": re.search(r'name="last".*?<option selected value="([^"]+)"', page.text, re.DOTALL)[1],
        "doctors": re.findall(r'<input checked[^>]*name="doctors"[^>]*value="(\w+)"', page.text),
    }
    return visitor.post(where, fields | more)


def test_a_full_session_offers_the_waiting_list_and_leads_through_to_the_place_in_line(
    app, at, sold_out, person, visitor
):
    opened, _ = sold_out
    with app.app_context():
        wait(at, opened)
    shown = visitor.get(day_of(at, opened))
    assert "候补这个班次" in shown.text and "现在有 1 人在等" in words(shown)
    page = visitor.get(re.search(r'href="(/wait/[^"]+)"', shown.text)[1])
    assert "前面有 1 人在等" in words(page) and "候补不等于预约成功" in page.text
    joined = visitor.follow(join(visitor, page, person))
    assert title(joined).startswith("已登记候补") and "排第 2 位" in joined.text
    assert "还没有足够的记录" in joined.text
    listed = visitor.get("/me/wishes")
    assert "第 2 位" in listed.text and "候补中 1" in words(listed)
    with app.app_context():
        assert (
            db.session.scalars(select(Wish.account_id).order_by(Wish.joined_at.desc())).first() == person.id
        )


def test_the_rule_of_returned_numbers_is_published_with_its_window(app, sold_out, visitor):
    opened, _ = sold_out
    for path in ("/rules", f"/wait/{ref(opened.session)}"):
        assert "在 10:00–20:00 之间随机一分钟重新放出" in visitor.get(path).text, path


@pytest.mark.parametrize(("days", "said"), [(0, "就诊当天 23:00 截止"), (2, "就诊前 2 天 23:00 截止")])
def test_the_day_on_which_the_list_closes_is_the_policys(app, sold_out, visitor, days, said):
    opened, _ = sold_out
    with app.app_context(), transaction() as session:
        session.execute(update(Policy).values(wish_ends_days_before=days))
    assert said in visitor.get(f"/wait/{ref(opened.session)}").text


def test_a_stranger_signs_in_first_and_nothing_else_changes(app, sold_out):
    opened, _ = sold_out
    stranger = Visitor(app)
    answer = stranger.get(f"/wait/{ref(opened.session)}")
    assert answer.status_code in (302, 303) and "/login" in answer.headers["Location"]
    assert stranger.get("/me/wishes").status_code in (302, 303)


def test_what_is_wrong_is_said_and_what_was_chosen_stays(app, at, sold_out, person, visitor):
    opened, _ = sold_out
    page = visitor.get(f"/wait/{ref(opened.session)}")
    nobody = join(visitor, page, person, patients=[])
    assert nobody.status_code == 422 and "请选择就诊人" in nobody.text and title(nobody).startswith("错误")
    backwards = join(visitor, page, person, last="2026-01-01")
    assert backwards.status_code == 422
    foreign = join(visitor, page, person, doctors="0" * 32)
    assert foreign.status_code == 422
    with app.app_context():
        assert not db.session.scalars(select(Wish)).all()


def test_a_session_with_a_free_place_sends_back_to_its_times(app, at, person, visitor):
    with app.app_context():
        opened = factory.open_session(at)
    assert "/wait/" not in visitor.get(day_of(at, opened)).text
    page = visitor.get(f"/wait/{ref(opened.session)}")
    assert "还有号，直接选时间预约就行" in words(page) and "约满了，" not in words(page)
    refused = join(visitor, page, person)
    assert refused.status_code == 409 and "还有号" in refused.text and day_of(at, opened)[:20] in refused.text


def test_an_offer_is_told_shown_and_accepted_in_one_tap(app, at, sold_out, person, visitor):
    opened, rows = sold_out
    with app.app_context():
        _, wish = wait(at, opened, person)
        give_back(at, rows)
        offer_places()
        send_due()
    told = visitor.get("/me/messages")
    page = visitor.get(re.search(r'href="(/me/wishes/[^"]+)"', told.text)[1])
    assert title(page).startswith("有号了") and "为你留到" in page.text and "今天 10:" in page.text
    fields = {"offer": hidden(page, "offer"), "request_key": hidden(page, "request_key")}
    done = visitor.post(f"/me/wishes/{ref(wish)}/accept", fields)
    assert "预约成功" in visitor.follow(done).text
    again = visitor.post(f"/me/wishes/{ref(wish)}/accept", fields)
    assert again.status_code == 303 and again.headers["Location"] == done.headers["Location"]
    with app.app_context():
        assert db.session.get(Appointment, (at.id, rows[0][1].id)).status == "cancelled"
    assert "已约到" in visitor.get("/me/wishes").text


def test_an_offer_declined_or_run_out_says_what_is_left(app, at, sold_out, person, visitor, now):
    opened, rows = sold_out
    with app.app_context():
        _, wish = wait(at, opened, person)
        wait(at, opened)
        give_back(at, rows)
        offer_places()
    page = visitor.get(f"/me/wishes/{ref(wish)}")
    fields = {"offer": hidden(page, "offer")}
    now.shift(minutes=61)
    for path in ("/me/wishes", f"/me/wishes/{ref(wish)}"):
        shown = words(visitor.get(path))
        assert "候补中" in shown and "有号，等你确认" not in shown, path
    late = visitor.post(f"/me/wishes/{ref(wish)}/accept", fields)
    assert late.status_code == 410 and "已让给下一位" in late.text and "你仍在候补" in late.text
    with app.app_context():
        give_back(at, rows, 1)
        offer_places()
    page = visitor.get(f"/me/wishes/{ref(wish)}")
    declined = visitor.post(f"/me/wishes/{ref(wish)}/decline", offer=hidden(page, "offer"))
    assert "已让给下一位" in visitor.follow(declined).text


def test_a_session_that_is_not_sold_has_no_waiting_list(app, at, sold_out, person, visitor):
    opened, _ = sold_out
    path = f"/wait/{ref(opened.session)}"

    def become(status):
        with app.app_context(), transaction() as session:
            session.execute(update(ClinicSession).values(status=status))

    become("draft")
    assert visitor.get(path).status_code == 404
    for status in ("stopped", "finished"):
        become(status)
        answer = visitor.get(path)
        assert answer.status_code == 303 and f"/d/{at.doctor.slug}" in answer.headers["Location"], status


def test_who_waits_for_a_stopped_session_is_told_to_look_elsewhere(app, at, sold_out, person, visitor):
    opened, _ = sold_out
    said = "这个班次已停诊，现在没有别的号可以等。恢复出诊时，会按原来的名次再问你；要早点看病请另约时间"
    with app.app_context():
        _, wish = wait(at, opened, person)
    paths = "/me/wishes", f"/me/wishes/{ref(wish)}"
    assert not any(said in visitor.get(path).text for path in paths)
    with app.app_context():
        stop_session(at.id, opened.id, actor=staff(at, "scheduler"), reason="医生外出会诊")
    for path in paths:
        assert said in visitor.get(path).text, path
    assert "退出候补" in visitor.get(paths[1]).text and "看" in visitor.get(paths[1]).text


def snapshot_of(wish):
    """Everything about a wish that opening a link could have changed: its rows and its letters."""
    db.session.remove()
    rows = [
        db.session.execute(select(table).where(mine)).all()
        for table, mine in (
            (Wish.__table__, Wish.id == wish.id),
            (WishOffer.__table__, WishOffer.wish_id == wish.id),
            (Message.__table__, Message.wish_id == wish.id),
            (Appointment.__table__, Appointment.kind == "offer"),
        )
    ]
    db.session.remove()
    return rows


def test_the_link_in_the_offers_short_message_shows_the_offer_and_changes_nothing(
    app, at, sold_out, person, visitor
):
    opened, rows = sold_out
    before = dict(app.config)
    with far_ends.sms_gateway() as gateway, app.app_context():
        app.config.update(SMS_GATEWAY_URL=gateway.url, SMS_GATEWAY_KEY="k", SEND_TIMEOUT_SECONDS=1)
        try:
            _, wish = wait(at, opened, person)
            give_back(at, rows)
            offer_places()
            db.session.remove()
            send_due()
        finally:
            app.config.clear()
            app.config.update(before)
        (text,) = [one["text"] for one in gateway.calls if "有号" in one["text"]]
        path = re.search(r" 127\.0\.0\.1:5000(/w/[0-9a-z]+) 确认", text)[1]
        shown = snapshot_of(wish)
    stranger = Visitor(app)
    asked = stranger.get(path)
    assert asked.status_code == 303 and asked.headers["Location"] == f"/me/wishes/{ref(wish)}"
    login = stranger.follow(asked)
    assert login.status_code == 303 and login.headers["Location"].startswith("/login?next=")
    for _ in range(2):
        page = visitor.follow(visitor.get(path))
        assert page.status_code == 200 and "有号了，等你确认" in page.text
    assert visitor.follow(visitor.get(path.upper().replace("/W/", "/w/"))).status_code == 200
    assert visitor.client.head(path).status_code == 303 and visitor.post(path).status_code == 405
    with app.app_context():
        assert snapshot_of(wish) == shown


def test_a_short_link_that_we_did_not_make_leads_nowhere_and_says_so(app, at, sold_out, person, visitor):
    opened, _ = sold_out
    with app.app_context():
        _, wish = wait(at, opened, person)
        code = link_code(wish.hospital_id, wish.id)
    assert visitor.get(f"/w/{code}").status_code == 303
    other = code[:-1] + ("0" if code[-1] != "0" else "1")
    for wrong in (other, code[:-2], "0", "zzzzzzzzzzzz", "nobody", "x" * 60):
        answer = visitor.get(f"/w/{wrong}")
        assert answer.status_code == 404 and "没有找到这个链接对应的内容" in answer.text, wrong
    somebody = Visitor(app)
    somebody.sign_in("13800130977")
    assert somebody.follow(somebody.get(f"/w/{code}")).status_code == 404, "somebody else's is not found"


def test_another_wish_under_the_same_request_is_asked_once_more(app, sold_out, person, visitor):
    opened, _ = sold_out
    page = visitor.get(f"/wait/{ref(opened.session)}")
    assert join(visitor, page, person).status_code == 303
    with app.app_context():
        child = factory.patient(person.account, "陈小宝", relation="child", seat=2).id
    other = join(visitor, page, person, patients=str(child))
    assert other.status_code == 422 and "内容不同" in other.text
    assert join(visitor, other, person, patients=str(child)).status_code == 303


def test_leaving_and_somebody_elses_wish(app, at, sold_out, person, visitor):
    opened, _ = sold_out
    with app.app_context():
        _, mine = wait(at, opened, person)
        _, other = wait(at, opened)
    assert visitor.get(f"/me/wishes/{ref(other)}").status_code == 404
    assert visitor.post(f"/me/wishes/{ref(other)}/leave").status_code == 404
    left = visitor.follow(visitor.post(f"/me/wishes/{ref(mine)}/leave"))
    assert "已退出候补" in left.text and "你退出了候补" in left.text


def test_the_desk_sees_how_many_wait_and_in_which_order(app, at, sold_out):
    opened, rows = sold_out
    with app.app_context():
        desk = seat(app, at, "desk")
        empty = text_of(desk.get(f"/staff/sessions/{opened.id}/waiting"))
        assert "没有人在候补" in empty
        wait(at, opened, factory.person("周小满"))
        wait(at, opened, factory.person("赵一鸣"))
        give_back(at, rows)
        offer_places()
        shown = text_of(desk.get(f"/staff/sessions/{opened.id}/waiting"))
        assert shown.index("周*满") < shown.index("赵*鸣") and "有号，等你确认" in shown
        assert "周小满" not in shown
        assert "2 人在等" in text_of(desk.get(f"/staff/sessions/{opened.id}"))
        other = seat(app, factory.clinic(), "desk")
        assert other.get(f"/staff/sessions/{opened.id}/waiting").status_code == 404


def test_who_could_never_be_offered_anything_reads_it_beside_the_name_and_after_the_button(
    app, at, sold_out, person, visitor
):
    opened, _ = sold_out
    with app.app_context(), transaction() as session:
        session.execute(update(ClinicSession).values(admits={"age_max": 14}))
    page = visitor.get(f"/wait/{ref(opened.session)}")
    assert "接诊范围 只接待 14 岁及以下患者" in words(page) and "岁，不在接诊范围" in words(page)
    refused = join(visitor, page, person)
    assert refused.status_code == 409 and "这个门诊只接待 14 岁及以下的患者" in refused.text
    assert "看这家医院的其他门诊" in refused.text
    with app.app_context():
        colleague = factory.another_doctor(at)
        full(colleague)
        assert not db.session.scalars(select(Wish)).all()
    both = [at.doctor.id.hex, colleague.doctor.id.hex]
    joined = visitor.follow(join(visitor, refused, person, doctors=both))
    assert "轮到时会跳过你的情况 这个门诊只接待 14 岁及以下的患者" in words(joined)


def test_other_kinds_and_departments_are_offered_kept_shown_and_asked_about(
    app, at, sold_out, person, visitor
):
    opened, _ = sold_out
    with app.app_context():
        elsewhere = factory.another_kind(factory.another_department(at))
        theirs, rows = full(elsewhere, on=opened.session.local_date)
        desk = seat(app, at, "desk")
    page = visitor.get(f"/wait/{ref(opened.session)}")
    assert "哪种号别" in words(page) and "别的科室的医生也可以" in words(page)
    own = {"kinds": at.kind.id.hex, "parts": at.parts["上午"].id.hex}
    assert "普通门诊" in page.text
    assert page.text.count('name="departments"') == 1, "the own department has its box already"
    foreign = join(visitor, page, person, **own | {"kinds": elsewhere.department.id.hex})
    assert foreign.status_code == 422 and "请从列出的选项里选" in foreign.text
    without = join(visitor, page, person, **own | {"kinds": elsewhere.kind.id.hex})
    assert without.status_code == 422 and "候补要包含你刚才看的这个班次" in without.text
    both = {"kinds": [at.kind.id.hex, elsewhere.kind.id.hex], "departments": elsewhere.department.id.hex}
    joined = visitor.follow(join(visitor, without, person, **own | both))
    shown = words(joined)
    assert "号别 专家门诊、普通门诊" in shown and "科室 心血管内科的医生都可以" in shown
    assert "沈知远（呼吸内科）" in shown
    listed = words(visitor.get("/me/wishes"))
    assert "沈知远、心血管内科的医生·专家门诊、普通门诊" in listed
    seen = text_of(desk.get(f"/staff/sessions/{theirs.id}/waiting"))
    assert "沈知远、心血管内科的医生，上午，专家门诊、普通门诊" in seen
    with app.app_context():
        give_back(elsewhere, rows)
        assert offer_places() == 1


def test_without_a_wider_choice_another_kind_is_not_asked_about(app, at, sold_out, person, visitor):
    opened, _ = sold_out
    with app.app_context():
        colleague = factory.another_kind(factory.another_doctor(at))
        _, rows = full(colleague, on=opened.session.local_date)
    page = visitor.get(f"/wait/{ref(opened.session)}")
    everybody = {
        "department": "y",
        "kinds": re.findall(r'<input checked[^>]*name="kinds"[^>]*value="(\w+)"', page.text),
    }
    assert len(everybody["kinds"]) == 1
    joined = visitor.follow(join(visitor, page, person, **everybody))
    assert "科室 呼吸内科的医生都可以" in words(joined) and "号别 专家门诊" in words(joined)
    with app.app_context():
        give_back(colleague, rows)
        assert offer_places() == 0
