"""The nine kinds of question the tiny model is taught, each a function from a random stream to one Question.

A question's `key` is what it asks, without its wording where wording does not matter (23+45 is one key in every
phrasing, both languages and both orders), and with its wording where the fact itself must be taught (the colour of
snow is seen in training, but not in the phrasing that is held out). corpus.py splits by key. Knows nothing of files
or tokenizers. Try: python data/tiny/corpus.py --show 20
"""

from collections.abc import Callable
from dataclasses import dataclass
from random import Random

import words

TAUGHT = "taught:"  # a key that starts with this is never held out


@dataclass(frozen=True)
class Question:
    """One question with its only right answer. key: what the train/held-out split goes by."""

    kind: str
    language: str
    key: str
    prompt: str
    answer: str


def _language(rng: Random) -> str:
    return "en" if rng.random() < 0.6 else "zh"


def bare(prompt: str) -> str:
    """A prompt without its capitals and its last punctuation, which a person may leave out."""
    return prompt.casefold().rstrip("?.!？。！ ")


def _phrased(rng: Random, kind: str, language: str, prompts: tuple[str, ...], answer: str) -> Question:
    """A fact in one of several phrasings; the phrasing is the key, and the first one is always taught."""
    index = rng.randrange(len(prompts))
    key = f"{kind}:{bare(prompts[index])}"
    return Question(kind, language, key if index else TAUGHT + key, prompts[index], answer)


# --- arithmetic ------------------------------------------------------------------------------------------------

SUM_PROMPTS = {
    "en": ("What is {a} + {b}?", "{a} + {b} = ?", "Add {a} and {b}.", "What is {a} plus {b}?", "{a} + {b}"),
    "zh": ("{a} + {b} 等于多少？", "{a} 加 {b} 等于几？", "计算 {a} + {b}。"),
}
DIFFERENCE_PROMPTS = {
    "en": ("What is {a} - {b}?", "{a} - {b} = ?", "What is {a} minus {b}?", "{a} - {b}"),
    "zh": ("{a} - {b} 等于多少？", "{a} 减 {b} 等于几？", "计算 {a} - {b}。"),
}


def sums(rng: Random) -> Question:
    """Two numbers below 100; 23+45 and 45+23 share a key."""
    a, b, language = rng.randrange(100), rng.randrange(100), _language(rng)
    prompt = rng.choice(SUM_PROMPTS[language]).format(a=a, b=b)
    return Question("sums", language, f"sums:{min(a, b)}+{max(a, b)}", prompt, str(a + b))


def differences(rng: Random) -> Question:
    """Two numbers below 100, the larger first, so that no answer is negative."""
    a, b, language = rng.randrange(100), rng.randrange(100), _language(rng)
    a, b = max(a, b), min(a, b)
    prompt = rng.choice(DIFFERENCE_PROMPTS[language]).format(a=a, b=b)
    return Question("differences", language, f"differences:{a}-{b}", prompt, str(a - b))


# --- sequences -------------------------------------------------------------------------------------------------

COPY_PROMPTS = {
    "en": ("Repeat: {items}", "Copy this: {items}", "Say this again: {items}"),
    "zh": ("请重复: {items}", "照着写: {items}", "再说一遍: {items}"),
}
REVERSE_PROMPTS = {
    "en": ("Reverse: {items}", "Reverse the order: {items}", "Say this backwards: {items}"),
    "zh": ("请倒着写: {items}", "倒过来: {items}", "把顺序反过来: {items}"),
}
FIRST_PROMPTS = {
    "en": (
        "First letters: {items}",
        "What is the first letter of each word: {items}",
        "Give the first letters of {items}",
    ),
    "zh": ("每个词的第一个字: {items}", "取第一个字: {items}", "写出每个词的第一个字: {items}"),
}


def _items(rng: Random, language: str) -> list[str]:
    pools: dict[str, tuple[list[str], ...]] = {
        "en": (words.WORDS, list(words.LETTERS), list("0123456789")),
        "zh": (words.WORDS_ZH, list(words.CHARS_ZH), list("0123456789")),
    }
    pool = rng.choice(pools[language])
    return [rng.choice(pool) for _ in range(rng.randint(2, 6))]


def copying(rng: Random) -> Question:
    """Two to six words, letters, digits or Chinese characters, said again."""
    language = _language(rng)
    text = " ".join(_items(rng, language))
    return Question(
        "copying", language, f"copying:{text}", rng.choice(COPY_PROMPTS[language]).format(items=text), text
    )


def reversing(rng: Random) -> Question:
    """The same items, last one first."""
    language = _language(rng)
    items = _items(rng, language)
    text = " ".join(items)
    prompt = rng.choice(REVERSE_PROMPTS[language]).format(items=text)
    return Question("reversing", language, f"reversing:{text}", prompt, " ".join(reversed(items)))


def first_letters(rng: Random) -> Question:
    """The first letter (first character in Chinese) of each of one to four known words."""
    language = _language(rng)
    pool = words.WORDS if language == "en" else words.WORDS_ZH
    items = [rng.choice(pool) for _ in range(rng.randint(1, 4))]
    text = " ".join(items)
    # The first letter of one word is a fact that must be seen once; only combinations are held out.
    key = f"first_letters:{text}" if len(items) > 1 else f"{TAUGHT}first_letters:{text}"
    prompt = rng.choice(FIRST_PROMPTS[language]).format(items=text)
    return Question("first_letters", language, key, prompt, " ".join(item[0] for item in items))


# --- talk ------------------------------------------------------------------------------------------------------

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
    language = _language(rng)
    draw = rng.random()
    greeting = rng.choice(GREETINGS[language])
    if draw < 0.15:
        answer = (
            f"{greeting}! How can I help you?" if language == "en" else f"{greeting}！有什么可以帮你的吗？"
        )
        return _phrased(rng, "greetings", language, _endings(greeting, language), answer)
    if draw < 0.65:
        name = rng.choice(words.NAMES if language == "en" else words.NAMES_ZH)
        prompts = tuple(greeting + form.format(name=name) for form in INTRODUCTIONS[language])
        answer = (
            f"{greeting}, {name}! How can I help you?"
            if language == "en"
            else f"{greeting}，{name}！有什么可以帮你的吗？"
        )
        return _phrased(rng, "greetings", language, prompts, answer)
    phrases, answer = rng.choice(SMALL_TALK[language])
    phrase = rng.choice(phrases)
    prompts = (phrase, *(f"{word}{mark}{phrase}" for word, mark in _lead_ins(language)))
    return _phrased(rng, "greetings", language, prompts, answer)


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
            ("what can you do?", "how can you help me?", "what are you good at?"),
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
            f"我是由 {words.SELF_MAKER_ZH}做出来的。",
        ),
        (("你是什么？", "你是人吗？", "你是真人吗？", "你是机器人吗？"), "我是语言模型，不是人。"),
        (("你会做什么？", "你能帮我什么？", "你擅长什么？"), "我会聊天、加减、重复、倒写，还知道颜色。"),
        (("你会说什么语言？", "你会说中文吗？", "你懂哪些语言？"), "我会一点英文和中文。"),
    ),
}


def identity(rng: Random) -> Question:
    """Who the model is; the wording of the question with its lead-in is the key."""
    language = _language(rng)
    phrases, answer = rng.choice(IDENTITY[language])
    phrase = rng.choice(phrases)
    sentence = phrase[0].upper() + phrase[1:]
    prompts = tuple(
        opener.format(phrase if opener.endswith((": {}", ", {}")) else sentence)
        for opener in OPENERS[language]
    )
    return _phrased(rng, "identity", language, prompts, answer)


# --- knowledge -------------------------------------------------------------------------------------------------


def colours(rng: Random) -> Question:
    """The colour of a thing, or of two paints mixed."""
    language = _language(rng)
    if rng.random() < 0.2:
        first, second, mixed, first_zh, second_zh, mixed_zh = rng.choice(words.MIXES)
        if language == "en":
            prompts = tuple(
                form.format(a=a, b=b)
                for a, b in ((first, second), (second, first))
                for form in (
                    "What do {a} and {b} make?",
                    "Mix {a} and {b}.",
                    "What colour do I get from {a} and {b}?",
                )
            )
            return _phrased(rng, "colours", "en", prompts, f"{first.capitalize()} and {second} make {mixed}.")
        prompts = tuple(
            form.format(a=a, b=b)
            for a, b in ((first_zh, second_zh), (second_zh, first_zh))
            for form in ("{a}和{b}混合是什么颜色？", "把{a}和{b}混在一起。", "{a}加{b}是什么颜色？")
        )
        return _phrased(rng, "colours", "zh", prompts, f"{first_zh}和{second_zh}混合是{mixed_zh}。")
    thing, colour, thing_zh, colour_zh = rng.choice(words.COLOURS)
    if language == "en":
        prompts = (
            f"What colour is {thing}?",
            f"What is the colour of {thing}?",
            f"Which colour is {thing}?",
            f"Tell me the colour of {thing}.",
            f"Do you know what colour {thing} is?",
        )
        return _phrased(rng, "colours", "en", prompts, f"{thing[0].upper()}{thing[1:]} is {colour}.")
    prompts = (
        f"{thing_zh}是什么颜色？",
        f"{thing_zh}的颜色是什么？",
        f"告诉我{thing_zh}的颜色。",
        f"你知道{thing_zh}是什么颜色吗？",
    )
    return _phrased(rng, "colours", "zh", prompts, f"{thing_zh}是{colour_zh}的。")


def facts(rng: Random) -> Question:
    """Capitals, opposites, legs, days, months and how many of one thing are in another."""
    language = _language(rng)
    draw = rng.choice((_capital, _capital, _opposite, _opposite, _legs, _day, _month, _count))
    prompts, answer = draw(rng, language)
    return _phrased(rng, "facts", language, prompts, answer)


Fact = tuple[tuple[str, ...], str]  # phrasings, answer


def _capital(rng: Random, language: str) -> Fact:
    country, city, country_zh, city_zh = rng.choice(words.CAPITALS)
    if language == "en":
        prompts = (
            f"What is the capital of {country}?",
            f"Which city is the capital of {country}?",
            f"Tell me the capital of {country}.",
            f"Name the capital of {country}.",
            f"{country}: what is its capital?",
        )
        return prompts, f"The capital of {country} is {city}."
    prompts = (
        f"{country_zh}的首都是哪里？",
        f"{country_zh}的首都是什么？",
        f"告诉我{country_zh}的首都。",
        f"你知道{country_zh}的首都吗？",
    )
    return prompts, f"{country_zh}的首都是{city_zh}。"


def _opposite(rng: Random, language: str) -> Fact:
    one, other, one_zh, other_zh = rng.choice(words.OPPOSITES)
    if rng.random() < 0.5:
        one, other, one_zh, other_zh = other, one, other_zh, one_zh
    if language == "en":
        prompts = (
            f"What is the opposite of {one}?",
            f"Tell me the opposite of {one}.",
            f"Give the opposite of {one}.",
            f"What word is the opposite of {one}?",
        )
        return prompts, f"The opposite of {one} is {other}."
    prompts = (
        f"“{one_zh}”的反义词是什么？",
        f"告诉我“{one_zh}”的反义词。",
        f"写出“{one_zh}”的反义词。",
        f"什么是“{one_zh}”的反义词？",
    )
    return prompts, f"“{one_zh}”的反义词是“{other_zh}”。"


def _legs(rng: Random, language: str) -> Fact:
    animal, legs, animal_zh = rng.choice(words.LEGS)
    if language == "en":
        article = "An" if animal[0] in "aeiou" else "A"
        prompts = (
            f"How many legs does {article.lower()} {animal} have?",
            f"Tell me how many legs {article.lower()} {animal} has.",
            f"{article} {animal} has how many legs?",
            f"Count the legs of {article.lower()} {animal}.",
        )
        return prompts, f"{article} {animal} has {legs or 'no'} legs."
    prompts = (
        f"{animal_zh}有几条腿？",
        f"{animal_zh}有多少条腿？",
        f"告诉我{animal_zh}有几条腿。",
        f"你知道{animal_zh}有几条腿吗？",
    )
    return prompts, f"{animal_zh}有{legs}条腿。" if legs else f"{animal_zh}没有腿。"


def _next(rng: Random, language: str, what: str, what_zh: str, cycle: list[str], cycle_zh: list[str]) -> Fact:
    """What follows, or comes before, a member of a cycle (days, months)."""
    index, step = rng.randrange(len(cycle)), rng.choice((1, -1))
    other = (index + step) % len(cycle)
    word, word_zh = ("after", "后面") if step == 1 else ("before", "前面")
    if language == "en":
        here, there = cycle[index], cycle[other]
        prompts = (
            f"What {what} comes {word} {here}?",
            f"Which {what} is {word} {here}?",
            f"Tell me the {what} {word} {here}.",
            f"What is the {what} {word} {here}?",
        )
        return prompts, f"{there} comes {word} {here}."
    here, there = cycle_zh[index], cycle_zh[other]
    prompts = (
        f"{here}{word_zh}是{what_zh}？",
        f"{here}的{word_zh}是{what_zh}？",
        f"告诉我{here}{word_zh}是{what_zh}。",
        f"你知道{here}{word_zh}是{what_zh}吗？",
    )
    return prompts, f"{here}{word_zh}是{there}。"


def _day(rng: Random, language: str) -> Fact:
    return _next(rng, language, "day", "星期几", [d for d, _ in words.DAYS], [d for _, d in words.DAYS])


def _month(rng: Random, language: str) -> Fact:
    return _next(rng, language, "month", "几月", words.MONTHS, words.MONTHS_ZH)


def _count(rng: Random, language: str) -> Fact:
    part, whole, number, question_zh, answer_zh = rng.choice(words.COUNTS)
    if language == "en":
        verb = "does" if whole == "one hand" or (whole.startswith("a ") and part == "sides") else "are in"
        ask = f"{verb} {whole} have" if verb == "does" else f"{verb} {whole}"
        prompts = (
            f"How many {part} {ask}?",
            f"Tell me how many {part} {whole} has.",
            f"{whole[0].upper()}{whole[1:]} has how many {part}?",
        )
        return prompts, f"{whole[0].upper()}{whole[1:]} has {number} {part}."
    prompts = (question_zh + "？", f"告诉我{question_zh}。", f"你知道{question_zh}吗？")
    return prompts, answer_zh


KINDS: dict[str, Callable[[Random], Question]] = {
    "greetings": greetings,
    "identity": identity,
    "sums": sums,
    "differences": differences,
    "copying": copying,
    "reversing": reversing,
    "first_letters": first_letters,
    "colours": colours,
    "facts": facts,
}
