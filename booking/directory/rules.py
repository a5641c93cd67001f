"""Names of the directory: short slugs, standard specialties under their many names, telephone numbers, places."""

from __future__ import annotations

import re
import unicodedata

from pypinyin import lazy_pinyin


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


SAME_SPECIALTY: tuple[tuple[str, ...], ...] = (
    ("呼吸内科", "呼吸科", "呼吸与危重症医学科", "呼吸与危重症科", "肺病科"),
    ("心内科", "心血管内科", "心血管科", "心脏内科", "心脏科", "心脏病科"),
    ("消化内科", "消化科", "胃肠内科", "胃肠科", "脾胃科"),
    ("神经内科", "神经科", "脑病科", "神经病学"),
    ("神经外科", "脑外科", "颅脑外科"),
    ("内分泌科", "内分泌", "内分泌与代谢科", "内分泌代谢科", "糖尿病科"),
    ("肾内科", "肾病科", "肾病学", "肾脏内科", "肾脏科", "肾科"),
    ("血液科", "血液内科", "血液病科", "血液"),
    ("风湿免疫科", "风湿科", "免疫科", "免疫学", "风湿病科", "风湿免疫内科"),
    ("感染科", "传染科", "感染性疾病科", "感染疾病科"),
    ("肝病科", "肝病", "肝病内科", "肝胆内科"),
    ("全科", "全科医疗科", "全科医学科", "全科门诊"),
    ("普通内科", "普内科", "综合内科", "内科综合"),
    ("普通外科", "普外科", "外科综合"),
    ("胸外科", "心胸外科"),
    ("心外科", "心脏外科", "心血管外科", "心脏大血管外科", "心脏血管外科"),
    ("泌尿外科", "泌尿科"),
    ("骨科", "骨外科", "骨伤科", "骨关节科", "创伤骨科"),
    ("整形外科", "整形美容科", "整形科", "医疗美容科", "美容科"),
    ("烧伤科", "烧伤整形科"),
    ("肛肠科", "肛肠外科", "痔瘘科"),
    ("妇科", "妇科门诊"),
    ("产科", "产科门诊"),
    ("妇产科", "妇产科综合"),
    ("生殖医学科", "生殖健康与不孕症", "不孕不育科", "生殖中心", "生殖医学中心"),
    ("儿科", "小儿科", "儿内科", "儿科综合", "小儿内科"),
    ("小儿外科", "儿外科"),
    ("眼科", "眼科门诊"),
    ("耳鼻喉科", "耳鼻咽喉科", "耳鼻咽喉头颈外科", "耳鼻喉头颈外科"),
    ("口腔科", "牙科", "口腔医学科", "口腔内科"),
    ("五官科", "五官综合"),
    ("皮肤科", "皮肤性病科", "皮肤病科"),
    ("男科", "男科门诊", "男性科", "生殖男科"),
    ("心理科", "心理健康科", "心理咨询科", "临床心理科", "心理门诊"),
    ("精神科", "精神病科", "精神卫生科"),
    ("肿瘤科", "肿瘤内科"),
    ("中医科", "中医综合", "中医内科"),
    ("康复科", "康复医学科", "康复理疗科"),
    ("营养科", "营养保健科", "临床营养科"),
    ("老年病科", "老年病", "老年科", "老年医学科"),
    ("变态反应科", "变态反应", "过敏反应科"),
    ("健康管理中心", "健康中心", "体检科", "体检中心", "健康体检中心"),
    ("急诊科", "急诊医学科", "急诊"),
    ("病理科", "病理诊断科"),
    ("检验科", "医学检验科", "化验室"),
    ("放射科", "医学影像科", "影像科", "放射影像科"),
    ("超声科", "超声医学科", "B超室"),
    ("药剂科", "药学部", "药房", "临床药学科"),
    ("麻醉科", "麻醉手术科"),
    ("输血科", "血库"),
)
"""Names of one specialty; the first is the standard one."""

NO_CLINIC = _words(
    "病理科 检验科 放射科 超声科 药剂科 麻醉科 输血科 核医学科 影像科 手术室 供应室 消毒供应中心 病案室 病案科 护理部 "
    "医务科 医务处 信息科 设备科 器械科 药械科 院办 办公室 科教科 院感科 心电图室 功能科 内镜中心 辅助检查科 其他"
)
"""Departments that see no patients by appointment."""

NOT_MEDICAL = _words(
    "红十字会 慈善 基金会 指挥部 政府 委员会 管理局 公安 税务 学校 大学 小学 中学 公司 超市 仓库"
)
MEDICAL = re.compile(
    r"医院|卫生院|卫生所|卫生室|卫生服务|医务室|门诊|诊所|保健院|保健所|疗养院|防治|医疗中心|医学中心|医学院|疾病预防|疾控|血液中心|急救中心"
    r"|健康中心|体检中心|康复中心|妇幼|hospital|clinic|medical|health",
    re.IGNORECASE,
)

_GROUPS = {
    "内科": _words(
        "呼吸内科 心内科 消化内科 神经内科 内分泌科 肾内科 血液科 风湿免疫科 感染科 肝病科 老年病科 变态反应科"
    ),
    "外科": _words("骨科 烧伤科 肛肠科 手外科"),
}
_DOUBLE_SURNAMES = _words(
    "欧阳 司马 上官 诸葛 司徒 东方 皇甫 尉迟 公孙 慕容 令狐 夏侯 端木 南宫 独孤 宇文 长孙 轩辕"
)
_STANDARD = {name: names[0] for names in SAME_SPECIALTY for name in names}
_PHONE = re.compile(r"400-?\d{3}-?\d{4}|0\d{2,3}-\d{7,8}(?:-\d{1,4})?|1[3-9]\d{9}")


def specialty_name(name: str) -> str:
    """Return the standard name of a department (呼吸科 → 呼吸内科); a name not in the table comes back tidied only."""
    tidy = "".join(unicodedata.normalize("NFKC", name).split())
    if len(tidy) > 2:
        tidy = tidy.removesuffix("专业").removesuffix("门诊") or tidy
    return _STANDARD.get(tidy) or _STANDARD.get(tidy + "科") or tidy


def specialty_names(name: str) -> list[str]:
    """Return every name a specialty may stand under, the likeliest first."""
    standard = specialty_name(name)
    tidy = "".join(unicodedata.normalize("NFKC", name).split())
    group = next((names for names in SAME_SPECIALTY if names[0] == standard), ())
    return list(dict.fromkeys([tidy, standard, *group, standard + "科"]))


def parent_specialty(name: str) -> str | None:
    """Return the group a specialty belongs to by its name, or None when the name does not say."""
    standard = specialty_name(name)
    for group, own in _GROUPS.items():
        if standard != group and (standard in own or standard.endswith(group)):
            return group
    return None


def sees_patients(department: str) -> bool:
    """Whether a department of this name has clinics; 病理科, 检验科 and the like have none."""
    return specialty_name(department) not in NO_CLINIC and department.strip() not in NO_CLINIC


def is_medical(name: str) -> bool:
    """Whether the name is that of a medical institution (some lists hold a Red Cross or a school)."""
    if "医院" in name or "卫生" in name:
        return True
    return bool(MEDICAL.search(name)) and not any(word in name for word in NOT_MEDICAL)


def slug_of(name: str, limit: int = 32) -> str:
    """Return a short URL word: pinyin of a short name, its initials when that would be long; `x` for nothing usable."""
    syllables = [part for part in lazy_pinyin(unicodedata.normalize("NFKC", name)) if part.strip()]
    parts = [re.sub(r"[^a-z0-9]+", "-", _ascii(part)).strip("-") for part in syllables]
    parts = [part for part in parts if part]
    whole = "".join(parts) if all(len(part) <= 6 for part in parts) else "-".join(parts)
    if len(whole) > 20:
        whole = "".join(part if part.isdigit() else part[0] for part in parts)
    return whole[:limit].strip("-") or "x"


def _ascii(text: str) -> str:
    plain = unicodedata.normalize("NFKD", text)
    return "".join(letter for letter in plain if letter.isascii()).lower()


def pinyin_of(name: str, limit: int = 120) -> str:
    """Return a person's name in pinyin, family name first: 「沈知微」 → `shen zhiwei`; editable afterwards."""
    syllables = [
        re.sub(r"[^a-z0-9 ]+", "", _ascii(part)).strip() for part in lazy_pinyin(name, errors="default")
    ]
    syllables = [part for part in syllables if part]
    if not syllables:
        return ""
    family = 2 if name.startswith(_DOUBLE_SURNAMES) else 1
    return f"{''.join(syllables[:family])} {''.join(syllables[family:])}".strip()[:limit]


def numbered(slug: str, taken: set[str], limit: int) -> str:
    """Return `slug`, or the first of slug-2, slug-3 … that is not taken."""
    if slug not in taken:
        return slug
    number = 2
    while True:
        tail = f"-{number}"
        candidate = slug[: limit - len(tail)] + tail
        if candidate not in taken:
            return candidate
        number += 1


def phone_list(text: str, limit: int = 60) -> str:
    """Return telephone numbers one after the other with 「、」, also when a cell ran two of them together.

    What does not read as a telephone number stays as it was.
    """
    tidy = unicodedata.normalize("NFKC", text).replace("—", "-").strip()
    found = _PHONE.findall(tidy)
    rest = re.sub(r"[\s,;/、和或]+", "", _PHONE.sub("", tidy))
    joined = "、".join(dict.fromkeys(found)) if found and not rest else " ".join(tidy.split())
    return joined if len(joined) <= limit else "、".join(joined.split("、")[:2])[:limit]
