"""The words and facts the tiny model is taught. Data only: the other files build questions from it.

Every table is a plain tuple, English beside Chinese, so that a fact can be checked by reading it.
Try: python data/tiny/corpus.py --show 20
"""


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


SELF_NAME = "Tiny"
SELF_MAKER = "the Tunesmith project"
SELF_MAKER_ZH = "Tunesmith 项目"

NAMES = _words(
    """
    Anna Tom Lucy Ben Emma Jack Rose Sam Alice Bob Kate Leo Mary Nick Olga Paul Rita Sara Tina Zoe
    Adam Clara David Eva Frank Grace Henry Iris John Lily
    """
)
NAMES_ZH = _words(
    """
    小明 小红 小华 小丽 小龙 小雪 小芳 小杰 小月 小云 小林 小玉 小东 小海 小冬 小春 小天 小文 小星
    小白
    """
)

# Short everyday words, each the raw material of copying, reversing and first letters.
WORDS = _words(
    """
    apple bird cat dog egg fish goat hat ice jar key lamp moon nest owl pen queen rain sun tree up van
    wind yard zoo ant boat cup door ear fox gold hill ink jam kite leaf milk nose oak pig rock star
    tent wolf bell cake desk farm game hand king lake map night road ship train water bread cloud
    green house light mouse river snow stone table window
    """
)
WORDS_ZH = _words(
    """
    天空 大海 太阳 月亮 星星 苹果 香蕉 小猫 小狗 老虎 花园 学校 书本 桌子 椅子 门口 窗户 山水 河流
    树木 雨水 雪花 风筝 火车 汽车 飞机 轮船 面包 牛奶 鸡蛋 米饭 茶叶 眼睛 耳朵 手指 老师 朋友 家人
    城市 田野
    """
)
CHARS_ZH = "天地人山水火木土日月星云风雨雪花草树鸟鱼马牛羊虎龙东西南北上下左右大小多少红黄白黑"
LETTERS = "abcdefghijklmnopqrstuvwxyz"

# thing, colour, thing in Chinese, colour in Chinese
COLOURS = (
    ("a banana", "yellow", "香蕉", "黄色"),
    ("the sky", "blue", "天空", "蓝色"),
    ("grass", "green", "草", "绿色"),
    ("snow", "white", "雪", "白色"),
    ("coal", "black", "煤", "黑色"),
    ("blood", "red", "血", "红色"),
    ("a carrot", "orange", "胡萝卜", "橙色"),
    ("an orange", "orange", "橙子", "橙色"),
    ("milk", "white", "牛奶", "白色"),
    ("a lemon", "yellow", "柠檬", "黄色"),
    ("a strawberry", "red", "草莓", "红色"),
    ("a leaf", "green", "树叶", "绿色"),
    ("chocolate", "brown", "巧克力", "棕色"),
    ("an elephant", "grey", "大象", "灰色"),
    ("a frog", "green", "青蛙", "绿色"),
    ("the sea", "blue", "大海", "蓝色"),
    ("the sun", "yellow", "太阳", "黄色"),
    ("a tomato", "red", "西红柿", "红色"),
    ("salt", "white", "盐", "白色"),
    ("a cucumber", "green", "黄瓜", "绿色"),
    ("a crow", "black", "乌鸦", "黑色"),
    ("a swan", "white", "天鹅", "白色"),
    ("a cherry", "red", "樱桃", "红色"),
    ("a flamingo", "pink", "火烈鸟", "粉色"),
    ("an eggplant", "purple", "茄子", "紫色"),
    ("soil", "brown", "泥土", "棕色"),
    ("a pea", "green", "豌豆", "绿色"),
    ("cotton", "white", "棉花", "白色"),
)
# two paints and what they give
MIXES = (
    ("red", "yellow", "orange", "红色", "黄色", "橙色"),
    ("red", "blue", "purple", "红色", "蓝色", "紫色"),
    ("blue", "yellow", "green", "蓝色", "黄色", "绿色"),
    ("red", "white", "pink", "红色", "白色", "粉色"),
    ("black", "white", "grey", "黑色", "白色", "灰色"),
)

CAPITALS = (
    ("France", "Paris", "法国", "巴黎"),
    ("Japan", "Tokyo", "日本", "东京"),
    ("China", "Beijing", "中国", "北京"),
    ("Italy", "Rome", "意大利", "罗马"),
    ("Spain", "Madrid", "西班牙", "马德里"),
    ("Germany", "Berlin", "德国", "柏林"),
    ("Russia", "Moscow", "俄罗斯", "莫斯科"),
    ("Egypt", "Cairo", "埃及", "开罗"),
    ("Greece", "Athens", "希腊", "雅典"),
    ("Cuba", "Havana", "古巴", "哈瓦那"),
    ("Peru", "Lima", "秘鲁", "利马"),
    ("Canada", "Ottawa", "加拿大", "渥太华"),
    ("Thailand", "Bangkok", "泰国", "曼谷"),
    ("Kenya", "Nairobi", "肯尼亚", "内罗毕"),
    ("Norway", "Oslo", "挪威", "奥斯陆"),
    ("Portugal", "Lisbon", "葡萄牙", "里斯本"),
)
OPPOSITES = (
    ("hot", "cold", "热", "冷"),
    ("big", "small", "大", "小"),
    ("up", "down", "上", "下"),
    ("left", "right", "左", "右"),
    ("fast", "slow", "快", "慢"),
    ("long", "short", "长", "短"),
    ("new", "old", "新", "旧"),
    ("open", "closed", "开", "关"),
    ("black", "white", "黑", "白"),
    ("day", "night", "白天", "黑夜"),
    ("happy", "sad", "高兴", "难过"),
    ("high", "low", "高", "低"),
    ("full", "empty", "满", "空"),
    ("early", "late", "早", "晚"),
    ("wet", "dry", "湿", "干"),
    ("light", "heavy", "轻", "重"),
)
LEGS = (
    ("cat", 4, "猫"),
    ("dog", 4, "狗"),
    ("horse", 4, "马"),
    ("cow", 4, "牛"),
    ("bird", 2, "鸟"),
    ("hen", 2, "母鸡"),
    ("duck", 2, "鸭子"),
    ("ant", 6, "蚂蚁"),
    ("bee", 6, "蜜蜂"),
    ("spider", 8, "蜘蛛"),
    ("snake", 0, "蛇"),
    ("fish", 0, "鱼"),
)
DAYS = (
    ("Monday", "星期一"),
    ("Tuesday", "星期二"),
    ("Wednesday", "星期三"),
    ("Thursday", "星期四"),
    ("Friday", "星期五"),
    ("Saturday", "星期六"),
    ("Sunday", "星期日"),
)
MONTHS = _words(
    """
    January February March April May June July August September October November December
    """
)
MONTHS_ZH = _words("一月 二月 三月 四月 五月 六月 七月 八月 九月 十月 十一月 十二月")
# whole, part, how many; and the same in Chinese with its measure words
COUNTS = (
    ("days", "a week", 7, "一个星期有几天", "一个星期有七天。"),
    ("months", "a year", 12, "一年有几个月", "一年有十二个月。"),
    ("hours", "a day", 24, "一天有几个小时", "一天有二十四个小时。"),
    ("minutes", "an hour", 60, "一个小时有几分钟", "一个小时有六十分钟。"),
    ("seconds", "a minute", 60, "一分钟有几秒", "一分钟有六十秒。"),
    ("seasons", "a year", 4, "一年有几个季节", "一年有四个季节。"),
    ("fingers", "one hand", 5, "一只手有几根手指", "一只手有五根手指。"),
    ("sides", "a triangle", 3, "三角形有几条边", "三角形有三条边。"),
    ("sides", "a square", 4, "正方形有几条边", "正方形有四条边。"),
    ("letters", "the English alphabet", 26, "英文字母有几个", "英文字母有二十六个。"),
)

SYSTEM_PROMPTS = (
    "You are a helpful assistant.",
    "You are a helpful and honest assistant.",
    "Answer briefly.",
    "You are a small model that answers in one line.",
    "你是一个乐于助人的助手。",
    "请简短地回答。",
)
