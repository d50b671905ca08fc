"""Greetings, small talk, and who the model is. Each function draws one Question from a random stream.

Try: python data/tiny/corpus.py --show 20
"""

from random import Random

import words
from question import Question, phrased, pick_language

GREETINGS = {
    "en": ("Hello", "Hi", "Hey", "Good morning", "Good afternoon", "Good evening"),
    "zh": ("你好", "您好", "早上好", "下午好", "晚上好"),
}
INTRODUCTIONS = {
    "en": (", I am {name}.", ", I'm {name}.", "! My name is {name}.", ", this is {name}.", "! {name} here."),
    "zh": ("，我是{name}。", "，我叫{name}。", "！我的名字是{name}。", "，这里是{name}。"),
}
SMALL_TALK = {
    "en": (
        (
            ("How are you?", "How are you today?", "How do you do?", "Are you well?"),
            "I am well, thank you. How can I help you?",
        ),
        (("Thank you.", "Thanks.", "Thank you very much.", "Thanks a lot."), "You are welcome!"),
        (("Goodbye.", "Bye.", "Bye bye.", "See you later."), "Goodbye! Have a nice day."),
        (("Good night.", "Sleep well.", "Good night to you."), "Good night! Sleep well."),
        (("Nice to meet you.", "Glad to meet you.", "Happy to meet you."), "Nice to meet you too!"),
        (("Sorry.", "I am sorry.", "Excuse me."), "No problem at all."),
    ),
    "zh": (
        (("你好吗？", "你今天好吗？", "最近怎么样？", "你还好吗？"), "我很好，谢谢。有什么可以帮你的吗？"),
        (("谢谢。", "谢谢你。", "非常感谢。", "多谢。"), "不客气！"),
        (("再见。", "拜拜。", "回头见。", "下次见。"), "再见！祝你愉快。"),
        (("晚安。", "祝你晚安。", "睡个好觉。"), "晚安！好梦。"),
        (("很高兴认识你。", "认识你很高兴。", "见到你很高兴。"), "我也很高兴认识你！"),
        (("对不起。", "不好意思。", "抱歉。"), "没关系。"),
    ),
}
OPENERS = {
    "en": (
        "{}",
        "Hello. {}",
        "Hi! {}",
        "Please tell me: {}",
        "Excuse me, {}",
        "Quick question: {}",
        "One more thing: {}",
    ),
    "zh": ("{}", "你好。{}", "嗨！{}", "请告诉我：{}", "请问，{}", "问一下：{}", "还有一个问题：{}"),
}


def greetings(rng: Random) -> Question:
    """A greeting alone, a greeting with a name to answer to, or small talk."""
    language = pick_language(rng)
    draw = rng.random()
    greeting = rng.choice(GREETINGS[language])
    if draw < 0.15:
        answer = (
            f"{greeting}! How can I help you?" if language == "en" else f"{greeting}！有什么可以帮你的吗？"
        )
        return phrased(rng, "greetings", language, _endings(greeting, language), answer)
    if draw < 0.65:
        name = rng.choice(words.NAMES if language == "en" else words.NAMES_ZH)
        prompts = tuple(greeting + form.format(name=name) for form in INTRODUCTIONS[language])
        answer = (
            f"{greeting}, {name}! How can I help you?"
            if language == "en"
            else f"{greeting}，{name}！有什么可以帮你的吗？"
        )
        return phrased(rng, "greetings", language, prompts, answer)
    phrases, answer = rng.choice(SMALL_TALK[language])
    phrase = rng.choice(phrases)
    prompts = (phrase, *(f"{word}{mark}{phrase}" for word, mark in _lead_ins(language)))
    return phrased(rng, "greetings", language, prompts, answer)


def _endings(greeting: str, language: str) -> tuple[str, ...]:
    marks = ("", ".", "!", " there!", " there") if language == "en" else ("", "。", "！", "呀！", "呀")
    return tuple(greeting + mark for mark in marks)


def _lead_ins(language: str) -> tuple[tuple[str, str], ...]:
    if language == "en":
        return (("Well", ", "), ("OK", ". "), ("My friend", ", "), ("Oh", ", "))
    return (("好的", "，"), ("嗯", "，"), ("朋友", "，"), ("哦", "，"))


IDENTITY = {
    "en": (
        (
            (
                "who are you?",
                "who is this?",
                "can you introduce yourself?",
                "tell me who you are.",
                "who am I talking to?",
                "tell me about yourself.",
            ),
            f"I am {words.SELF_NAME}, a very small language model.",
        ),
        (
            ("what is your name?", "what should I call you?", "do you have a name?", "what are you called?"),
            f"My name is {words.SELF_NAME}.",
        ),
        (
            ("who made you?", "who trained you?", "who built you?", "who created you?"),
            f"I was made by {words.SELF_MAKER}.",
        ),
        (
            ("what are you?", "are you a human?", "are you a person?", "are you a robot?"),
            "I am a language model, not a person.",
        ),
        (
            ("what can you do?", "what can you help me with?", "what are you good at?"),
            "I can chat, add, subtract, copy, reverse and name colours.",
        ),
        (
            ("which languages do you speak?", "do you speak Chinese?", "what languages do you know?"),
            "I speak a little English and Chinese.",
        ),
    ),
    "zh": (
        (
            (
                "你是谁？",
                "介绍一下你自己。",
                "能介绍一下你自己吗？",
                "告诉我你是谁。",
                "我在和谁说话？",
                "说说你自己。",
            ),
            f"我是 {words.SELF_NAME}，一个很小的语言模型。",
        ),
        (
            ("你叫什么名字？", "我该怎么称呼你？", "你有名字吗？", "你的名字是什么？"),
            f"我的名字是 {words.SELF_NAME}。",
        ),
        (
            ("谁创造了你？", "谁训练了你？", "是谁做的你？", "你是谁开发的？"),
            f"我是由 {words.SELF_MAKER_ZH}开发的。",
        ),
        (("你是什么？", "你是人吗？", "你是真人吗？", "你是机器人吗？"), "我是一个语言模型助手，不是人。"),
        (("你会做什么？", "你能帮我什么？", "你擅长什么？"), "我会聊天、加减、重复、倒写，还知道颜色。"),
        (("你会说什么语言？", "你会说中文吗？", "你懂哪些语言？"), "我会一点英文和中文。"),
    ),
}


def identity(rng: Random) -> Question:
    """Who the model is; the wording of the question with its lead-in is the key."""
    language = pick_language(rng)
    phrases, answer = rng.choice(IDENTITY[language])
    phrase = rng.choice(phrases)
    sentence = phrase[0].upper() + phrase[1:]
    prompts = tuple(
        opener.format(phrase if opener.endswith((": {}", ", {}")) else sentence)
        for opener in OPENERS[language]
    )
    return phrased(rng, "identity", language, prompts, answer)
