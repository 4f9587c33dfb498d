"""Every word on the screen, in both languages."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Literal

Language = Literal["zh", "en"]

Words = Mapping[str, str]

STRINGS: Mapping[Language, Words] = {
    "zh": {
        "chat": "问答",
        "continue": "续写",
        "loading": "正在载入模型…",
        "ready": "就绪",
        "failed": "没有模型",
        "writing": "生成中",
        "temperature": "温度",
        "greedy": "贪心：总取最可能的字",
        "low": "保守",
        "middle": "平衡",
        "high": "大胆",
        "wild": "狂放",
        "from": "（第 {} 字起）",
        "seed": "种子",
        "characters": "字",
        "rate": "字/秒",
        "surprise": "比特/字",
        "stopped": "已停止",
        "branched": "第 {} 字起另写",
        "penalty": "重复惩罚",
        "any_seed": "随机",
        "memory_on": "记忆开",
        "memory_off": "记忆关",
        "surprises": "意外",
        "less": "不到 {} 比特",
        "more": "{} 比特起，1/{}",
        "shade": "意外着色",
        "look": "看每个字",
        "look_title": "看每个字 · 第 {} / {} 轮",
        "look_keys": "←→↑↓ 看一个字  Enter 选别的字，再 Enter 从那里另写  PgUp PgDn 别的轮  Esc 关闭",
        "seen": "{}  抽到的概率 {}，模型给 {}，第 {} 位，意外 {} 比特；这一处熵 {} 比特",
        "drawn_at": "温度 {} 时由随机数 {} 抽出",
        "by_hand": "这个字不是抽出来的，是你选的。",
        "drafted": "温度 {} 时由随机数 {} 抽出；它在答案开头，那是八份草稿里选出的一份，换了温度也许选另一份。",
        "forked": "从前面的答案另写：这是一个新对话，原来的还在（F2）。",
        "above": "高于 {} 写{}",
        "below": "低于 {} 写{}",
        "never_above": "再高也不变",
        "never_below": "再低也不变",
        "semicolon": "；",
        "nothing_to_look_at": "还没有答案可看",
        "sweep": "温度并排",
        "temperatures": "几个温度，逗号隔开",
        "sweep_keys": "Enter 重来/留下此栏  Tab ←→ 换栏  ┊ 与前一栏分开  Ctrl+S 存文件  Esc 停止/关闭",
        "too_many": "最多 {} 个温度",
        "nothing_to_sweep": "先输入一个问题或开头，再按 F7",
        "entropy": "熵",
        "self_surprise": "比特/字",
        "repeated": "最长重复",
        "parts_at": "与前一栏同字",
        "network": "网络",
        "ask_here": "输入问题，按 Enter 发送",
        "continue_here": "输入开头，按 Enter 续写；空着按 Enter 接着写",
        "welcome": (
            "这里住着一个循环神经网络。它逐字生成，一边写一边记，常常写错，但从不停下来查资料。\n"
            "试着问它：什么是隐藏状态？  温度有什么用？  你好\n"
            "按 Ctrl+T 换成续写，给它一个开头，它会一直写下去，直到你按 Esc。"
        ),
        "welcome_writer": (
            "这里住着一个循环神经网络。它没有读过对话，只会续写：照读过的文字的样子，逐字写下去。\n"
            "给它一个开头，按 Enter，它会一直写，直到你按 Esc。一边写一边按 Alt+↑ Alt+↓ 换温度。"
        ),
        "memory": "记忆",
        "no_memory": "这个模型旁边没有记忆，只有网络。",
        "switch_memory": "记忆开关",
        "cannot_chat": "这个模型没有读过对话，不能问答，只能续写。",
        "hints": "F1 帮助  Esc 停止  Alt+↑↓ 温度  F3 F6 F7 实验  ^T 问答/续写  F2 对话  ^Q 退出",
        "help": "帮助",
        "help_close": "Esc 关闭",
        "new": "新对话",
        "again": "重答上一句",
        "other_before": "前一个答案",
        "other_after": "后一个答案",
        "edit": "改上一句",
        "take_back": "收回上一轮",
        "copy": "复制答案",
        "stop": "停止",
        "mode": "问答/续写",
        "warmer": "温度升",
        "colder": "温度降",
        "pace": "逐字显示 / 全速",
        "theme": "明暗主题",
        "language": "Switch to English",
        "quit": "退出",
        "editing": "改上一句：Enter 换掉上一轮，Esc 作罢",
        "copied": "已复制 {} 字",
        "copied_to": "；终端若不让复制，文字也在 {}",
        "damaged": "旧的对话库坏了，原样放在 {}，另开了一个新的",
        "not_saved": "这次的对话没有保存",
        "conversations": "对话",
        "export": "导出这次对话",
        "search_here": "查找，一个字也行",
        "conversation_keys": "Enter 打开  F2 改名  F8 删除  Ctrl+S 导出  Esc 关闭",
        "nothing_found": "没有找到",
        "no_conversations": "还没有保存过对话",
        "turns": "轮",
        "rename": "新标题",
        "delete_again": "再按一次 F8，删除「{}」",
        "web_opening": "正在打开 ……",
        "web_ended": "这次结束了。",
        "web_again": "重新开始",
        "web_full": "人满了，过一会儿这一页会自己再试。",
        "web_host": "只能从这台服务器自己的地址进来。",
        "web_token": "要有口令才能进来：地址后面加上 ?token=口令。",
        "web_gone": "这个文件已经没有了。",
        "exported": "已写入 {}",
        "next": "下一个字",
        "next_keys": "←→ 温度  = 0.80  k p m r 收紧 top-k top-p min-p 惩罚，大写放宽  Esc 关闭",
        "settings": "温度 {}  top-k {}  top-p {}  min-p {}  重复惩罚 {}   熵 {} 比特，模型自己 {} 比特",
        "others": "其余 {}",
        "cut": "·· 被 {} 截去",
        "models": "模型",
        "model_keys": "Enter 换上  Esc 关闭",
        "ships": "随程序附带",
        "in_training": "训练中",
        "trained_on": "训练文字：{} 字，{}",
        "can_ask": "读过对话，可以问答",
        "cannot_ask": "没有读过对话，只能续写",
        "bits_both": "没见过的文字：{} 比特/字，带记忆 {}",
        "curve": "训练曲线，第 {} / {} 步：{} 比特/字",
        "help_text": (
            "Enter\t发送；Ctrl+J 换行；正在生成时先停下这一段\n"
            "Esc\t停止生成，已写的留下\n"
            "Ctrl+R F5\t重答上一句；← → 或 Alt+← → 在几个答案之间换\n"
            "F4 F8\t改上一句；收回上一轮，网络的状态也退回去\n"
            "F3\t下一个字：每个字有多大可能，温度和筛选怎样改变它\n"
            "F6\t看每个字：那里还能写什么，为什么写了它；换一个字另写\n"
            "F7\t温度并排：同一个开头、同样的随机数，几个温度各写一篇\n"
            "Ctrl+S\t意外着色：哪些字连模型自己也没料到\n"
            "F9\t复制答案\n"
            "↑ ↓\t输入框空着时，取回以前的输入；PgUp PgDn 翻看前文\n"
            "Alt+↑ ↓\t温度升降 0.05，生成中也行；Tab 移到滑块和设置，= 还原\n"
            "Ctrl+T\t问答与续写之间切换\n"
            "Ctrl+G\t记忆：也照着读过的文字写，或只凭网络写\n"
            "F2 Ctrl+O\t保存过的对话；Ctrl+N 新对话，从零状态开始\n"
            "Ctrl+L\t换一个模型，看正在训练的模型\n"
            "Ctrl+P\t命令面板：全速、主题、语言，什么都有；Ctrl+Q 退出\n"
            "\n"
            "温度\t每个字都按概率抽取，抽之前先把分数除以温度：低了稳，只走最有把握的路；"
            "高了野，少见的字也有机会；为 0 时总取最可能的字。\n"
            "比特/字\t模型对自己写出的字平均有多意外；越小越有把握。"
        ),
    },
    "en": {
        "chat": "chat",
        "continue": "continue",
        "loading": "loading the model …",
        "ready": "ready",
        "failed": "no model",
        "writing": "writing",
        "temperature": "temperature",
        "greedy": "greedy: always the likeliest",
        "low": "careful",
        "middle": "balanced",
        "high": "bold",
        "wild": "wild",
        "from": "(from character {} on)",
        "seed": "seed",
        "characters": "chars",
        "rate": "chars/s",
        "surprise": "bits/char",
        "stopped": "stopped",
        "branched": "branched at character {}",
        "penalty": "penalty",
        "any_seed": "random",
        "memory_on": "memory on",
        "memory_off": "memory off",
        "surprises": "surprise",
        "less": "under {} bits",
        "more": "{} bits on, 1/{}",
        "shade": "Shade surprises",
        "look": "Look at any character",
        "look_title": "Any character · turn {} of {}",
        "look_keys": "←→↑↓ a character  Enter/Tab others  Enter branches  PgUp PgDn turns  Esc",
        "seen": "{}  drawn with probability {}, the model’s {}, rank {}, surprise {} bits; entropy here {} bits",
        "drawn_at": "drawn at temperature {} by the random number {}",
        "by_hand": "This one was not drawn: you chose it.",
        "drafted": "drawn at temperature {} by {}; eight drafts begin an answer, one is kept: elsewhere another, maybe",
        "forked": "Branched from an earlier answer: this is a new conversation, the other is kept (F2).",
        "above": "above {}: {}",
        "below": "below {}: {}",
        "never_above": "the same at any higher",
        "never_below": "the same at any lower",
        "semicolon": "; ",
        "nothing_to_look_at": "there is no answer yet to look at",
        "sweep": "Temperatures side by side",
        "temperatures": "some temperatures, commas between",
        "sweep_keys": "Enter again / keeps a column  Tab ←→ columns  ┊ parted  Ctrl+S file  Esc",
        "too_many": "{} temperatures at most",
        "nothing_to_sweep": "type a question or a beginning first, then F7",
        "entropy": "entropy",
        "self_surprise": "bits/char",
        "repeated": "longest repeat",
        "parts_at": "shared",
        "network": "network",
        "ask_here": "Type a question (the model speaks Chinese), Enter sends",
        "continue_here": "Type a beginning, Enter continues it; Enter alone writes on",
        "welcome": (
            "A recurrent neural network lives here. It writes Chinese one character at a time; it is often wrong.\n"
            "Try:  什么是隐藏状态？   温度有什么用？   你好\n"
            "Ctrl+T lets it continue a text of yours instead, without end, until you press Esc."
        ),
        "welcome_writer": (
            "A recurrent neural network lives here. It has read no dialogue: it only writes on, as its text did.\n"
            "Give it a beginning; Enter starts it, Esc stops it, Alt+↑ Alt+↓ turn the temperature."
        ),
        "memory": "memory",
        "no_memory": "This model has no memory beside its network.",
        "switch_memory": "Memory on or off",
        "cannot_chat": "This model has read no dialogue: it cannot answer, only continue a text.",
        "hints": "F1 help  Esc stop  Alt+↑↓ temp  F3 F6 F7 lab  Ctrl+T mode  F2 list  ^Q quit",
        "help": "Help",
        "help_close": "Esc closes",
        "new": "New conversation",
        "again": "Answer once more",
        "other_before": "The answer before",
        "other_after": "The answer after",
        "edit": "Edit the last prompt",
        "take_back": "Take the last turn back",
        "copy": "Copy the answer",
        "stop": "Stop",
        "mode": "Chat or continue",
        "warmer": "Temperature up",
        "colder": "Temperature down",
        "pace": "Reading pace or full speed",
        "theme": "Light or dark",
        "language": "切换到中文",
        "quit": "Quit",
        "editing": "Editing the last prompt: Enter replaces the last turn, Esc leaves it",
        "copied": "{} characters copied",
        "copied_to": "; if the terminal has no clipboard, they are in {}",
        "damaged": "The conversations were damaged; the file is kept as {}, and a new one begun",
        "not_saved": "These conversations are not saved",
        "conversations": "Conversations",
        "export": "Export this conversation",
        "search_here": "search; one character will do",
        "conversation_keys": "Enter opens  F2 renames  F8 deletes  Ctrl+S exports  Esc closes",
        "nothing_found": "nothing found",
        "no_conversations": "no conversation has been saved yet",
        "turns": "turns",
        "rename": "New title",
        "delete_again": "F8 once more deletes “{}”",
        "web_opening": "Opening …",
        "web_ended": "This visit has ended.",
        "web_again": "Begin again",
        "web_full": "All places are taken; this page tries again by itself.",
        "web_host": "This server is only asked by its own address.",
        "web_token": "A token is needed to come in: add ?token=TOKEN to the address.",
        "web_gone": "This file is no longer there.",
        "exported": "written to {}",
        "next": "What may come next",
        "next_keys": "←→ temperature  = 0.80  k p m r narrower  K P M R wider  Esc closes",
        "settings": "temperature {}  top-k {}  top-p {}  min-p {}  penalty {}   entropy {} bits, the model's own {}",
        "others": "{} others",
        "cut": "·· cut by {}",
        "models": "Models",
        "model_keys": "Enter takes it  Esc closes",
        "ships": "ships with the program",
        "in_training": "in training",
        "trained_on": "trained on {} characters of {}",
        "can_ask": "has read dialogue and can be asked",
        "cannot_ask": "has read no dialogue: it only continues",
        "bits_both": "text it never read: {} bits/char, with memory {}",
        "curve": "training, step {} of {}: {} bits/char",
        "help_text": (
            "Enter\tsend; Ctrl+J new line; what is being written stops first\n"
            "Esc\tstop writing and keep the text\n"
            "Ctrl+R F5\tanswer once more; ← → or Alt+← → go between answers\n"
            "F4 F8\tedit the last prompt; take the last turn back, state and all\n"
            "F3\twhat may come next, and what temperature and filters do to it\n"
            "F6\tany character: what else could have stood there, why, and branch\n"
            "F7\tone prompt at several temperatures, by the same random numbers\n"
            "Ctrl+S\tshade what surprised the model itself\n"
            "F9\tcopy the answer\n"
            "↑ ↓\tearlier prompts, when the box is empty; PgUp PgDn read back\n"
            "Alt+↑ ↓\ttemperature by 0.05, also in mid-answer; Tab to slider and knobs\n"
            "Ctrl+T\tchat or continue\n"
            "Ctrl+G\tmemory: the text it read has a say, or the network alone\n"
            "F2 Ctrl+O\tsaved conversations; Ctrl+N a new one, from a zero state\n"
            "Ctrl+L\tother models, and those in training\n"
            "Ctrl+P\tcommands: speed, theme, language, everything; Ctrl+Q quit\n"
            "\n"
            "temperature\teach character is drawn by chance, after the scores are divided by the temperature: low is "
            "safe, high gives rare characters a chance, 0 always takes the likeliest.\n"
            "bits/char\thow surprised the model is, on average, at what it wrote; less is surer."
        ),
    },
}


def language_of_locale() -> Language:
    """Chinese, unless the locale names another language."""
    locale = next((value for name in ("LC_ALL", "LC_MESSAGES", "LANG") if (value := os.environ.get(name))), "")
    plain = locale.split(".")[0].lower()
    return "zh" if plain in ("", "c", "posix") or plain.startswith("zh") else "en"
