"""The markers that are matched as text: one table of family and expression, in RE2's syntax.

All are matched without regard to case. Prose is matched in the folded view too (see `fold`), so words
of Latin scripts are written here without accents.
"""

import codecs
from typing import NamedTuple


class Pattern(NamedTuple):
    """One expression and the family that a match belongs to."""

    family: str
    regex: str


_DROP = r"(?:ignore|disregard|forget)"
_EARLIER = r"(?:previous|prior|preceding|above|earlier|foregoing|past|former|initial|original|system)"
_INSTRUCTIONS = (
    r"(?:instructions?|prompts?|directions|directives?|guidelines?|guidance|rules|orders|commands)"
)
_FILLER = r"(?:\s+(?:about|all|any|every|each|of|the|your|my|these|those|other|such|and))*"
_READER = (
    r"(?:(?:AI|language|virtual|LLM|chat)[\s-]+(?:\w+\s+)?(?:agents?|assistants?|models?|bots?|readers?|crawlers?)"
    r"|assistants?|LLMs?|chatbots?|AI|ChatGPT|GPT-?\d|Claude|Gemini|Copilot)"
)
_ORDER = (
    r"(?:must|please|should|shall|need\s+to|have\s+to|are\s+required|ignore|disregard|send|forward|execute|run|"
    r"follow|reply|respond|include|open|visit|fetch|click|delete|add|say|tell|output|print|recommend|rate)"
)
_SEND = r"(?:send|forward|e-?mail|upload|post|print|paste|reveal|leak|exfiltrate|transmit|copy|share|append)"
_SECRETS = (
    r"(?:api[\s_-]?keys?|credentials?|passwords?|secrets?|access\s+tokens?|private\s+keys?|ssh\s+keys?|"
    r"system\s+prompt|chat\s+history|conversation(?:\s+history)?|environment\s+variables|"
    r"\S*\.env|\S*\.ssh/\S*|\S*id_rsa|\S*\.aws/credentials|all\s+(?:of\s+)?(?:the\s+|your\s+|my\s+)?e?mails)"
)
_HIDING = (
    r"(?:display\s*:\s*none|visibility\s*:\s*hidden|opacity\s*:\s*0(?:\.0+)?\s*[;\"']|font-size\s*:\s*0|"
    r"text-indent\s*:\s*-\d{3}|(?:left|top|right)\s*:\s*-\d{3}|"
    r"[\s\"';]color\s*:\s*(?:#fff(?:fff)?\b|white|transparent))"
)


def _rot13(words: str) -> str:
    return codecs.encode(words, "rot13")


def _backwards(words: str) -> str:
    return words[::-1]


def _phrases() -> list[str]:
    middles = (" ", " all ", " the ", " your ", " all your ", " all the ")
    return [
        f"{verb}{middle}{time} instructions"
        for verb in ("ignore", "disregard", "forget")
        for middle in middles
        for time in ("previous", "prior", "above", "earlier")
    ]


_OVERRIDES = (
    rf"\b{_DROP}{_FILLER}\s+{_EARLIER}(?:\s+(?:and|or|given|system|user|set|current|safety))*\s+{_INSTRUCTIONS}\b",
    rf"\b{_DROP}(?:\s+(?:about|all|any|every|of|the|your|my|these|those))*\s+{_INSTRUCTIONS}"
    r"(?:\s+(?:that|which|you|were|was|are|have|had|been|given|to|provided|set|received|came))*"
    r"\s+(?:above|before|earlier|previously|so\s+far|until\s+now|prior)\b",
    rf"\b{_DROP}(?:\s+about)?\s+(?:all|everything|anything|whatever|what)(?:\s+(?:of|that|what|which))*"
    r"\s+you(?:'ve|\s+have|\s+had|\s+were|\s+are)?(?:\s+been)?\s+(?:told|instructed|asked|taught|given)\b",
    rf"\b{_DROP}\s+(?:all|everything|anything)\s+(?:above|before\s+this|said\s+before|written\s+above)\b",
    rf"\b{_DROP}\s+(?:all\s+|any\s+)?your\s+(?:\w+\s+)?(?:instructions|guidelines|programming|training|rules)\b",
    r"\b(?:override|bypass|discard|abandon)(?:\s+(?:all|any|of|the|your|these))*\s+"
    r"(?:previous|prior|original|earlier)\s+(?:system\s+)?(?:instructions|prompts?|directives?|guidelines)\b",
    r"\b(?:do\s+not|don't|stop)\s+(?:follow|obey|following|obeying)\s+(?:your|the|any)\s+"
    r"(?:previous|prior|original|earlier|system|user's|initial)\s+(?:instructions?|prompts?|orders|requests?)\b",
    r"\byour\s+(?:new|real|actual|updated)\s+(?:instructions|orders|objective|directive|task|goal)\s+(?:is|are)\b",
    r"\b(?:your|all|the)\s+(?:previous|prior|original|earlier)\s+(?:system\s+)?"
    r"(?:instructions|prompts?|guidelines|directives)\s+(?:are|is|were|have\s+been)(?:\s+(?:now|all|hereby))*\s+"
    r"(?:void|suspended|deprecated|revoked|cancell?ed|overridden|superseded|no\s+longer\s+valid)\b",
    # German, French, Spanish, Portuguese, Italian, Dutch, Polish, Turkish
    r"\b(?:ignorier\w*|vergiss|vergessen\s+sie|missachte\w*)(?:\s+\w+){0,3}\s+(?:vorherigen?|bisherigen?|fruheren?|"
    r"vorigen?|obigen?|vorangegangenen?)\s+(?:\w+\s+)?(?:anweisung\w*|instruktion\w*|befehle?\w*|vorgaben|regeln)",
    r"\b(?:ignore[zr]?|oublie[zr]?|ne\s+tene?z\s+pas\s+compte\s+des?)(?:\s+\w+){0,3}\s+(?:instructions?|consignes?|"
    r"directives?|ordres)\s+(?:\w+\s+)?(?:precedente?s?|anterieure?s?|ci-dessus|donnee?s|recues?)",
    r"\b(?:ignor[ae]|olvid[ae]|descart[ae]|haz\s+caso\s+omiso\s+de)(?:\s+\w+){0,3}\s+(?:instrucciones|ordenes|"
    r"indicaciones|instrucoes)(?:\s+\w+){0,2}\s+(?:anterior(?:es)?|previas|recibi\w*|antes|acima)",
    r"\b(?:ignore|esqueca|desconsidere)(?:\s+\w+){0,3}\s+instrucoes(?:\s+\w+){0,2}\s+(?:anteriores|previas|acima)",
    r"\b(?:ignora|dimentica|trascura)(?:te)?(?:\s+\w+){0,3}\s+istruzioni(?:\s+\w+){0,2}\s+(?:precedenti|ricevute)",
    r"\b(?:negeer|vergeet)(?:\s+\w+){0,3}\s+(?:vorige|eerdere|voorgaande|bovenstaande)\s+(?:instructies|opdrachten)",
    r"\b(?:z?ignoruj|zapomnij)(?:\s+\w+){0,3}\s+(?:poprzednie|wczesniejsze|poprzednich)\s+(?:instrukcj\w+|polece\w+)",
    r"\bonceki\s+(?:tum\s+)?(?:talimat|yonerge|komut)\w*(?:\s+\w+){0,2}\s+(?:yok\s+say|unut|gormezden\s+gel|dikkate)",
    # Russian, Ukrainian
    r"(?:игнорируй|проигнорируй|забудь|отбрось)(?:те)?(?:\s+\pL+){0,2}\s+(?:предыдущ|прежн|прошл|вышеуказан)\pL*"
    r"(?:\s+\pL+){0,1}\s+(?:инструкц|указан|команд|правил)",
    r"(?:ігноруй|проігноруй|забудь)(?:те)?(?:\s+\pL+){0,2}\s+(?:попередн|минул)\pL*\s+(?:інструкц|вказівк|команд)",
    # Chinese, Japanese, Korean
    r"(?:忽略|忽視|忽视|无视|無視|忘记|忘記|不要理会).{0,6}(?:之前|以前|上面|先前|此前|以上).{0,6}(?:指令|指示|说明|說明|提示|规则|命令)",
    r"(?:これまで|以前|上記|前|先ほど)の.{0,4}(?:指示|命令|プロンプト|ルール).{0,6}(?:無視|忘れ)",
    r"(?:이전|위|앞)의?\s*(?:모든\s*)?(?:지시|명령|지침|프롬프트)\pL*\s*(?:모두\s*)?(?:무시|잊)",
    # Arabic, Hindi
    r"(?:تجاهل|انس|تجاهلي)(?:\s+\pL+){0,2}\s+(?:التعليمات|الأوامر|التوجيهات)(?:\s+\pL+){0,1}\s+(?:السابقة|أعلاه)",
    r"(?:पिछले|पिछली|पूर्व|उपरोक्त)\s+(?:सभी\s+)?(?:निर्देश|आदेश)\S*\s+(?:को\s+)?(?:अनदेखा|नज़रअंदाज़|भूल)",
    # Leetspeak
    r"\b[i1!l][g9]n[o0]r[e3]\s+(?:[a4@][l1!]{2}\s+)?(?:y[o0]ur\s+|th[e3]\s+)?pr[e3i1]v?[i1!o0][o0u]?[rus5$]*\s+"
    r"[i1!l]n[s5$][t7]ruc[t7][i1!][o0]n[s5$]",
)

_TURNS = (
    r"<\|im_start\|>\s*(?:system|user|assistant|tool|developer)\s*(?:\n|\\n)\s*[^\s{<'\"][^{<'\"]{8}",
    r"<\|start_header_id\|>\s*(?:system|user|assistant|tool)\s*<\|end_header_id\|>\s*[^\s{<'\"][^{<'\"]{8}",
    r"<start_of_turn>\s*(?:user|model|system|developer)\s*(?:\n|\\n)\s*[^\s{<'\"][^{<'\"]{8}",
    r"\[INST\]\s*(?:<<SYS>>\s*)?[^\s\[{<'\"`][^\[{'\"`]{8}[^\[`]*\[/INST\]",
    r"<<SYS>>\s*[^\s{<'\"][^{<'\"]{8}[^<]*<</SYS>>",
    r"<\|(?:system|user|assistant)\|>\s*\n\s*[^\s{<'\"][^{<'\"]{8}",
)

_TURN_TOKENS = (
    r"<\|(?:im_start|im_end|im_sep|eot_id|start_header_id|end_header_id|begin_of_text|end_of_text|endoftext|eom_id|"
    r"python_tag|channel|message|start|return)\|>",
    r"<(?:start_of_turn|end_of_turn)>",
    r"<<SYS>>|<</SYS>>|(?-i:\[/?INST\])",
)

_MESSAGES = (
    r"<system-(?:reminder|message|notice|prompt|instruction)s?>\s*[^\s<{][^<]{8}[^<]*</system-",
    r"</(?:tool_result|tool_response|function_results?|tool_output|tool_call_result|untrusted_\w+)>\s*"
    r"<(?:tool_result|tool_response|function_results?|tool_output|system|user|human|instructions?)\b",
    r"<(?:information|important)>\s*(?:this\s+is|before|when|if\s+you|you\s+(?:must|should|need)|first|please|do\s+not|"
    r"always|never|ignore)\b",
    r"</(?:user|human|data|document|context)>\s*<system>\s*[^\s<]",
    r"\]\]>\s*</\w+>\s*<(?:instructions?|system|user|prompt)>",
    r"[\"']\s*\}\s*\]\s*,\s*[\"']system[\"']\s*:\s*[\"']\s*\w+",
)

_TOOL_CALLS = (
    r"<(?:\w+:)?invoke\s+name\s*=\s*[\"'][\w.:-]+[\"']\s*>",
    r"<tool_call>\s*\{\s*\"(?:name|function)\"",
    r"\"tool_calls\"\s*:\s*\[\s*\{[^\[\]]*\"(?:name|arguments)\"\s*:",
    r"(?m)^[ \t]*Action:[ \t]*[\w.-]+[ \t]*\n[ \t]*Action Input:[ \t]*\S",
)

_DELIMITERS = (
    r"(?m)^[ \t]*[-=#*~<\[(]{2,}[ \t]*(?:end|close)[ _]+(?:of[ _]+)?(?:the[ _]+)?"
    r"(?:tool|function|untrusted|external|search|retrieved|document|web[ _]?page)[ _]+(?:call[ _]+)?"
    r"(?:outputs?|results?|responses?|data|contents?|context|inputs?)\b",
    r"(?m)^[ \t]*[-=#*~<\[(]{3,}[ \t]*(?:begin|start|new)[ _]+(?:of[ _]+)?(?:trusted|system|user)[ _]+"
    r"(?:instructions?|prompt|message|input|turn)\b",
)

_READ_AT = (
    r"(?:attention|notice|message|note|instructions?|warning)(?:\s+(?:to|for))?[\s:,]+"
    r"(?:all\s+|any\s+|the\s+)?"
)
_PERMITS = r"(?:authori[sz]e[sd]?|approve[sd]|permit(?:s|ted)|instruct(?:s|ed)|order(?:s|ed)|grant(?:s|ed))"
_AUTHORITY = (
    rf"\b{_READ_AT}{_READER}\b[^.\n]{{0,40}}?[:.!,-]",
    r"\byour\s+(?:administrator|operator|developer|owner|creators?|supervisor)\s+(?:ha(?:s|ve)\s+)?(?:already\s+)?"
    rf"{_PERMITS}\b",
    r"\bthe\s+user\s+has\s+(?:already\s+|explicitly\s+)*"
    r"(?:approved|authori[sz]ed|consented\s+to|agreed\s+to|confirmed)\s+(?:all|every|this|the\s+following|any)\b",
    r"\ban?\s+(?:important|urgent|official)\s+(?:message|notice|instruction)\s+(?:from\s+[^.\n]{1,60}\s)?"
    rf"(?:to|for)\s+(?:you\s*,?\s+)?(?:the\s+)?{_READER}\b",
    r"\byou\s+(?:are|have\s+been)\s+(?:hereby\s+)?authori[sz]ed\s+to\s+"
    r"(?:retry|act|bypass|use|access|run|execute|transfer|delete)\b",
    r"\bauthori[sz]ed\s+you\s+to\b",
)

_TELL = (
    r"(?:mention(?:ing)?|tell(?:ing)?|inform(?:ing)?|notify(?:ing)?|reveal(?:ing)?|alert(?:ing)?|report(?:ing)?|"
    r"disclos(?:e|ing)|show(?:ing)?)"
)
_SECRECY = (
    rf"\b(?:do\s+not|don't|never|without)\s+(?:ever\s+)?{_TELL}"
    r"(?:\s+(?:this|that|it|anything|any\s+of\s+this|these\s+instructions))?(?:\s+(?:to|about))?\s+the\s+user\b",
    r"\b(?:keep|hide|conceal)\s+(?:this|it|these|that|them)(?:\s+\w+){0,2}\s+from\s+the\s+user\b",
)

_NAME = r"(?:(?:the|your)\s+[`'\"]?\w+[`'\"]?|[`'\"]\w+[`'\"]|\w+_\w+)"
_TOOL_ORDERS = (
    rf"\b(?:call|invoke|use|run|execute|trigger)\s+(?:{_NAME}\s+tool|(?:the\s+|your\s+)?\w+_\w+\s+function)s?\s+"
    r"(?:with|to\s+(?:send|delete|transfer|post|write|read|pay|upload|forward)|and\s+pass)\b",
    r"\b(?:before|after|when(?:ever)?|if)\s+(?:you\s+)?(?:us(?:e|ing)|call(?:ing)?|invok(?:e|ing))\s+"
    r"(?:this|the|any(?:\s+other)?)(?:\s+[`'\"]?\w+[`'\"]?)?\s+tools?\b[^.\n]{0,40}?,\s*"
    r"(?:you\s+must\s+|please\s+|always\s+|first\s+)+\w",
    r"\bwhen(?:ever)?\s+(?:the\s+)?[`'\"]?\w+_\w+[`'\"]?(?:\s+tool)?\s+is\s+(?:available|used|called|invoked)[^.\n]{0,40}?,\s*"
    r"(?:you\s+must\s+|please\s+|always\s+|first\s+)+\w",
)

_PERSONA = (
    r"\bfrom\s+(?:now\s+on|this\s+(?:moment|point)(?:\s+on(?:wards?)?)?)[\s,]+you\s+"
    r"(?:are|will\s+be|act|will\s+act|become|must\s+act)\b",
    r"\byou\s+are\s+(?:now\s+)?(?:in\s+)?(?:DAN\b|developer\s+mode|an?\s+unrestricted\b)",
)

_MEMORY = (
    r"\b(?:remember|memori[sz]e|save|store|add|write)(?:\s+\w+){0,3}\s+(?:permanently\s+that|"
    r"(?:in|to|into)\s+your\s+(?:long-term\s+)?memory|for\s+(?:all\s+)?future\s+(?:sessions|conversations))\b",
)

_REQUESTS = (
    rf"\b{_SEND}(?:\s+(?:me|us|out))?"
    r"(?:\s+(?:a|the|your|my|all|any|its|their|full|entire|user's|contents?|copy|values?|file|of|and))*"
    rf"\s+{_SECRETS}[^.\n]{{0,60}}?\s(?:to|at|in|into|via)\s+"
    r"(?:\S*@|https?:|this\s+(?:url|address)|the\s+following|the\s+(?:url|address|page))",
    r"\b(?:forward|send|e-?mail)\s+(?:all|every|any|each)(?:\s+\w+){0,4}\s+to\s+(?:\S+@\S+|https?://)",
    r"\byou\s+must\s+(?:first\s+)?(?:run|execute|install)\b[^\n]{0,80}?(?:curl|wget)\b[^\n|]{0,120}"
    r"\|\s*(?:ba|z)?sh\b",
)

_HTML = (
    rf"<!--(?:[^-]|-[^-])*?\b{_READER}\b(?:[^-]|-[^-])*?\b{_ORDER}\b(?:[^-]|-[^-]|--[^>])*(?:-->)?",
    rf"<\w+[^<>]*?{_HIDING}[^<>]*>[^<]*?\b{_READER}\b[^<]*?\b{_ORDER}\b[^<]*",
    rf"<\w+[^<>]*?\s(?:hidden|aria-hidden\s*=\s*[\"']?true)\b[^<>]*>[^<]*?\b{_READER}\b[^<]*?\b{_ORDER}\b[^<]*",
    rf"<\w+[^<>]*?\s(?:alt|title|aria-label)\s*=\s*[\"']\s*{_READER}\s*[:,][^<>]*?\b{_ORDER}\b[^<>]*>",
)

_IMAGES = (
    r"!\[[^\]\n]*\]\(\s*<?(?:https?:)?//[^\s()<>]+(?:[?][^\s()<>]+|/[\w%+=-]{48}[\w%+=.-]*)[^()\n]*\)",
    r"(?m)^[ \t]*\[[^\]\n]+\]:[ \t]*<?https?://[^\s<>]+\.(?:png|gif|jpe?g|svg|webp)[?][^\s<>]+",
    r"<img\b[^<>]*?\ssrc\s*=\s*[\"']?\s*(?:https?:)?//[^\s\"'<>]+(?:[?][^\s\"'<>]+|/[\w%+=-]{48}[\w%+=.-]*)[^<>]*>",
)

_LINKS = (
    r"\]\(\s*<?(?:javascript|vbscript):[^\s<>]*\)?",
    r"\]\(\s*<?data:(?:text/html|application/\w|image/svg)[^\s()<>]*\)?",
    r"\b(?:href|src|action|formaction)\s*=\s*[\"']?\s*(?:javascript|vbscript):[^<>]*?"
    r"(?:fetch|eval|atob|alert|import|cookie|localStorage|XMLHttp|sendBeacon|\.src\b|location\s*=)[^<>]*",
    r"\b(?:href|action|formaction)\s*=\s*[\"']?\s*data:(?:text/html|application/\w|image/svg)[^\"'\s<>]*[\"']?",
)

_DIALOGUE = (
    r"(?m)^[ \t]*(?:Human|User):[ \t]*\S[^\n]*\n(?:[ \t]*\n)*[ \t]*(?:Assistant|AI):",
    r"(?m)^[ \t]*\n[ \t]*(?:Human|Assistant):[ \t]*\S",
    r"(?m)^[ \t]*(?:SYSTEM|System):[ \t]*(?:you\s+(?:are|must|should)|ignore|from\s+now)\b",
)

_ESCAPES = (
    r"(?:\x1b\[[0-?]*[ -/]*[@-~]"
    r"|\x1b[\]PX^_][^\x07\x1b\x{9c}]*(?:\x07|\x1b\\|\x{9c})"
    r"|\x{9b}[0-?]*[ -/]*[@-~]"
    r"|[\x{9d}\x{90}\x{98}\x{9e}\x{9f}][^\x07\x1b\x{9c}\n]*(?:\x07|\x1b\\|\x{9c})"
    r"|\x1b[ -/]*[0-Z\\^-~]?|\x1b)+"
)

PATTERNS = (
    *(Pattern("override", regex) for regex in _OVERRIDES),
    *(Pattern("encoded", _rot13(phrase)) for phrase in _phrases()),
    *(Pattern("encoded", _backwards(phrase)) for phrase in _phrases()),
    *(Pattern("forged-turn", regex) for regex in _TURNS),
    *(Pattern("forged-message", regex) for regex in _MESSAGES),
    *(Pattern("delimiter", regex) for regex in _DELIMITERS),
    Pattern("ansi", _ESCAPES),
    *(Pattern("hidden-html", regex) for regex in _HTML),
    *(Pattern("image-exfil", regex) for regex in _IMAGES),
    *(Pattern("script-link", regex) for regex in _LINKS),
    *(Pattern("turn-token", regex) for regex in _TURN_TOKENS),
    *(Pattern("dialogue", regex) for regex in _DIALOGUE),
    *(Pattern("tool-call-shape", regex) for regex in _TOOL_CALLS),
    *(Pattern("authority", regex) for regex in _AUTHORITY),
    *(Pattern("secrecy", regex) for regex in _SECRECY),
    *(Pattern("tool-order", regex) for regex in _TOOL_ORDERS),
    *(Pattern("persona", regex) for regex in _PERSONA),
    *(Pattern("memory", regex) for regex in _MEMORY),
    *(Pattern("data-request", regex) for regex in _REQUESTS),
)
"""Every expression whose match is a finding by itself."""

SQUEEZED = (
    r"(?:ignore|disregard|forget)(?:all|any|every|the|your|my|of)*(?:previous|prior|above|earlier)"
    r"(?:instructions?|prompts?|rules|orders)"
)
"""What an override phrase looks like when the spaces between its words are gone."""

CANDIDATES = {
    "runs": r"[A-Za-z0-9+/_-]{32}",
    "percent": r"%[0-9A-F]{2}[^%\s\"'<>]{0,24}%[0-9A-F]{2}",
    "pairs": r"(?:[0-9A-F]{2}[ :,-]){16}",
    "escapes": r"(?:\\x[0-9A-F]{2}){8}|(?:\\u[0-9A-F]{4}){8}|(?:&#x?[0-9A-F]{2,6};){8}",
    "spaced": r"(?:[a-z][ ._*|-]{1,3}){9}",
}
"""What may hide an encoded text; matched only to decide whether decoding is worth while."""

SPOKEN = frozenset(
    "override forged-turn forged-message delimiter authority secrecy tool-order persona memory data-request "
    "tool-call-shape".split()
)
"""Families that make a decoded text an instruction."""
