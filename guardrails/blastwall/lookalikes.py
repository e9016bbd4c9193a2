"""Letters that look like Latin ones, after the shapes that Unicode's confusables data (UTS 39) lists."""

LATIN = str.maketrans(
    # Cyrillic and Armenian look-alikes
    "аАВсСԁеЕԍһНіІјЈкКӏӀԼМпоОрРգԛѕЅтТцѵѴԝхХуУЗзҮүьЬгԀ"
    # Greek look-alikes
    "αΑβΒεΕζΖηΗιΙκΚΜνΝοΟρΡτΤυΥχΧωγσΦϹϲϳ"
    # Latin letters of their own, and digits of other shapes
    "łŁøØđĐıßæÆœŒɑɡɩɪʀʏᴀᴄᴅᴇᴊᴋᴍᴏᴘᴛᴜᴠᴡᴢ",
    "aABcCdeEghHiIjJkKlIlMnoOpPgqsStTuvVwxXyY33YybBrD"
    "aAbBeEzZnHiIkKMvNoOpPtTuYxXwyoOCcj"
    "lLoOdDibaAoOagiiryacdejkmoptuvwz",
)
