"""Words that must lead to 120 before anything else: one fixed list, no judgement."""

from __future__ import annotations

from dataclasses import dataclass

from booking.content.rules import half_width

_CALL = "请立即拨打 120 或前往最近的急诊。"
_DENIALS = ("没有", "没", "无", "未见", "未出现", "否认", "并无")
_DOUBTS = ("有没有", "有没", "有无", "是不是有无")


@dataclass(frozen=True)
class Alarm:
    """`words` each raise the alarm alone; of `together` one word of every group must occur."""

    sentence: str
    words: tuple[str, ...] = ()
    together: tuple[tuple[str, ...], ...] = ()


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


ALARMS = (
    Alarm(
        "胸痛伴出汗、憋气或向肩背、手臂放射，可能是心脏急症，" + _CALL,
        _words(
            "心梗 心肌梗死 心肌梗塞 主动脉夹层 胸口像压着石头 胸口压着石头 压榨性胸痛 濒死感 心脏骤停 心跳停了"
        ),
        (
            _words("胸痛 胸口疼 胸口痛 胸疼 胸闷 心口疼 心口痛 心绞痛"),
            _words("大汗 冷汗 出汗 喘 憋气 放射 左臂 左肩 手臂 后背 不缓解 持续 晕 剧烈 撕裂"),
        ),
    ),
    Alarm(
        "喘不上气、嘴唇发紫或被异物卡住，" + _CALL,
        _words(
            "呼吸困难 喘不上气 喘不过气 透不过气 上不来气 呼吸不了 无法呼吸 不能呼吸 窒息 嘴唇发紫 口唇发紫"
            " 嘴唇发绀 脸色发紫 噎住 呛住了 气管异物 喉头水肿 说不成整句话"
        ),
    ),
    Alarm(
        "嘴歪、一侧没力气或突然说话不清，可能是中风，记下开始的时间，" + _CALL,
        _words(
            "中风 脑梗 脑出血 脑溢血 嘴歪 口角歪斜 嘴角歪 半边身子 半身不遂 偏瘫 一侧没力气 一侧肢体无力 单侧无力"
            " 说话不清 口齿不清 言语不清 说不出话 突然看不见 突然失明"
        ),
    ),
    Alarm(
        "意识不清、叫不醒或抽搐，" + _CALL,
        _words(
            "昏迷 叫不醒 不省人事 意识不清 意识模糊 神志不清 失去意识 昏倒 晕倒 晕厥 昏厥 抽搐 惊厥 口吐白沫"
            " 没有呼吸 没呼吸"
        ),
    ),
    Alarm(
        "出血止不住、呕血、咯血或大量黑便，" + _CALL,
        _words(
            "大出血 止不住血 血止不住 流血不止 出血不止 呕血 吐血 咯血 咳血 大量便血 柏油样便 喷血 动脉破了"
        ),
    ),
    Alarm(
        "突然的剧烈头痛，或头痛伴呕吐、发热、脖子发硬，" + _CALL,
        _words("炸裂样头痛 雷击样头痛 头要炸"),
        (
            _words("头痛 头疼"),
            _words("突然 喷射 脖子发硬 脖子硬 颈部僵硬 从没这么 从来没有这么 最厉害的一次 看不清 抽"),
            _words("剧烈 剧痛 呕吐 发热 发烧 高烧 发硬 僵硬 喷射 这么疼 这么痛 最厉害 看不清 抽"),
        ),
    ),
    Alarm(
        "误服、过量服药或中毒，带上药瓶或包装，" + _CALL,
        _words(
            "喝农药 喝了农药 百草枯 敌敌畏 误服 误食 误吞 吞了电池 吞电池 纽扣电池 安眠药吃多 服药过量"
            " 药吃多了 过量服用 煤气中毒 一氧化碳 食物中毒 毒蘑菇 中毒"
        ),
    ),
    Alarm(
        "如果你有伤害自己的念头，请现在就告诉身边的人，拨打 120 或 110；全国心理援助热线 12356 随时可以说话。",
        _words(
            "不想活 想死 自杀 轻生 割腕 跳楼 结束生命 结束自己 活着没意思 活着没意义 活不下去 伤害自己 自残 自伤"
        ),
    ),
    Alarm(
        "怀孕时出血、破水、剧烈腹痛或胎动明显减少，" + _CALL,
        _words("胎动消失 没有胎动 胎动没了 羊水破 破水"),
        (_words("怀孕 孕妇 孕期 孕早期 孕晚期 胎儿 胎动"), _words("出血 见红 流血 剧烈 剧痛 抽 减少 晕")),
    ),
    Alarm(
        "严重过敏（脸或喉咙肿、全身起疹伴憋气、血压下降），" + _CALL,
        _words("过敏性休克 休克"),
        (_words("过敏"), _words("喉咙肿 喉咙紧 脸肿 嘴唇肿 舌头肿 憋气 喘 晕")),
    ),
    Alarm(
        "严重外伤、触电、溺水或烧伤，不要随意搬动伤者，" + _CALL,
        _words(
            "车祸 高处坠落 高空坠落 楼上摔下 骨头露出 骨头外露 断指 断肢 手指断了 触电 电击伤 溺水 淹水"
            " 大面积烧伤 大面积烫伤 被毒蛇 蛇咬"
        ),
    ),
    Alarm(
        "小婴儿发热、不吃奶、精神差，或高热抽搐，" + _CALL,
        _words("热性惊厥 高热惊厥 囟门鼓"),
        (
            _words("婴儿 新生儿 满月 未满月 个月大 月龄 宝宝 孩子 小孩"),
            _words("发热 发烧 高烧 高热 呕吐 拉肚子 腹泻"),
            _words("嗜睡 不吃奶 拒奶 精神差 没精神 抽 一直睡 哭不出 没有尿 没尿 皮肤发花"),
        ),
    ),
    Alarm(
        "腹部剧痛、肚子硬得像木板，或剧痛伴高烧、呕吐，" + _CALL,
        _words("肚子硬得像木板 板状腹 宫外孕"),
        (
            _words("肚子 腹部 腹痛 下腹 上腹"),
            _words("剧痛 剧烈 疼得打滚 痛得打滚 直不起腰"),
        ),
    ),
)


def _occurs(word: str, text: str) -> bool:
    """Whether the word is said and not denied right before it (「没有咯血」); 「有没有咯血」 counts as said."""
    at = text.find(word)
    while at >= 0:
        before = text[:at]
        if not before.endswith(_DENIALS) or before.endswith(_DOUBTS):
            return True
        at = text.find(word, at + 1)
    return False


def red_flags(text: str) -> list[str]:
    """Return the sentences to show above everything else, in a fixed order; empty when no word of the list occurs.

    Rather one alarm too many: only a denial directly before the word silences it. It names no diagnosis of the asker.
    """
    said = "".join(half_width(text).lower().split())
    raised = []
    for alarm in ALARMS:
        alone = any(_occurs(word, said) for word in alarm.words)
        joined = bool(alarm.together) and all(
            any(_occurs(word, said) for word in group) for group in alarm.together
        )
        if alone or joined:
            raised.append(alarm.sentence)
    return raised
