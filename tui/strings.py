"""Every word on the screen, in both languages."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Literal

Language = Literal["zh", "en"]

STRINGS: Mapping[Language, Mapping[str, str]] = {
    "zh": {
        "chat": "问答",
        "continue": "续写",
        "loading": "正在载入模型…",
        "ready": "就绪",
        "failed": "没有模型",
        "writing": "生成中",
        "waiting": "待答",
        "temperature": "温度",
        "greedy": "贪心：总取最可能的字",
        "low": "保守",
        "middle": "平衡",
        "high": "大胆",
        "wild": "狂放",
        "seed": "种子",
        "characters": "字",
        "rate": "字/秒",
        "surprise": "比特/字",
        "stopped": "已停止",
        "ask_here": "输入问题，按 Enter 发送",
        "continue_here": "输入开头，按 Enter 续写；空着按 Enter 接着写",
        "welcome": (
            "这里住着一个循环神经网络。它逐字生成，一边写一边记，常常写错，但从不停下来查资料。\n"
            "试着问它：什么是隐藏状态？  温度有什么用？  你好\n"
            "按 Ctrl+T 换成续写，给它一个开头，它会一直写下去，直到你按 Esc。"
        ),
        "memory": "记忆",
        "no_memory": "这个模型旁边没有记忆，只有网络。",
        "switch_memory": "记忆开关",
        "cannot_chat": "这个模型没有读过对话，不能问答，只能续写。",
        "hints": "F1 帮助  Esc 停止  Ctrl+T 问答/续写  Alt+↑↓ 温度  Ctrl+N 新对话  Ctrl+Q 退出",
        "help": "帮助",
        "help_close": "Esc 关闭",
        "new": "新对话",
        "mode": "问答/续写",
        "pace": "逐字显示 / 全速",
        "theme": "明暗主题",
        "language": "Switch to English",
        "quit": "退出",
        "help_text": (
            "Enter\t发送；正在生成时先停下这一段，再回答新的\n"
            "Ctrl+J\t换行\n"
            "Esc\t停止生成，已写的留下\n"
            "↑ ↓\t输入框空着时，取回以前的输入\n"
            "PgUp PgDn\t翻看前文；回到末尾后继续跟随\n"
            "Alt+↑ ↓\t温度升降 0.05，生成中也行\n"
            "Tab\t移到温度滑块：← → 调整，= 回到 0.80\n"
            "Ctrl+T\t问答与续写之间切换\n"
            "Ctrl+R\t记忆：也照着读过的文字写，或只凭网络写\n"
            "Ctrl+N\t新对话，从零状态开始\n"
            "Ctrl+P\t命令面板：全速、主题、语言等\n"
            "Ctrl+Q\t退出\n"
            "\n"
            "温度\t每个字都按概率抽取，抽之前先把分数除以温度：低了稳，只走最有把握的路；"
            "高了野，少见的字也有机会；为 0 时总取最可能的字，同样的开头永远得到同样的文字。\n"
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
        "waiting": "waiting",
        "temperature": "temperature",
        "greedy": "greedy: always the likeliest",
        "low": "careful",
        "middle": "balanced",
        "high": "bold",
        "wild": "wild",
        "seed": "seed",
        "characters": "chars",
        "rate": "chars/s",
        "surprise": "bits/char",
        "stopped": "stopped",
        "ask_here": "Type a question (the model speaks Chinese), Enter sends",
        "continue_here": "Type a beginning, Enter continues it; Enter alone writes on",
        "welcome": (
            "A recurrent neural network lives here. It writes Chinese one character at a time; it is often wrong.\n"
            "Try:  什么是隐藏状态？   温度有什么用？   你好\n"
            "Ctrl+T lets it continue a text of yours instead, without end, until you press Esc."
        ),
        "memory": "memory",
        "no_memory": "This model has no memory beside its network.",
        "switch_memory": "Memory on or off",
        "cannot_chat": "This model has read no dialogue: it cannot answer, only continue a text.",
        "hints": "F1 help  Esc stop  Ctrl+T mode  Alt+↑↓ temperature  Ctrl+N new  Ctrl+Q quit",
        "help": "Help",
        "help_close": "Esc closes",
        "new": "New conversation",
        "mode": "Chat or continue",
        "pace": "Reading pace or full speed",
        "theme": "Light or dark",
        "language": "切换到中文",
        "quit": "Quit",
        "help_text": (
            "Enter\tsend; what is being written stops first\n"
            "Ctrl+J\tnew line\n"
            "Esc\tstop writing and keep the text\n"
            "↑ ↓\tearlier prompts, when the box is empty\n"
            "PgUp PgDn\tread back; at the end the view follows again\n"
            "Alt+↑ ↓\ttemperature by 0.05, while it writes too\n"
            "Tab\tto the slider: ← → change it, = back to 0.80\n"
            "Ctrl+T\tchat or continue\n"
            "Ctrl+R\tmemory: the text it read has a say, or the network alone\n"
            "Ctrl+N\tnew conversation, from a zero state\n"
            "Ctrl+P\tcommands: full speed, theme, language and more\n"
            "Ctrl+Q\tquit\n"
            "\n"
            "temperature\teach character is drawn by chance, after the scores are divided by the temperature: low is "
            "safe, high gives rare characters a chance, 0 always takes the likeliest, so the same beginning "
            "always gives the same text.\n"
            "bits/char\thow surprised the model is, on average, at what it wrote; less is surer."
        ),
    },
}


def language_of_locale() -> Language:
    """Chinese, unless the locale names another language."""
    locale = next((value for name in ("LC_ALL", "LC_MESSAGES", "LANG") if (value := os.environ.get(name))), "")
    plain = locale.split(".")[0].lower()
    return "zh" if plain in ("", "c", "posix") or plain.startswith("zh") else "en"
