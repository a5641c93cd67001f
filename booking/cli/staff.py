"""`flask staff`: who may sign in for a hospital."""

from __future__ import annotations

import secrets

import click
from flask.cli import AppGroup
from sqlalchemy import select

from booking.db import db
from booking.directory.models import Doctor, Hospital
from booking.directory.rules import slug_of
from booking.errors import Refusal
from booking.staff.models import StaffMember
from booking.staff.rules import ROLES
from booking.staff.service import add_staff

staff_group = AppGroup("staff", help="People who may sign in for a hospital.")


@staff_group.command(
    "add", help="Add a person. The password is asked for, or made and shown once with --generate."
)
@click.option("--hospital", "slug", required=True, help="The hospital's slug, as in /h/<slug>.")
@click.option("--name", required=True, help="The person's name.")
@click.option(
    "--role",
    required=True,
    type=click.Choice(list(ROLES)),
    help="、".join(f"{a} {b}" for a, b in ROLES.items()),
)
@click.option("--doctor", "doctor_slug", help="The doctor's slug, as in /d/<slug>; for the role doctor.")
@click.option("--username", help="The sign-in name; made from the name unless given.")
@click.option("--generate", is_flag=True, help="Make a password and show it once.")
def add_command(
    slug: str, name: str, role: str, doctor_slug: str | None, username: str | None, generate: bool
) -> None:
    """Add a staff sign-in; one that exists is refused."""
    hospital = db.session.scalars(select(Hospital).where(Hospital.slug == slug)).first()
    if hospital is None:
        raise click.ClickException(f"没有网址短名为 {slug} 的医院。已有：{_slugs()}")
    doctor = None
    if doctor_slug:
        mine = select(Doctor).where(Doctor.slug == doctor_slug, Doctor.hospital_id == hospital.id)
        doctor = db.session.scalars(mine).first()
        if doctor is None:
            raise click.ClickException(f"{hospital.name}没有网址短名为 {doctor_slug} 的医生。")
    password = (
        secrets.token_urlsafe(12)
        if generate
        else click.prompt("密码（至少 10 位）", hide_input=True, confirmation_prompt="再输一次")
    )
    username = username or slug_of(name)
    try:
        add_staff(hospital.id, username, name, role, password, doctor.id if doctor else None)
    except Refusal as refusal:
        raise click.ClickException(refusal.text) from refusal
    click.echo(f"已添加：{name}（{ROLES[role]}），登录名 {username}@{slug}")
    if generate:
        click.echo(f"密码 {password}   只显示这一次，请转交本人。")


@staff_group.command("list", help="List the sign-ins of every hospital.")
@click.option("--hospital", "slug", help="Only this hospital.")
def list_command(slug: str | None) -> None:
    """Print one line for each person: sign-in name, role, name, last sign-in."""
    rows = (
        select(StaffMember, Hospital.slug)
        .join(Hospital, Hospital.id == StaffMember.hospital_id)
        .order_by(Hospital.slug, StaffMember.role, StaffMember.username)
    )
    if slug:
        rows = rows.where(Hospital.slug == slug)
    found = db.session.execute(rows).all()
    for member, at in found:
        state = "" if member.active else "  已停用"
        seen = f"{member.signed_in_at:%Y-%m-%d %H:%M} UTC" if member.signed_in_at else "从未登录"
        click.echo(f"{member.username}@{at}  {ROLES[member.role]}  {member.name}  {seen}{state}")
    if not found:
        click.echo("还没有工作人员账号，用 flask staff add 添加。")


def _slugs() -> str:
    return (
        "、".join(db.session.scalars(select(Hospital.slug).order_by(Hospital.slug).limit(20)))
        or "（还没有医院）"
    )
